package remote_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// server has files by path, and counts what it is asked.
func server(t *testing.T, has map[string]string) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	asked := &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		content, ok := has[r.URL.Path]
		switch to, redirect := strings.CutPrefix(content, "redirect "); {
		case !ok:
			http.NotFound(w, r)
		case redirect:
			http.Redirect(w, r, to, http.StatusFound)
		case r.Header.Get("Authorization") != "" && r.URL.Path != "/secret":
			http.Error(w, "credentials have no business here", http.StatusTeapot)
		default:
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		}
	}))
	t.Cleanup(s.Close)
	return s, asked
}

// pkg is a package with a file of its own, d.img, and others by their hrefs;
// digests are lines of the manifest for those.
func pkg(t *testing.T, stream bool, hrefs []string, digests ...string) ovf.Package {
	t.Helper()
	spec := ovftest.Spec{Files: []ovftest.File{{Href: "d.img", Content: []byte("own")}}}
	for _, h := range hrefs {
		href, chunk, _ := strings.Cut(h, "|")
		f := ovftest.File{Href: href, Size: -1}
		if chunk != "" {
			fmt.Sscan(chunk, &f.ChunkSize)
		}
		spec.Files = append(spec.Files, f)
	}
	descriptor := spec.Descriptor(t)
	mf := fmt.Sprintf("SHA256(app.ovf)= %x\nSHA256(d.img)= %x\n", sha256.Sum256(descriptor), sha256.Sum256([]byte("own"))) + strings.Join(digests, "")
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range []ovftest.Member{{Name: "app.ovf", Content: descriptor}, {Name: "app.mf", Content: []byte(mf)}, {Name: "d.img", Content: []byte("own")}} {
		if err := w.WriteHeader(&tar.Header{Name: m.Name, Mode: 0o644, Size: int64(len(m.Content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive := out.Bytes()
	var err error
	var p ovf.Package
	if stream {
		p, err = ova.Read(context.Background(), bytes.NewReader(archive), "-", ova.Options{})
	} else {
		p, err = ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "app.ova", ova.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// read gives what a package holds by href of its descriptor.
func read(p ovf.Package) (map[string]string, error) {
	out := map[string]string{}
	for c, err := range files.Contents(context.Background(), p, files.Options{}) {
		if err != nil {
			return out, err
		}
		b, err := io.ReadAll(c.Reader)
		if err != nil {
			return out, err
		}
		out[c.File.Href] = string(b)
	}
	return out, nil
}

func line(name, content string) string {
	return fmt.Sprintf("SHA256(%s)= %x\n", name, sha256.Sum256([]byte(content)))
}

// TestSameServer: what lies on the server of the package is fetched and checked
// by the manifest's line for its URL (7.1), whole and in chunks; it has a name
// of its own in the package.
func TestSameServer(t *testing.T) {
	s, _ := server(t, map[string]string{"/a/big%20disk.img": "x", "/a/big disk.img": "far away", "/b/d.img": "another d", "/c.000000000": "ab", "/c.000000001": "cd", "/c.000000002": "e"})
	for _, stream := range []bool{false, true} {
		hrefs := []string{s.URL + "/a/big%20disk.img", s.URL + "/b/d.img", s.URL + "/c|2"}
		below := pkg(t, stream, hrefs, line(hrefs[0], "far away"), line(s.URL+"/c.000000001", "cd"))
		g, err := remote.Package(below, remote.Options{Origin: s.URL + "/app.ova"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(g)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"d.img": "own", "big disk.img": "far away", "d-2.img": "another d", "c": "abcde"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stream %v: the package holds %q, want %q", stream, got, want)
		}
		if below.Envelope().Files()[1].Href != hrefs[0] {
			t.Error("the package below was changed")
		}
		if f := g.Findings(); len(f) < 3 || f[0].ID != remote.Rule {
			t.Errorf("findings %v", f)
		}
		g.Close()
	}
}

// TestWrongFar: what comes from elsewhere is proved like the rest.
func TestWrongFar(t *testing.T) {
	s, _ := server(t, map[string]string{"/x": "tampered"})
	var integrity *ovf.IntegrityError
	g, err := remote.Package(pkg(t, false, []string{s.URL + "/x"}, line(s.URL+"/x", "original")), remote.Options{Origin: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(g); !errors.As(err, &integrity) || !strings.HasSuffix(integrity.File, "/x") {
		t.Errorf("%v, want an integrity error", err)
	}
	g, _ = remote.Package(pkg(t, false, []string{s.URL + "/x"}), remote.Options{Origin: s.URL, Manifest: manifest.Require})
	if _, err := read(g); !errors.As(err, &integrity) {
		t.Errorf("unlisted where a manifest is required: %v", err)
	}
	var missing *ovf.MissingFileError
	g, _ = remote.Package(pkg(t, false, []string{s.URL + "/gone"}), remote.Options{Origin: s.URL})
	if _, err := read(g); !errors.As(err, &missing) || missing.FileID != "file2" {
		t.Errorf("%v, want the missing file named", err)
	}
}

// TestRefused: nothing is asked of a server that was not allowed: not by an
// href, not by a redirect, not on an address of the link; credentials go to
// the package's own server only.
func TestRefused(t *testing.T) {
	other, asked := server(t, map[string]string{"/x": "other", "/secret": "s"})
	own, _ := server(t, map[string]string{"/away": "redirect " + other.URL + "/x", "/meta": "redirect http://169.254.169.254/latest/meta-data", "/secret": "s"})
	var refused *remote.RefusedError
	for name, x := range map[string]struct {
		href string
		opts remote.Options
	}{
		"another server":             {other.URL + "/x", remote.Options{Origin: own.URL + "/app.ovf"}},
		"a file":                     {other.URL + "/x", remote.Options{Origin: "app.ova"}},
		"another scheme":             {"https" + strings.TrimPrefix(own.URL, "http") + "/secret", remote.Options{Origin: own.URL}},
		"an address of the link":     {"http://169.254.169.254/latest/meta-data", remote.Options{Anywhere: true}},
		"another address of it":      {"http://[fe80::1]/x", remote.Options{Anywhere: true}},
		"mapped into version 6":      {"http://[::ffff:169.254.169.254]/x", remote.Options{Anywhere: true}},
		"no address":                 {"http://0.0.0.0/x", remote.Options{Anywhere: true}},
		"a redirect to another":      {own.URL + "/away", remote.Options{Origin: own.URL}},
		"a redirect into the link":   {own.URL + "/meta", remote.Options{Anywhere: true}},
		"its own, from another port": {own.URL + "/secret", remote.Options{Origin: "http://127.0.0.1:1/"}},
	} {
		g, err := remote.Package(pkg(t, false, []string{x.href}), x.opts)
		if err == nil {
			_, err = read(g)
			g.Close()
		}
		if !errors.As(err, &refused) || !errors.Is(err, fetch.ErrRefused) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the other server was asked %d times", n)
	}

	auth := fetch.Options{Authorize: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer x"); return nil }}
	g, err := remote.Package(pkg(t, false, []string{other.URL + "/x", own.URL + "/secret"}), remote.Options{Origin: own.URL, Anywhere: true, Fetch: auth})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(g); err != nil || got["x"] != "other" {
		t.Errorf("%q, %v", got, err)
	}
	var de *ovf.DescriptorError
	if _, err := remote.Package(pkg(t, false, []string{"http://user:canary@h/x"}), remote.Options{Anywhere: true}); !errors.As(err, &de) || strings.Contains(err.Error(), "canary") {
		t.Errorf("credentials in an href: %v", err)
	}
}

// TestLeave: what may not be fetched is left out with the disks that need it,
// where that is asked for.
func TestLeave(t *testing.T) {
	g, err := remote.Package(pkg(t, false, []string{"http://127.0.0.1:1/x"}), remote.Options{Leave: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(g); err != nil || len(got) != 1 || len(g.Left()) != 1 || g.Left()[0].Object != "file file2" {
		t.Errorf("%q, %v, %v", got, g.Left(), err)
	}
}
