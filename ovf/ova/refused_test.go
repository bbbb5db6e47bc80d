package ova_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func TestCutArchive(t *testing.T) {
	s := sample()
	whole := s.OVA(t)
	at := bytes.Index(whole, s.Files[0].Content)
	for _, n := range []int{at + 1000, at + 69_999, at - 100} {
		both(t, whole[:n], "", func(t *testing.T, p ovf.Package, err error) {
			if err == nil {
				_, err = contents(p)
			}
			var d *ovf.DescriptorError
			if !errors.As(err, &d) {
				t.Fatalf("cut at %d: error %v, want a DescriptorError", n, err)
			}
			if n > at && (d.Object != "disk1.vmdk" || !strings.Contains(err.Error(), "70000") || !strings.Contains(err.Error(), strconv.Itoa(n-at))) {
				t.Errorf("cut at %d: %v does not name the member and both sizes", n, err)
			}
		})
	}
	// Neither end mark nor padding after the last file, or half an end mark: read all
	// the same, and told of, as what came last may be missing.
	end := bytes.LastIndex(whole, s.Files[3].Content) + len(s.Files[3].Content)
	padded := (end + 511) &^ 511
	for n, unended := range map[int]bool{end: true, padded: true, padded + 512: true, padded + 1024: false, len(whole): false} {
		both(t, whole[:n], manifest.Require, func(t *testing.T, p ovf.Package, err error) {
			if err == nil {
				_, err = contents(p)
			}
			if err != nil {
				t.Fatalf("without end mark, at %d: %v", n, err)
			}
			found := p.(ovf.Reporter).Findings()
			if told := slices.ContainsFunc(found, func(f ovf.Finding) bool { return f.ID == ova.RuleUnended }); told != unended {
				t.Errorf("cut at %d of %d: findings %v", n, len(whole), found)
			}
		})
	}
}

func TestRefusesByName(t *testing.T) {
	for _, c := range []struct {
		h    tar.Header
		safe bool // not a matter of paths
	}{
		{tar.Header{Typeflag: tar.TypeReg, Name: "../evil"}, false},
		{tar.Header{Typeflag: tar.TypeReg, Name: "a/../../evil"}, false},
		{tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd"}, false},
		{tar.Header{Typeflag: tar.TypeReg, Name: `..\evil`}, false},
		{tar.Header{Typeflag: tar.TypeReg, Name: `C:\evil`}, false},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc/passwd"}, false},
		{tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "/etc/passwd"}, false},
		{tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "later"}, false},
		{tar.Header{Typeflag: tar.TypeLink, Name: "app.ovf", Linkname: "app.ovf"}, true},
		{tar.Header{Typeflag: tar.TypeChar, Name: "tty"}, false},
		{tar.Header{Typeflag: tar.TypeBlock, Name: "sda"}, false},
		{tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}, false},
		{tar.Header{Typeflag: tar.TypeDir, Name: "../dir/"}, false},
		{tar.Header{Typeflag: tar.TypeReg, Name: "disk1.vmdk"}, true},
		{tar.Header{Typeflag: tar.TypeReg, Name: "./app.ovf"}, true},
	} {
		t.Run(c.h.Name, func(t *testing.T) {
			s := sample()
			s.NoManifest = true
			s.Headers = []tar.Header{c.h}
			both(t, s.OVA(t), "", func(t *testing.T, p ovf.Package, err error) {
				if err == nil {
					_, err = contents(p)
				}
				var d *ovf.DescriptorError
				if !errors.As(err, &d) || !strings.Contains(err.Error(), strings.Trim(strings.TrimPrefix(c.h.Name, "./"), `\`)) && !strings.Contains(err.Error(), "evil") {
					t.Fatalf("error %v, want a DescriptorError that names %s", err, c.h.Name)
				}
				if errors.Is(err, ovf.ErrUnsafePath) == c.safe {
					t.Errorf("%v: ErrUnsafePath is %v", err, !c.safe)
				}
			})
		})
	}
	s := sample()
	s.Headers = []tar.Header{{Typeflag: tar.TypeDir, Name: "sub/"}, {Typeflag: tar.TypeDir, Name: "./"}}
	both(t, s.OVA(t), manifest.Require, func(t *testing.T, p ovf.Package, err error) {
		if err == nil {
			_, err = contents(p)
		}
		if err != nil {
			t.Errorf("directories: %v", err)
		}
	})
}

func TestNotAnArchive(t *testing.T) {
	empty := bytes.Repeat([]byte{0}, 10240)
	for name, c := range map[string]struct {
		b    []byte
		says string
	}{
		"empty":         {nil, "it is empty"},
		"xml":           {bytes.Repeat([]byte("<?xml version='1.0'?><Envelope/>"), 50), "XML"},
		"web page":      {[]byte("<!DOCTYPE html><html>404</html>" + strings.Repeat(" ", 600)), "web page"},
		"zip":           {append([]byte("PK\x03\x04"), ovftest.Noise(1, 1000)...), "zip"},
		"vmdk":          {append([]byte("KDMV"), ovftest.Noise(1, 1000)...), "VMDK"},
		"noise":         {ovftest.Noise(9, 2000), "starts with"},
		"short":         {[]byte("short"), "5 bytes"},
		"no member":     {empty, "it is empty"},
		"no descriptor": {ovftest.Spec{Files: []ovftest.File{{Href: "other.txt", Content: []byte("x")}}, Drop: "app.ovf"}.OVA(t), "other.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, c.b, "", func(t *testing.T, p ovf.Package, err error) {
				var d *ovf.DescriptorError
				if !errors.As(err, &d) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "test.ova") {
					t.Errorf("error %v, want a DescriptorError that says %q", err, c.says)
				}
				if strings.HasPrefix(name, "no ") && !errors.Is(err, ovf.ErrNoDescriptor) {
					t.Errorf("%v is not ErrNoDescriptor", err)
				}
			})
		})
	}
}

// A hard link is the file that it is another name of, where that can be read again.
func TestHardLink(t *testing.T) {
	s := sample()
	s.NoManifest = true
	s.Headers = []tar.Header{{Typeflag: tar.TypeLink, Name: "again.ovf", Linkname: "./app.ovf"}}
	b := s.OVA(t)
	p, err := open(b, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := contents(p)
	if err != nil || len(got) != 5 || got[0].Name != "again.ovf" || !bytes.Equal(got[0].Content, s.Descriptor(t)) {
		t.Errorf("%d files, %v", len(got), err)
	}
	if r, err := read(b, ""); err == nil {
		if _, err = contents(r); !errors.Is(err, ova.ErrHardLink) {
			t.Errorf("a stream: %v, want ErrHardLink", err)
		}
	} else if !errors.Is(err, ova.ErrHardLink) {
		t.Errorf("a stream: %v, want ErrHardLink", err)
	}
}

func TestContextEndsReading(t *testing.T) {
	for name, way := range ways {
		p, err := way(sample().OVA(t), "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		m, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(m); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
