package ova_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// A disk before the descriptor of a stream is refused with a hint, and read where the source can seek.
func TestAC20LateDescriptor(t *testing.T) {
	s := sample()
	s.LateDescriptor = true
	s.Files[0].Content = make([]byte, 9<<20)
	b := s.OVA(t)
	if p, err := open(b, manifest.Require); err != nil {
		t.Error(err)
	} else if _, err := contents(p); err != nil {
		t.Error(err)
	}
	_, err := read(b, "")
	if !errors.Is(err, ova.ErrLateDescriptor) || !strings.Contains(err.Error(), "disk1.vmdk") {
		t.Errorf("error %v, want ErrLateDescriptor naming disk1.vmdk", err)
	}
}

// With a folder to keep it in, the disk before the descriptor is kept, read,
// checked, told of, and removed.
func TestAC20Spool(t *testing.T) {
	s := sample()
	s.LateDescriptor = true
	s.Files[0].Content = ovftest.Noise(20, 9<<20)
	for _, flip := range []string{"", s.Files[0].Href} {
		s.Flip = flip
		folder := t.TempDir()
		p, err := ova.Read(t.Context(), bytes.NewReader(s.OVA(t)), "-", ova.Options{Manifest: manifest.Require, Spool: folder})
		if err != nil {
			t.Fatal(err)
		}
		kept, _ := os.ReadDir(folder)
		got, err := contents(p)
		var integrity *ovf.IntegrityError
		if flip == "" && (err != nil || !slices.ContainsFunc(got, func(m ovftest.Member) bool { return bytes.Equal(m.Content, s.Files[0].Content) })) || flip != "" && !errors.As(err, &integrity) {
			t.Errorf("flip %q: %v", flip, err)
		}
		if f := p.(ovf.Reporter).Findings(); len(kept) != 1 || len(f) == 0 || f[0].ID != ova.RuleSpooled {
			t.Errorf("%d files kept, findings %v", len(kept), f)
		}
		p.Close()
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("%d files are left", len(left))
		}
	}
}

func TestCompressedAsAWhole(t *testing.T) {
	s := sample()
	b := ovftest.Gzip(t, s.OVA(t))
	if _, err := open(b, ""); !errors.Is(err, ova.ErrCompressed) {
		t.Errorf("Open: %v, want ErrCompressed", err)
	}
	p, err := read(b, manifest.Require)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := contents(p); err != nil || len(got) != 4 {
		t.Errorf("%d files, %v", len(got), err)
	}
	damaged := bytes.Clone(b)
	damaged[len(b)-6] ^= 1 // its own checksum
	for what, b := range map[string][]byte{"cut half way": b[:len(b)/2], "cut at its end": b[:len(b)-4], "damaged": damaged} {
		p, err := read(b, "")
		if err == nil {
			_, err = contents(p)
		}
		var d *ovf.DescriptorError
		if !errors.As(err, &d) {
			t.Errorf("gzip %s: %v, want a DescriptorError", what, err)
		}
	}
}

// Names are relative to the descriptor's folder: an archive may be a folder as
// a whole.
func TestDescriptorInAFolder(t *testing.T) {
	s := sample()
	s.Prefix = "app-1.0/"
	plain := sample()
	want, err := open(plain.OVA(t), "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := contents(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []bool{false, true} {
		s.LateDescriptor = late
		both(t, s.OVA(t), manifest.Require, func(t *testing.T, p ovf.Package, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Descriptor() != "app.ovf" {
				t.Errorf("descriptor %s", p.Descriptor())
			}
			got, err := contents(p)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, files)
		})
	}
}

// What lies beside a descriptor and looks like one.
func TestSeveralDescriptors(t *testing.T) {
	s := sample()
	s.NoManifest = true
	shadow := []byte("\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
	s.Unlisted = []ovftest.Member{{Name: "._app.ovf", Content: shadow}, {Name: "._app.mf", Content: shadow}, {Name: "second.ovf", Content: []byte("<x/>")},
		{Name: "second.mf", Content: []byte("SHA256(second.ovf)= " + strings.Repeat("0", 64) + "\n")}} // which is not of app.ovf
	both(t, s.OVA(t), "", func(t *testing.T, p ovf.Package, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contents(p); err != nil || p.Descriptor() != "app.ovf" || p.Manifest() != nil {
			t.Errorf("descriptor %s, manifest %q, %v", p.Descriptor(), p.Manifest(), err)
		}
		found := p.(ovf.Reporter).Findings()
		if len(found) != 1 || found[0].ID != "OVF-PKG-002" || found[0].Object != "second.ovf" {
			t.Errorf("findings %v", found)
		}
	})
}

func TestOpenMember(t *testing.T) {
	s := sample()
	p, err := open(s.OVA(t), "")
	if err != nil {
		t.Fatal(err)
	}
	o := p.(ovf.Opener)
	if n := len(o.Members()); n != 6 {
		t.Errorf("%d members", n)
	}
	f, err := o.Open(context.Background(), "sub/my%20disk.vmdk")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := f.ReadAt(b, 450); n != 62 || err != io.EOF || !bytes.Equal(b[:62], s.Files[1].Content[450:]) {
		t.Errorf("read %d, %v", n, err)
	}
	var m *ovf.MissingFileError
	if _, err := o.Open(context.Background(), "DISK1.VMDK"); !errors.As(err, &m) || m.Nearest != "disk1.vmdk" {
		t.Errorf("error %v, want a MissingFileError that suggests disk1.vmdk", err)
	}
}
