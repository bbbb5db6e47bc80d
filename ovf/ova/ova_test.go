package ova_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	// Neither end mark nor padding after the last file: read all the same.
	end := bytes.LastIndex(whole, s.Files[3].Content) + len(s.Files[3].Content)
	both(t, whole[:end], manifest.Require, func(t *testing.T, p ovf.Package, err error) {
		if err == nil {
			_, err = contents(p)
		}
		if err != nil {
			t.Errorf("without end mark: %v", err)
		}
	})
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
	s.Unlisted = []ovftest.Member{{Name: "._app.ovf", Content: shadow}, {Name: "._app.mf", Content: shadow}, {Name: "second.ovf", Content: []byte("<x/>")}}
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
