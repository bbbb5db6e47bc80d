package ova_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// open opens an archive in memory for random access.
func open(b []byte, policy manifest.Policy) (ovf.Package, error) {
	p, err := ova.Open(context.Background(), bytes.NewReader(b), int64(len(b)), "test.ova", ova.Options{Manifest: policy})
	if err != nil {
		return nil, err // not a nil Opener in a Package
	}
	return p, nil
}

// read reads it as a stream that gives little at a time.
func read(b []byte, policy manifest.Policy) (ovf.Package, error) {
	return ova.Read(context.Background(), iotest.HalfReader(bytes.NewReader(b)), "test.ova", ova.Options{Manifest: policy})
}

var ways = map[string]func([]byte, manifest.Policy) (ovf.Package, error){"open": open, "read": read}

// contents reads a package to its end.
func contents(p ovf.Package) ([]ovftest.Member, error) {
	defer p.Close()
	var out []ovftest.Member
	for {
		m, err := p.Next(context.Background())
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		b, err := io.ReadAll(m)
		if err != nil {
			return out, err
		}
		if m.Size >= 0 && int64(len(b)) != m.Size {
			return out, errors.New("size of " + m.Name + " is not what was announced")
		}
		out = append(out, ovftest.Member{Name: m.Name, Content: b})
	}
}

func both(t *testing.T, b []byte, policy manifest.Policy, verdict func(t *testing.T, p ovf.Package, err error)) {
	t.Helper()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			p, err := way(b, policy)
			verdict(t, p, err)
		})
	}
}

func sample() ovftest.Spec {
	return ovftest.Spec{Files: []ovftest.File{
		{Href: "disk1.vmdk", Content: ovftest.Noise(1, 70_000), Disk: true},
		{Href: "sub/my disk.vmdk", Content: ovftest.Noise(2, 512), Disk: true},
		{Href: "d[1].vmdk", Content: nil},
		{Href: "größe.iso", Content: ovftest.Noise(3, 1025)},
	}}
}

func TestAC19ReadsWhatProducersWrite(t *testing.T) {
	for name, change := range map[string]func(*ovftest.Spec){
		"plain":           func(*ovftest.Spec) {},
		"ustar":           func(s *ovftest.Spec) { s.Format = tar.FormatUSTAR; s.Files = s.Files[:3] },
		"pax":             func(s *ovftest.Spec) { s.Format = tar.FormatPAX },
		"gnu":             func(s *ovftest.Spec) { s.Format = tar.FormatGNU },
		"dot slash":       func(s *ovftest.Spec) { s.Prefix = "./" },
		"manifest last":   func(s *ovftest.Spec) { s.ManifestLast = true },
		"manifest sha1":   func(s *ovftest.Spec) { s.ManifestLast, s.Algorithm = true, manifest.SHA1 },
		"manifest sha512": func(s *ovftest.Spec) { s.ManifestLast, s.Algorithm = true, manifest.SHA512 },
		"no manifest":     func(s *ovftest.Spec) { s.NoManifest = true },
		"descriptor last": func(s *ovftest.Spec) { s.LateDescriptor = true },
		"long names": func(s *ovftest.Spec) {
			s.Files[0].Href = strings.Repeat("long/", 60) + "disk.vmdk"
			s.Files[1].Href = strings.Repeat("x", 150)
			s.Format = tar.FormatGNU
		},
		"long names, pax": func(s *ovftest.Spec) { s.Files[0].Href = strings.Repeat("long/", 60) + "disk.vmdk" },
		"long names, ustar": func(s *ovftest.Spec) {
			s.Files = s.Files[:1]
			s.Files[0].Href = strings.Repeat("long/", 25) + "disk.vmdk"
			s.Format = tar.FormatUSTAR
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample()
			change(&s)
			b := s.OVA(t)
			var want []ovftest.Member
			for _, m := range s.Members(t) {
				if m.Name != "app.ovf" && m.Name != "app.mf" {
					want = append(want, m)
				}
			}
			policy := manifest.Require
			if s.NoManifest {
				policy = manifest.Verify
			}
			both(t, b, policy, func(t *testing.T, p ovf.Package, err error) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Descriptor() != "app.ovf" || !bytes.Equal(p.Envelope().Bytes(), s.Descriptor(t)) {
					t.Error("another descriptor")
				}
				got, err := contents(p)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, got, want)
				if (p.Manifest() == nil) != s.NoManifest {
					t.Errorf("manifest %q", p.Manifest())
				}
			})
		})
	}
}

