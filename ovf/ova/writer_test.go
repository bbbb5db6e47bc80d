package ova_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

func TestAC20Writer(t *testing.T) {
	s := sample()
	name := write(t, s)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for way, open := range ways {
		p, err := open(b, manifest.Require)
		if err != nil {
			t.Fatal(way, err)
		}
		if got := p.Envelope().Bytes(); !bytes.Equal(bytes.TrimRight(got, " \n"), bytes.TrimRight(s.Descriptor(t), "\n")) || len(got) != len(s.Descriptor(t))+300 {
			t.Errorf("%s: descriptor %q", way, got)
		}
		if p.Manifest() == nil {
			t.Errorf("%s: manifest is not second", way)
		}
		got, err := contents(p)
		if err != nil || len(got) != 4 {
			t.Fatal(way, len(got), err)
		}
	}
	again, err := os.ReadFile(write(t, s))
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("not reproducible: %v", err)
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestWriterSigns(t *testing.T) {
	target := filepath.Join(t.TempDir(), "app.ova")
	var signedManifest []byte
	w, err := ova.Create(target, ova.WriterOptions{DescriptorSize: 4096, Certificate: &ova.LayoutCertificate{Size: 100, Sign: func(mf []byte) ([]byte, error) {
		signedManifest = mf
		return []byte("signature"), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(t.Context(), sample().Descriptor(t)); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(target)
	p, err := open(b, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(p.Certificate()); strings.TrimRight(got, "\n") != "signature" || len(got) != 100 || !bytes.Equal(p.Manifest(), signedManifest) {
		t.Errorf("certificate %q", got)
	}
}

// TestWriterKeepsLinks: a name that is a link stays one, and the archive lies where
// it leads.
func TestWriterKeepsLinks(t *testing.T) {
	folder := t.TempDir()
	link, target := filepath.Join(folder, "link.ova"), filepath.Join(folder, "store", "app.ova")
	if err := os.Mkdir(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("store", "app.ova"), link); err != nil {
		t.Fatal(err)
	}
	w, err := ova.Create(link, ova.WriterOptions{Descriptor: "app.ovf", DescriptorSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(t.Context(), []byte("<Envelope/>")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if b, err := os.ReadFile(target); err != nil || len(b) < 512 {
		t.Errorf("where it leads there are %d bytes, %v", len(b), err)
	}
}

// Whatever goes wrong, an archive that stood there stays, and nothing else does.
func TestWriterFailsClean(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, w *ova.Writer) error{
		"abort": func(t *testing.T, w *ova.Writer) error { return errors.Join(errors.New("asked for"), w.Abort()) },
		"descriptor too long": func(t *testing.T, w *ova.Writer) error {
			m, err := w.Create(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			return w.Finish(t.Context(), make([]byte, 5000))
		},
		"file missing": func(t *testing.T, w *ova.Writer) error { return w.Finish(t.Context(), []byte("<Envelope/>")) },
		"file open": func(t *testing.T, w *ova.Writer) error {
			if _, err := w.Create(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			return w.Finish(t.Context(), []byte("<Envelope/>"))
		},
		"wrong file": func(t *testing.T, w *ova.Writer) error {
			_, err := w.Create(t.Context(), "b")
			return errors.Join(err, w.Abort())
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			target := filepath.Join(folder, "app.ova")
			if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := ova.Create(target, ova.WriterOptions{DescriptorSize: 4096, Files: []string{"a"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := fail(t, w); err == nil {
				t.Error("no error")
			}
			if _, err := w.Create(t.Context(), "a"); err == nil {
				t.Error("goes on after the failure")
			}
			list, _ := os.ReadDir(folder)
			if b, err := os.ReadFile(target); string(b) != "old" || err != nil || len(list) != 1 {
				t.Errorf("%q, %v, %v", b, err, list)
			}
		})
	}
	for _, files := range [][]string{{"../a"}, {"a", "a"}, {"app.ovf"}, {"app.mf"}} {
		folder := t.TempDir()
		if _, err := ova.Create(filepath.Join(folder, "app.ova"), ova.WriterOptions{Files: files}); err == nil {
			t.Errorf("files %v are taken", files)
		}
		if list, _ := os.ReadDir(folder); len(list) != 0 {
			t.Errorf("left behind: %v", list)
		}
	}
}

var _ io.ReaderAt = (*ova.Layout)(nil)
