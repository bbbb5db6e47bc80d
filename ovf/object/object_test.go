package object_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

func quick() fetch.Options {
	return fetch.Options{Attempts: 3, MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond, StallTimeout: 5 * time.Second}
}

func dial(t *testing.T) *object.Store {
	t.Helper()
	s, err := object.Dial(object.Options{Fetch: quick()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func contents(t *testing.T, p ovf.Package, err error) map[string][]byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out := map[string][]byte{}
	for {
		m, err := p.Next(context.Background())
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[m.Name], err = io.ReadAll(m); err != nil {
			t.Fatal(err)
		}
	}
}

func sample() ovftest.Spec {
	return ovftest.Spec{Files: []ovftest.File{
		{Href: "disk1.vmdk", Content: ovftest.Noise(1, 12<<20), Disk: true},
		{Href: "sub/a%20b+c.vmdk", Stored: "sub/a b+c.vmdk", Content: ovftest.Noise(2, 300_000), Disk: true},
		{Href: "empty.txt", Content: []byte{}},
		{Href: "é(1)'!$&,;=@.txt", Content: []byte("signs that are read in several ways")},
	}}
}

// TestRead: an archive, a descriptor with its files, and a prefix.
func TestRead(t *testing.T) {
	srv := s3test.Start(t, "depot")
	s := sample()
	srv.Put("depot/night run/app.ova", s.OVA(t))
	for _, m := range s.Members(t) {
		srv.Put("depot/night run/"+m.Name, m.Content)
	}
	for _, name := range []string{"s3://depot/night run/app.ova", "s3://depot/night run/app.ovf", "S3://depot/night run/"} {
		before := srv.Stats()
		p, err := files.Open(t.Context(), name, files.OpenOptions{Manifest: manifest.Require})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, ok := p.(ovf.Opener); !ok || !strings.HasPrefix(p.Name(), "s3://depot/night run/app.ov") {
			t.Errorf("%s: %T named %s", name, p, p.Name())
		}
		if n := srv.Stats().Sent - before.Sent; n > 1<<20 {
			t.Errorf("%s: looking at it cost %d bytes", name, n)
		}
		got := contents(t, p, nil)
		for _, f := range s.Members(t)[2:] {
			if !bytes.Equal(got[f.Name], f.Content) {
				t.Errorf("%s: %s has %d bytes, want %d", name, f.Name, len(got[f.Name]), len(f.Content))
			}
		}
		if n := srv.Stats().Sent - before.Sent; n > 14<<20 {
			t.Errorf("%s: %d bytes read", name, n)
		}
	}
}

// TestWrite: what is written is read back, and appears when it is complete.
func TestWrite(t *testing.T) {
	for _, encrypts := range []bool{false, true} {
		srv := s3test.Start(t, "depot")
		srv.Encrypts = encrypts
		want := sizes(contents(t, open(t, sample().WriteOVA(t)), nil))
		targets := []string{"s3://depot/a/app.ova", "s3://depot/b/other.ovf", "s3://depot/c/"}
		if encrypts {
			targets = targets[:1]
		}
		for _, target := range targets {
			res, err := convert.Package(t.Context(), open(t, sample().WriteOVA(t)), target, convert.Options{Create: dial(t).Create})
			if err != nil {
				t.Fatalf("%s: %v: %+v", target, err, res)
			}
			p, err := dial(t).OpenPackage(t.Context(), target, manifest.Require)
			if got := sizes(contents(t, p, err)); !slices.Equal(got, want) {
				t.Errorf("%s: files %q, want %q", target, got, want)
			}
		}
		if left := srv.Uploads(); len(left) > 0 {
			t.Errorf("uploads of %v were not ended", left)
		}
		if !encrypts && !slices.Contains(srv.Names(), "depot/c/app.ovf") || !encrypts && !slices.Contains(srv.Names(), "depot/b/other.mf") {
			t.Errorf("stored: %v", srv.Names())
		}
	}
}

// sizes are what files are known by when their names are spelt another way.
func sizes(files map[string][]byte) (out []string) {
	for _, b := range files {
		out = append(out, fmt.Sprintf("%d %x", len(b), sha256.Sum256(b)))
	}
	slices.Sort(out)
	return out
}

func open(t *testing.T, name string) ovf.Package {
	t.Helper()
	p, err := files.Open(t.Context(), name, files.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestResume: an upload that broke is gone on with; no part that is stored is
// sent again.
func TestResume(t *testing.T) {
	ovftest.Slow(t)
	for _, target := range []string{"s3://depot/app.ova", "s3://depot/app.ovf"} {
		srv := s3test.Start(t, "depot")
		archive := sample().WriteOVA(t)
		srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("partNumber") != "2" {
				return false
			}
			time.Sleep(200 * time.Millisecond) // the part before arrives meanwhile
			panic(http.ErrAbortHandler)
		}
		_, err := convert.Package(t.Context(), open(t, archive), target, convert.Options{Create: dial(t).Create})
		if err == nil || !strings.Contains(err.Error(), "at byte 8388608") {
			t.Fatalf("%s: %v", target, err)
		}
		if names := srv.Names(); len(names) > 0 || len(srv.Uploads()) == 0 {
			t.Errorf("%s: after the failure %v is there, uploads %v", target, names, srv.Uploads())
		}
		first := srv.Stats().Received
		srv.Fault = nil
		if _, err := convert.Package(t.Context(), open(t, archive), target, convert.Options{Create: dial(t).Create}); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		info, err := os.Stat(archive)
		if err != nil {
			t.Fatal(err)
		}
		if all := srv.Stats().Received; all > info.Size()+8<<10 || first == 0 && target == "s3://depot/app.ovf" {
			t.Errorf("%s: %d and then %d bytes were sent of %d", target, first, all-first, info.Size())
		}
		p, err := dial(t).OpenPackage(t.Context(), target, manifest.Require)
		contents(t, p, err)
		if len(srv.Uploads()) > 0 {
			t.Errorf("%s: uploads %v are left", target, srv.Uploads())
		}
	}
}

// TestDamagedSource: what fails its digest leaves nothing behind, an upload
// neither.
func TestDamagedSource(t *testing.T) {
	srv := s3test.Start(t, "depot")
	s := sample()
	s.Flip = "disk1.vmdk"
	var integrity *ovf.IntegrityError
	for _, target := range []string{"s3://depot/app.ova", "s3://depot/x/app.ovf"} {
		_, err := convert.Package(t.Context(), open(t, s.WriteOVA(t)), target, convert.Options{Create: dial(t).Create})
		if !errors.As(err, &integrity) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if len(srv.Names()) > 0 || len(srv.Uploads()) > 0 {
		t.Errorf("left: %v, uploads %v", srv.Names(), srv.Uploads())
	}
}

// TestReplaces: an object that stood there stays until the new one is whole.
func TestReplaces(t *testing.T) {
	srv := s3test.Start(t, "depot")
	srv.Put("depot/app.ova", []byte("the old one"))
	bad := sample()
	bad.Flip = "disk1.vmdk"
	if _, err := convert.Package(t.Context(), open(t, bad.WriteOVA(t)), "s3://depot/app.ova", convert.Options{Create: dial(t).Create}); err == nil {
		t.Fatal("a damaged package was taken")
	}
	if got := srv.Get("depot/app.ova"); string(got) != "the old one" {
		t.Errorf("%d bytes stand in its place", len(got))
	}
	if _, err := convert.Package(t.Context(), open(t, sample().WriteOVA(t)), "s3://depot/app.ova", convert.Options{Create: dial(t).Create}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Get("depot/app.ova"); len(got) < 12<<20 {
		t.Errorf("%d bytes", len(got))
	}
}

// AC-06: what may pass is tried again, after the time that the store asks for;
// AC-02: errors name the object.
func TestFaults(t *testing.T) {
	s := sample()
	for name, c := range map[string]struct {
		fault func(n int, w http.ResponseWriter, r *http.Request) bool
		want  string // in the error; empty: it goes well
	}{
		"slow down": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n%3 != 0 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
			return true
		}, ""},
		"reset": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n%4 == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		}, ""},
		"denied": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
			return true
		}, "s3://depot/app.ova: begin upload: access denied"},
		"part flipped on the way": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("partNumber") {
				r.Body = io.NopCloser(&flipped{r: r.Body})
			}
			return false
		}, "send part"},
		"always down": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, "down", http.StatusInternalServerError)
			return true
		}, "after 3 attempts"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := s3test.Start(t, "depot")
			n := 0
			lock := make(chan struct{}, 1)
			srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				lock <- struct{}{}
				n++
				at := n
				<-lock
				return c.fault(at, w, r)
			}
			_, err := convert.Package(t.Context(), open(t, s.WriteOVA(t)), "s3://depot/app.ova", convert.Options{Create: dial(t).Create})
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("%v", err)
			case c.want == "":
				p, err := dial(t).OpenPackage(t.Context(), "s3://depot/app.ova", manifest.Require)
				contents(t, p, err)
			case len(srv.Names()) > 0:
				t.Errorf("stored: %v", srv.Names())
			}
		})
	}
}