func equal(t *testing.T, got, want []ovftest.Member) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Name != want[i].Name || !bytes.Equal(got[i].Content, want[i].Content) {
			t.Errorf("file %d is %s of %d bytes, want %s of %d", i, got[i].Name, len(got[i].Content), want[i].Name, len(want[i].Content))
		}
	}
}

// Without reading the files at all, their digests are checked all the same.
func TestAC27FlippedByte(t *testing.T) {
	for _, last := range []bool{false, true} {
		for _, file := range []string{"disk1.vmdk", "app.ovf", "sub/my disk.vmdk"} {
			s := sample()
			s.Flip, s.ManifestLast = file, last
			if file == "app.ovf" {
				s.Files[0].Size = -1 // so that the middle of the descriptor is text
			}
			both(t, s.OVA(t), "", func(t *testing.T, p ovf.Package, err error) {
				if err != nil {
					var d *ovf.DescriptorError
					if file == "app.ovf" && errors.As(err, &d) {
						return // the flip broke the XML
					}
					t.Fatal(err)
				}
				for err == nil {
					_, err = p.Next(context.Background())
				}
				var i *ovf.IntegrityError
				if !errors.As(err, &i) || i.File != file || i.Algorithm != "sha256" || len(i.Actual) != 64 || len(i.Expected) != 64 {
					t.Errorf("last=%v: error %v, want an IntegrityError about %s", last, err, file)
				}
				if _, again := p.Next(context.Background()); again != err {
					t.Errorf("the error does not stay: %v", again)
				}
			})
		}
	}
}

// counting is a 100 GiB archive of which hardly anything is stored.
type counting struct {
	io.ReaderAt
	read int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.read += int64(n)
	return n, err
}

func TestHugeArchiveIsIndexedFromHeaders(t *testing.T) {
	name := filepath.Join(t.TempDir(), "huge.ova")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := ovftest.Spec{NoManifest: true, Files: []ovftest.File{{Href: "d1.vmdk", Disk: true}, {Href: "d2.vmdk", Disk: true}}}
	descriptor := s.Descriptor(t)
	const big = 50 << 30
	w := tar.NewWriter(f)
	for _, h := range []tar.Header{{Name: "app.ovf", Size: int64(len(descriptor))}, {Name: "d1.vmdk", Size: big}, {Name: "d2.vmdk", Size: big}} {
		h.Typeflag, h.Format = tar.TypeReg, tar.FormatGNU
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size == big {
			if _, err := f.Seek(big, io.SeekCurrent); err != nil {
				t.Fatal(err)
			}
			w = tar.NewWriter(f)
			continue
		}
		if _, err := w.Write(descriptor); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, _ := f.Stat()
	if info.Size() < 2*big {
		t.Fatalf("archive has %d bytes", info.Size())
	}
	c := &counting{ReaderAt: f}
	p, err := ova.Open(context.Background(), c, info.Size(), name, ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.read > 64<<10 {
		t.Errorf("read %d bytes", c.read)
	}
	if m := p.Members(); len(m) != 3 || m[2] != (ovf.MemberInfo{Name: "d2.vmdk", Size: big}) {
		t.Errorf("members %v", m)
	}
}

// What the shared corpus holds, by both ways of reading. The labels are those of its INDEX.tsv.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(ovftest.Corpus(t, "ova"), "*.ova"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := read(b, manifest.Ignore)
			switch {
			case strings.Contains(name, "wrong_ova"):
				if err == nil || !strings.Contains(err.Error(), "XML") {
					t.Errorf("error %v", err)
				}
				return
			case strings.Contains(name, "no_ovf"):
				if !errors.Is(err, ovf.ErrNoDescriptor) {
					t.Errorf("error %v", err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			read, err := contents(r)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(name, "ganeti") {
				if _, err := open(b, ""); !errors.Is(err, ova.ErrCompressed) {
					t.Errorf("error %v, want ErrCompressed", err)
				}
				return
			}
			o, err := open(b, manifest.Ignore)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := contents(o)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, opened, read)
			for way, open := range ways {
				p, err := open(b, "")
				if err == nil {
					_, err = contents(p)
				}
				var i *ovf.IntegrityError
				if broken := strings.Contains(name, "ourOVF"); broken != errors.As(err, &i) || !broken && err != nil {
					t.Errorf("%s: %v", way, err)
				}
			}
		})
	}
}
