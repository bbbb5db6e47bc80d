package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoQueryIsShown: the query of a package's or a cloud's URL may be a
// signature, so no command tells it, whether it succeeds or not.
func TestNoQueryIsShown(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	p, err := newTestPackage("testdata/descriptor")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.ova":
			w.Write(b)
		case "/bad.ova":
			w.Write([]byte("<html>"))
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	for _, name := range []string{"https://user:s3cret/more@h/cimi", "https://user:s3c?ret@h/a.ova", "https://user:s3cret%zz@h/a.ova", "https:///user:s3cret@h/cimi",
		"vsphere:///user:s3cret@h/dc", "libvirt:qemu+ssh://user:s3cret/more@h/system", "s3://user:s3cret@b/k.ova"} {
		for _, args := range [][]string{{"inspect", name}, {"ls", name}, {"ls", name, "--output", "json"}, {"import", name, name}, {"export", "local:" + filepath.Join(dir, "cloud"), "x", name}, {"convert", file, name, "--output", "json"}} {
			if _, stdout, stderr := invoked(args...); strings.Contains(stdout+stderr, "s3c") {
				t.Errorf("%q shows it: %s%s", args, stdout, stderr)
			}
		}
	}
	for _, name := range []string{"/a.ova", "/bad.ova", "/none.ova"} {
		url := srv.URL + name + "?sig=s3cret"
		for _, args := range [][]string{{"inspect", url}, {"validate", url}, {"validate", url, "--output", "json"}, {"verify", url}, {"verify", url, "--output", "json"},
			{"convert", url, filepath.Join(dir, "out.ova")}, {"sign", url}, {"import", url, "local:" + filepath.Join(dir, "cloud"), "--output", "json"}, {"ls", srv.URL + "/cloud?sig=s3cret"}} {
			if _, stdout, stderr := invoked(args...); strings.Contains(stdout+stderr, "s3cret") {
				t.Errorf("%s %s: %s%s", args[0], name, stdout, stderr)
			}
		}
	}
}