type flipped struct {
	r    io.Reader
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 && !f.done {
		p[n/2] ^= 1
		f.done = true
	}
	return n, err
}

// TestRefused: what is not there, what may not be seen, what is no object.
func TestRefused(t *testing.T) {
	srv := s3test.Start(t, "depot")
	srv.Put("depot/two/a.ovf", []byte("<x/>"))
	srv.Put("depot/two/b.ovf", []byte("<x/>"))
	srv.Put("depot/none/readme", []byte("hello"))
	for name, want := range map[string]error{
		"s3://depot/missing.ova":         fs.ErrNotExist,
		"s3://elsewhere/app.ova":         fs.ErrNotExist,
		"s3://depot/nothing/":            fs.ErrNotExist,
		"s3://depot/two/":                ovf.ErrMultipleDescriptors,
		"s3://depot/none/":               ovf.ErrNoDescriptor,
		"s3://":                          object.ErrNotAnObject,
		"s3://depot/a/../b.ova":          object.ErrNotAnObject,
		"s3://depot//b.ova":              object.ErrNotAnObject,
		"s3://AKIA:secret@depot/app.ova": fetch.ErrUserInfo,
	} {
		_, err := dial(t).OpenPackage(t.Context(), name, manifest.Verify)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	_, err := dial(t).OpenPackage(t.Context(), "s3://depot/two/a.ovf", manifest.Verify)
	var refused *object.Error
	if !errors.As(err, &refused) || !refused.Denied() {
		t.Errorf("with a wrong key: %v", err)
	}
}

// TestAnonymous: without credentials requests are not signed.
func TestAnonymous(t *testing.T) {
	srv := s3test.Start(t, "depot")
	srv.Anonymous = true
	srv.Put("depot/app.ova", sample().OVA(t))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	p, err := dial(t).OpenPackage(t.Context(), "s3://depot/app.ova", manifest.Require)
	contents(t, p, err)
}

// TestSettings: endpoint, region and credentials from the files that other
// tools use.
func TestSettings(t *testing.T) {
	srv := s3test.Start(t, "depot")
	srv.Put("depot/app.ova", sample().OVA(t))
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", write("config", "[default]\nregion = nowhere\n[profile night]\nendpoint_url = "+srv.URL+"\nregion = "+s3test.Region+"\n"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write("credentials", "[night]\naws_access_key_id = "+s3test.AccessKey+"\naws_secret_access_key = "+s3test.SecretKey+"\n"))
	t.Setenv("AWS_PROFILE", "night")
	p, err := dial(t).OpenPackage(t.Context(), "s3://depot/app.ova", manifest.Require)
	contents(t, p, err)

	var setting *object.SettingError
	t.Setenv("AWS_PROFILE", "day")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := object.Dial(object.Options{}); !errors.As(err, &setting) {
		t.Errorf("a profile that is not there: %v", err)
	}
	t.Setenv("AWS_PROFILE", "night")
	for _, url := range []string{"http://user:secret@host", "nonsense", "http://host/path", "ftp://host"} {
		t.Setenv("AWS_ENDPOINT_URL_S3", url)
		if _, err := object.Dial(object.Options{}); !errors.As(err, &setting) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
