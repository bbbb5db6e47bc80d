package dir_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func sample() ovftest.Spec {
	return ovftest.Spec{Files: []ovftest.File{
		{Href: "z.vmdk", Content: ovftest.Noise(1, 5000), Disk: true},
		{Href: "sub/a disk.vmdk", Content: ovftest.Noise(2, 600), Disk: true},
		{Href: "c.vmdk", Content: ovftest.Noise(3, 2500), ChunkSize: 1000},
	}}
}

// pass reads a package to its end and gives the names in order.
func pass(t *testing.T, path string, policy manifest.Policy) ([]string, error) {
	t.Helper()
	p, err := dir.Open(t.Context(), path, dir.Options{Manifest: policy})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var names []string
	for {
		m, err := p.Next(t.Context())
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		names = append(names, m.Name)
	}
}

func TestOrder(t *testing.T) {
	folder := sample().WriteFolder(t)
	want := "z.vmdk sub/a disk.vmdk c.vmdk.000000000 c.vmdk.000000001 c.vmdk.000000002"
	for _, path := range []string{folder, filepath.Join(folder, "app.ovf"), folder + "/"} {
		names, err := pass(t, path, manifest.Require)
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v, %v", path, names, err)
		}
	}
	p, err := dir.Open(t.Context(), folder, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if m := p.Members(); m[0].Name != "app.ovf" || m[1].Name != "app.mf" {
		t.Errorf("members %v", m)
	}
}

// A descriptor does not claim what merely lies beside it; a folder does.
func TestBeside(t *testing.T) {
	folder := sample().WriteFolder(t)
	if err := os.WriteFile(filepath.Join(folder, "letter.txt"), []byte("private"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{folder: true, filepath.Join(folder, "app.ovf"): false} {
		names, err := pass(t, path, "")
		if err != nil || strings.Contains(strings.Join(names, " "), "letter.txt") != want {
			t.Errorf("%s: %v, %v", path, names, err)
		}
	}
}

func TestFlippedByte(t *testing.T) {
	s := sample()
	s.Flip = "c.vmdk.000000001"
	var i *ovf.IntegrityError
	if _, err := pass(t, s.WriteFolder(t), ""); !errors.As(err, &i) || i.File != s.Flip {
		t.Errorf("error %v", err)
	}
}

func TestLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"absolute": outside, "relative": "../../../../../../../../../.." + outside, "within": "z.vmdk"} {
		s := sample()
		s.NoManifest = true
		s.Files = append(s.Files, ovftest.File{Href: "link.vmdk", Content: []byte("x")})
		folder := s.WriteFolder(t)
		if err := errors.Join(os.Remove(filepath.Join(folder, "link.vmdk")), os.Symlink(target, filepath.Join(folder, "link.vmdk"))); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{folder, filepath.Join(folder, "app.ovf")} {
			_, err := pass(t, path, "")
			if name == "within" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if name != "within" && (!errors.Is(err, ovf.ErrUnsafePath) || !strings.Contains(err.Error(), "link.vmdk")) {
				t.Errorf("%s: error %v, want ErrUnsafePath that names link.vmdk", name, err)
			}
		}
	}
}

// TestForeignManifest: a folder that holds several packages; the manifest of
// one is no other's, though it is the only one there.
func TestForeignManifest(t *testing.T) {
	folder := sample().WriteFolder(t)
	for from, to := range map[string]string{"app.mf": "other.mf", "app.ovf": "other.OVF"} {
		b, err := os.ReadFile(filepath.Join(folder, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, to), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(folder, "app.mf")); err != nil {
		t.Fatal(err)
	}
	for descriptor, want := range map[string]bool{"app.ovf": false, "other.OVF": true} {
		p, err := dir.Open(t.Context(), filepath.Join(folder, descriptor), dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Manifest() != nil; got != want {
			t.Errorf("%s has a manifest: %v", descriptor, got)
		}
		p.Close()
	}
}

func TestUnsafeHref(t *testing.T) {
	for _, href := range []string{"../secret", "/etc/passwd", "a/../../secret", "%2e%2e/secret", `..\secret`} {
		s := ovftest.Spec{NoManifest: true, Files: []ovftest.File{{Href: href, Stored: "stored"}}}
		folder := s.WriteFolder(t)
		if err := os.WriteFile(filepath.Join(filepath.Dir(folder), "secret"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		// The descriptor can be looked at, as that of an archive; the file is never opened.
		for _, path := range []string{folder, filepath.Join(folder, "app.ovf")} {
			p, err := dir.Open(t.Context(), path, dir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Members() {
				if m.Name != "app.ovf" && m.Name != "stored" {
					t.Errorf("%s of %s: the package holds %v", href, path, p.Members())
				}
			}
			if _, err := p.Open(t.Context(), href); !errors.Is(err, ovf.ErrUnsafePath) {
				t.Errorf("%s of %s: opened with %v, want ErrUnsafePath", href, path, err)
			}
			p.Close()
		}
	}
}

func write(t *testing.T, target string, s ovftest.Spec) error {
	w, err := dir.Create(target, dir.WriterOptions{Descriptor: "app.ovf"})
	if err != nil {
		return err
	}
	for _, f := range s.Files {
		m, err := w.Create(t.Context(), f.Href)
		if err != nil {
			return errors.Join(err, w.Abort())
		}
		if _, err := io.Copy(m, bytes.NewReader(f.Content)); err != nil {
			return errors.Join(err, w.Abort())
		}
		if err := m.Close(); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	return w.Finish(t.Context(), s.Descriptor(t))
}

func TestWriter(t *testing.T) {
	s := sample()
	s.Files = s.Files[:2]
	parent := t.TempDir()
	target := filepath.Join(parent, "out")
	for range 2 { // the second time a package stands there
		if err := write(t, target, s); err != nil {
			t.Fatal(err)
		}
		names, err := pass(t, target, manifest.Require)
		if err != nil || strings.Join(names, " ") != "z.vmdk sub/a disk.vmdk" {
			t.Errorf("%v, %v", names, err)
		}
		if list, _ := os.ReadDir(parent); len(list) != 1 {
			t.Errorf("left behind: %v", list)
		}
	}

	// What fails leaves what stood there, and nothing else.
	bad := s
	bad.Files = []ovftest.File{{Href: "../evil"}}
	if err := write(t, target, bad); !errors.Is(err, ovf.ErrUnsafePath) {
		t.Errorf("error %v", err)
	}
	bad.Files = []ovftest.File{{Href: "a"}, {Href: "a"}}
	if err := write(t, target, bad); err == nil {
		t.Error("a file is written twice")
	}
	if _, err := pass(t, target, manifest.Require); err != nil {
		t.Errorf("the package that stood there: %v", err)
	}
	if list, _ := os.ReadDir(parent); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}

	// A folder that holds anything else is not replaced.
	precious := filepath.Join(parent, "precious")
	if err := errors.Join(os.Mkdir(precious, 0o755), os.WriteFile(filepath.Join(precious, "thesis.txt"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := write(t, precious, s); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(precious, "thesis.txt")); err != nil {
		t.Error(err)
	}
}
