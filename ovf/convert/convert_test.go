package convert_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// image is a disk of n bytes, half noise, as streamOptimized.
func image(t testing.TB, seed uint64, n int) []byte {
	t.Helper()
	content := append(ovftest.Noise(seed, n/2), make([]byte, n-n/2)...)
	var b bytes.Buffer
	if _, err := formats.Encode(t.Context(), raw.New(bytes.NewReader(content), int64(n)), &b, disk.VMDK, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample(t testing.TB) ovftest.Spec {
	return ovftest.Spec{Files: []ovftest.File{
		{Href: "a.iso", Content: ovftest.Noise(1, 5000)},
		{Href: "sub/b.vmdk", Content: image(t, 2, 1<<20), Disk: true, Capacity: 1 << 20},
		{Href: "my%20c.vmdk", Stored: "my c.vmdk", Content: image(t, 3, 300<<10), Disk: true, Capacity: 300 << 10},
		{Href: "d.vmdk", Content: image(t, 4, 500<<10), Disk: true, Capacity: 500 << 10, Compression: "gzip", ChunkSize: 100_000},
	}, Unlisted: []ovftest.Member{{Name: "vm.nvram", Content: ovftest.Noise(9, 700)}}}
}

func open(t testing.TB, name string) ovf.Package {
	t.Helper()
	p, err := files.Open(t.Context(), name, files.OpenOptions{Manifest: manifest.Require})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func do(t testing.TB, source, target string, o convert.Options) *convert.Result {
	t.Helper()
	res, err := convert.Package(t.Context(), open(t, source), target, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// contents are the files of References with chunks joined and compression
// undone, by id; every digest has been checked.
func contents(t testing.TB, name string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for c, err := range files.Contents(t.Context(), open(t, name), files.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		key := c.File.ID
		if c.Unreferenced {
			key = c.Name
		}
		out[key] = b
	}
	return out
}

func members(t testing.TB, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Format != tar.FormatUSTAR {
			t.Errorf("%s is not ustar but %s", h.Name, h.Format)
		}
		out = append(out, h.Name)
	}
}

func equal(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	for k := range want {
		if !bytes.Equal(got[k], want[k]) {
			t.Errorf("%s: %d bytes, want %d", k, len(got[k]), len(want[k]))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// AC-19, AC-20: descriptor, manifest, then the files in the order of
// References, whatever the order they came in; ustar; the same bytes each time.
func TestAC20ReferencesOrder(t *testing.T) {
	s := sample(t)
	folder := s.WriteFolder(t)
	shuffled := filepath.Join(t.TempDir(), "shuffled.ova")
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	all := s.Members(t)
	slices.Reverse(all[2:])
	for _, m := range all {
		w.WriteHeader(&tar.Header{Name: "./" + m.Name, Size: int64(len(m.Content)), Mode: 0o600, Format: tar.FormatPAX, ModTime: time.Now()})
		w.Write(m.Content)
	}
	if err := errors.Join(w.Close(), os.WriteFile(shuffled, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	want := []string{"app.ovf", "app.mf", "a.iso", "sub/b.vmdk", "my c.vmdk", "d.vmdk.000000000", "d.vmdk.000000001", "d.vmdk.000000002", "vm.nvram"}
	var first []byte
	for _, source := range []string{folder, shuffled} {
		target := filepath.Join(t.TempDir(), "out.ova")
		do(t, source, target, convert.Options{})
		if got := members(t, target); !slices.Equal(got, want) {
			t.Errorf("%s: %v", source, got)
		}
		equal(t, contents(t, target), contents(t, folder))
		written, err := os.ReadFile(target)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = written
		} else if !bytes.Equal(first, written) {
			t.Error("the same package gives other bytes")
		}
	}
}

// AC-18: chunks and compression, alone and together, are written and read.
func TestAC18ChunksAndCompressionWritten(t *testing.T) {
	ovftest.Slow(t)
	folder := sample(t).WriteFolder(t)
	want := contents(t, folder)
	for name, tt := range map[string]struct {
		opts           convert.Options
		last, lastName string
		first          string
	}{
		"joined":           {convert.Options{ChunkSize: convert.JoinChunks}, "vm.nvram", "", ""},
		"inflated":         {convert.Options{ChunkSize: convert.JoinChunks, Compression: compression.Identity}, "vm.nvram", "", ""},
		"chunked":          {convert.Options{ChunkSize: 4000}, "", "", "a.iso.000000001"},
		"compressed":       {convert.Options{Compression: compression.Gzip}, "", "", "sub/b.vmdk.gz"},
		"both":             {convert.Options{Compression: compression.Gzip, ChunkSize: 50_000}, "", "", "sub/b.vmdk.gz.000000003"},
		"as they are":      {convert.Options{}, "", "", "d.vmdk.000000002"},
		"other chunk size": {convert.Options{ChunkSize: 70_000}, "", "", "d.vmdk.000000003"},
	} {
		for _, target := range []string{"out.ova", "out"} {
			t.Run(name+" "+target, func(t *testing.T) {
				out := filepath.Join(t.TempDir(), target)
				do(t, folder, out, tt.opts)
				equal(t, contents(t, out), want)
				var names []string
				for _, m := range open(t, out).(ovf.Opener).Members() {
					names = append(names, m.Name)
				}
				if tt.first != "" && !slices.Contains(names, tt.first) {
					t.Errorf("%s is not among %v", tt.first, names)
				}
				again := filepath.Join(t.TempDir(), "again.ova")
				do(t, out, again, convert.Options{ChunkSize: convert.JoinChunks, Compression: compression.Identity})
				equal(t, contents(t, again), want)
				for _, f := range open(t, again).Envelope().Files() {
					if f.ChunkSize > 0 || f.Compressed() {
						t.Errorf("%+v", f)
					}
				}
			})
		}
	}
}

// TestWideDescriptor: room that is left behind a descriptor in UTF-16 is filled
// with white space in UTF-16.
func TestWideDescriptor(t *testing.T) {
	spec := ovftest.Spec{Files: []ovftest.File{{Href: "b.vmdk", Content: image(t, 2, 1<<20), Disk: true, Capacity: 1 << 20}}, NoManifest: true}
	for name, order := range map[string]binary.ByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		for _, mark := range []bool{true, false} {
			t.Run(fmt.Sprint(name, mark), func(t *testing.T) {
				encoding := map[string]string{"little": "UTF-16LE", "big": "UTF-16BE"}[name]
				start := ""
				if mark {
					encoding, start = "UTF-16", "\ufeff"
				}
				text := start + strings.Replace(string(spec.Descriptor(t)), "UTF-8", encoding, 1)
				var wide bytes.Buffer
				if err := binary.Write(&wide, order, utf16.Encode([]rune(text))); err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				for name, b := range map[string][]byte{"app.ovf": wide.Bytes(), "b.vmdk": spec.Files[0].Content} {
					if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				p, err := files.Open(t.Context(), dir, files.OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				out := filepath.Join(t.TempDir(), "out.ova")
				if _, err := convert.Package(t.Context(), p, out, convert.Options{DiskFormat: disk.QCOW2}); err != nil {
					t.Fatal(err)
				}
				written := open(t, out)
				if b := written.Envelope().Bytes(); len(b) <= wide.Len() || len(b)%2 != 0 {
					t.Errorf("the descriptor has %d bytes, it had %d: nothing was padded", len(b), wide.Len())
				}
			})
		}
	}
}

// Every format of disks goes into a package and comes out with the same content.
func TestDiskFormats(t *testing.T) {
	folder := sample(t).WriteFolder(t)
	rawOut := filepath.Join(t.TempDir(), "raw")
	do(t, folder, rawOut, convert.Options{DiskFormat: disk.Raw})
	want := contents(t, rawOut)
	for _, f := range []disk.Format{disk.QCOW2, disk.VMDK, disk.VMDKSparse, disk.VHD, disk.VHDX, disk.VDI} {
		out := filepath.Join(t.TempDir(), string(f)+".ova")
		res := do(t, folder, out, convert.Options{DiskFormat: f, Recompress: true, ChunkSize: convert.JoinChunks})
		if len(res.Disks) != 3 {
			t.Errorf("%s: %d disks", f, len(res.Disks))
		}
		back := filepath.Join(t.TempDir(), "back")
		do(t, out, back, convert.Options{DiskFormat: disk.Raw})
		got := contents(t, back)
		for id := range want {
			if !bytes.HasPrefix(got[id], want[id]) || len(bytes.Trim(got[id][len(want[id]):], "\x00")) > 0 {
				t.Errorf("%s: %s has other content", f, id)
			}
		}
		for _, d := range open(t, out).Envelope().Disks() {
			if is, ok := formats.OfURI(d.Format); !ok || is != f {
				t.Errorf("%s: disk %s says %s", f, d.ID, d.Format)
			}
		}
	}
}

// What cannot seek converts as well, to a file and to a stream.
func TestStreams(t *testing.T) {
	s := sample(t)
	s.Unlisted = nil
	want := contents(t, s.WriteFolder(t))
	b := s.OVA(t)
	late := s
	late.LateDescriptor = true
	stdin := func(b []byte) ovf.Package {
		p, err := files.Open(t.Context(), "-", files.OpenOptions{Manifest: manifest.Require, Stdin: bytes.NewReader(b), Spool: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	for name, source := range map[string]func() ovf.Package{
		"stream": func() ovf.Package { return stdin(b) }, "late descriptor": func() ovf.Package { return stdin(late.OVA(t)) },
		"folder": func() ovf.Package { return open(t, s.WriteFolder(t)) },
	} {
		for how, o := range map[string]convert.Options{"plain": {}, "edited": {Edit: edit.Options{Name: "n"}}, "encoded": {DiskFormat: disk.QCOW2},
			"chunked": {ChunkSize: 30_000}, "sha512": {Algorithm: manifest.SHA512}, "removed": {Edit: edit.Options{Remove: []string{"a.iso"}}}} {
			t.Run(name+" "+how, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "file.ova")
				if _, err := convert.Package(t.Context(), source(), file, o); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				o.Spool = t.TempDir()
				if _, err := convert.Stream(t.Context(), source(), &out, o); err != nil {
					t.Fatal(err)
				}
				if left, _ := os.ReadDir(o.Spool); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
				stream := filepath.Join(t.TempDir(), "stream.ova")
				if err := os.WriteFile(stream, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				got, other := contents(t, file), contents(t, stream)
				if how == "encoded" {
					return
				}
				expected := want
				if how == "removed" {
					expected = map[string][]byte{"file2": want["file2"], "file3": want["file3"], "file4": want["file4"]}
				}
				equal(t, got, expected)
				equal(t, other, expected)
			})
		}
	}
	flipped := s
	flipped.Flip, flipped.Algorithm = "sub/b.vmdk", manifest.SHA1
	var integrity *ovf.IntegrityError
	if _, err := convert.Stream(t.Context(), open(t, flipped.WriteOVA(t)), io.Discard, convert.Options{}); !errors.As(err, &integrity) || integrity.File != flipped.Flip {
		t.Errorf("a wrong digest by another algorithm: %v", err)
	}
}

// Files come and go; a preview says what the descriptor will be.
func TestFilesAndPreview(t *testing.T) {
	folder := sample(t).WriteFolder(t)
	extra := []byte("a new file\n")
	o := convert.Options{Version: ovf.V2, Edit: edit.Options{Remove: []string{"file1", "sub/b.vmdk"}},
		Add: []convert.File{{ID: "new", Href: "new.txt", Size: int64(len(extra)), Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(extra)), nil
		}}}}
	p, err := convert.Look(t.Context(), open(t, folder), o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	do(t, folder, out, o)
	written, err := os.ReadFile(filepath.Join(out, "app.ovf"))
	if err != nil || !bytes.Equal(written, p.After) {
		t.Errorf("%v: the preview differs:\n%s", err, edit.Diff("app.ovf", p.After, written))
	}
	got := contents(t, out)
	if !bytes.Equal(got["new"], extra) || got["file1"] != nil || got["file2"] != nil || got["file3"] == nil {
		t.Errorf("%d files", len(got))
	}
	o.Add[0].Size++
	if _, err := convert.Package(t.Context(), open(t, folder), filepath.Join(t.TempDir(), "bad.ova"), o); err == nil || !strings.Contains(err.Error(), "new.txt") {
		t.Errorf("a file of another size: %v", err)
	}
	encoded, err := convert.Look(t.Context(), open(t, folder), convert.Options{DiskFormat: disk.Raw})
	if err != nil || !bytes.Contains(encoded.After, []byte(`ovf:href="d.raw"`)) || bytes.Contains(encoded.After, []byte("chunkSize")) {
		t.Errorf("%v\n%s", err, encoded.After)
	}
}

// What fails leaves nothing, and what stood there stays.
func TestNothingHalf(t *testing.T) {
	s := sample(t)
	s.Flip = "sub/b.vmdk"
	for _, target := range []string{"out.ova", "out/"} {
		parent := t.TempDir()
		out := filepath.Join(parent, target)
		for _, o := range []convert.Options{{}, {DiskFormat: disk.QCOW2, Recompress: true}, {ChunkSize: 1000}, {Compression: compression.Gzip}} {
			if _, err := convert.Package(t.Context(), open(t, s.WriteOVA(t)), out, o); err == nil {
				t.Errorf("%s %+v: no error", target, o)
			}
			if list, _ := os.ReadDir(parent); len(list) > 0 {
				t.Errorf("%s: left behind %v", target, list)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := convert.Package(ctx, open(t, sample(t).WriteOVA(t)), filepath.Join(t.TempDir(), "x.ova"), convert.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func ExamplePackage() {
	folder, _ := os.MkdirTemp("", "convert")
	defer os.RemoveAll(folder)
	descriptor := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f" ovf:href="readme.txt"/></References><VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>`
	os.WriteFile(filepath.Join(folder, "app.ovf"), []byte(descriptor), 0o644)
	os.WriteFile(filepath.Join(folder, "readme.txt"), []byte("hello"), 0o644)

	ctx := context.Background()
	pkg, err := files.Open(ctx, filepath.Join(folder, "app.ovf"), files.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pkg.Close()
	out := filepath.Join(folder, "app.ova")
	if _, err := convert.Package(ctx, pkg, out, convert.Options{Edit: edit.Options{Name: "renamed"}, Algorithm: manifest.SHA512}); err != nil {
		fmt.Println(err)
		return
	}
	again, err := files.Open(ctx, out, files.OpenOptions{Manifest: manifest.Require})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer again.Close()
	c, _ := again.Envelope().Content()
	for _, m := range again.(ovf.Opener).Members() {
		fmt.Println(m.Name)
	}
	fmt.Println(c.Name)
	// Output:
	// app.ovf
	// app.mf
	// readme.txt
	// renamed
}
