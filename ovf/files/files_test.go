package files_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// named gives every name under which s can be opened.
func named(t *testing.T, s ovftest.Spec) map[string]func(manifest.Policy) (ovf.Package, error) {
	t.Helper()
	archive := s.WriteOVA(t)
	folder := s.WriteFolder(t)
	b, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/folder/", http.StripPrefix("/folder/", http.FileServer(http.Dir(folder))))
	mux.Handle("/", http.FileServer(http.Dir(filepath.Dir(archive))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	out := map[string]func(manifest.Policy) (ovf.Package, error){}
	for name, arg := range map[string]string{
		"ova": archive, "folder": folder, "ovf": filepath.Join(folder, s.DescriptorName()), "stdin": "-",
		"https ova": server.URL + "/" + filepath.Base(archive), "https ovf": server.URL + "/folder/" + s.DescriptorName(),
	} {
		out[name] = func(policy manifest.Policy) (ovf.Package, error) {
			return files.Open(t.Context(), arg, files.OpenOptions{Manifest: policy, Stdin: bytes.NewReader(b)})
		}
	}
	return out
}

func content(n int) []byte { return ovftest.Noise(uint64(n), n) }

// AC-18, AC-21: chunks, compression, both together, and names of all kinds, by
// every way a package can be opened.
func TestAC18AC21Contents(t *testing.T) {
	s := ovftest.Spec{
		Files: []ovftest.File{
			{Href: "plain.vmdk", Content: content(70_000), Disk: true},
			{Href: "gz.vmdk", Content: content(80_000), Compression: "gzip", Disk: true},
			{Href: "chunked.vmdk", Content: content(90_000), ChunkSize: 40_000, Disk: true},
			{Href: "both.vmdk", Content: content(100_000), Compression: "gzip", ChunkSize: 30_000, Disk: true},
			{Href: "chunked, size unknown", Content: content(50_000), ChunkSize: 25_000, Size: -1},
			{Href: "chunked, not at all", Stored: "chunked, not at all", Content: content(400), Size: 400},
			{Href: "sub/folder/my%20disk%5B1%5D.vmdk", Stored: "sub/folder/my disk[1].vmdk", Content: content(600)},
			{Href: "d[1] ü.vmdk", Content: content(700)},
			{Href: "./dot.vmdk", Stored: "dot.vmdk", Content: content(800)},
			{Href: "identity.iso", Content: content(900), Compression: "identity"},
			{Href: "empty.iso"},
		},
	}
	for way, open := range named(t, s) {
		t.Run(way, func(t *testing.T) {
			p, err := open(manifest.Require)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			i := 0
			for c, err := range files.Contents(t.Context(), p, files.Options{}) {
				if err != nil {
					t.Fatal(err)
				}
				want := s.Files[i]
				i++
				if c.Unreferenced || c.File.Href != want.Href {
					t.Fatalf("content %d is of %q, want %q", i, c.File.Href, want.Href)
				}
				if i%4 == 3 {
					continue // skipped, or half read
				}
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, want.Content) {
					t.Errorf("%s: %d bytes, want %d, %v", want.Href, len(got), len(want.Content), err)
				}
				if want.Compression == "gzip" && c.Compression != compression.Gzip {
					t.Errorf("%s: compression %s", want.Href, c.Compression)
				}
			}
			if i != len(s.Files) {
				t.Errorf("%d contents, want %d", i, len(s.Files))
			}
		})
	}
}

// What References do not name is given too, and marked.
func TestAC13Unreferenced(t *testing.T) {
	s := ovftest.Spec{Files: []ovftest.File{{Href: "a", Content: content(10)}}, Unlisted: []ovftest.Member{{Name: "vm.nvram", Content: content(20)}, {Name: "sub/x.000000007", Content: content(30)}}}
	for _, way := range []string{"ova", "folder", "stdin", "ovf"} {
		p, err := named(t, s)[way](manifest.Require)
		if err != nil {
			t.Fatal(way, err)
		}
		seen := map[string]bool{}
		for c, err := range files.Contents(t.Context(), p, files.Options{}) {
			if err != nil {
				t.Fatal(way, err)
			}
			b, err := io.ReadAll(c)
			if err != nil || int64(len(b)) != c.StoredSize {
				t.Errorf("%s: %d bytes of %d, %v", c.Name, len(b), c.StoredSize, err)
			}
			seen[c.Name] = c.Unreferenced
		}
		if len(seen) != 3 || seen["a"] || !seen["vm.nvram"] || !seen["sub/x.000000007"] {
			t.Errorf("%s: %v", way, seen)
		}
		p.Close()
	}
}

// AC-12: a missing file is named, with its File, its Disk, what is there and
// what was probably meant; before anything is read where the package can seek.
func TestAC12MissingFile(t *testing.T) {
	for _, c := range []struct {
		href, stored string
		chunk        int64
		drop         string
		missing      string
		nearest      string
	}{
		{"disk1.vmdk", "", 0, "disk1.vmdk", "disk1.vmdk", "disk2.vmdk"},
		{"Disk.vmdk", "disk.vmdk", 0, "", "Disk.vmdk", "disk.vmdk"},
		{"images/d.vmdk", "d.vmdk", 0, "", "images/d.vmdk", "d.vmdk"},
		{"chunks", "", 400, "chunks.000000001", "chunks.000000001", ""},
		{"chunks", "", 400, "chunks.000000002", "chunks.000000002", ""},
	} {
		s := ovftest.Spec{NoManifest: true, Files: []ovftest.File{
			{Href: "disk2.vmdk", Content: content(10), Disk: true},
			{Href: c.href, Stored: c.stored, ChunkSize: c.chunk, Content: content(1000), Disk: true}}, Drop: c.drop}
		for way, open := range named(t, s) {
			if way == "https ovf" && strings.Contains(c.missing, "Disk") || c.stored != "" && (way == "ovf" || way == "https ovf") {
				continue // nothing is listed that could be near
			}
			p, err := open("")
			if err != nil {
				t.Fatal(way, err)
			}
			_, seeks := p.(ovf.Opener)
			given := 0
			var last error
			for content, err := range files.Contents(t.Context(), p, files.Options{}) {
				if last = err; err == nil && !content.Unreferenced {
					if _, last = io.Copy(io.Discard, content); last == nil {
						given++
					}
				}
			}
			var m *ovf.MissingFileError
			if !errors.As(last, &m) || m.Href != c.missing || m.FileID != "file2" || len(m.Disks) != 1 || m.Disks[0] != "disk2" || m.Nearest != c.nearest || len(m.Members) == 0 {
				t.Errorf("%s: %s: %v (%+v)", c.missing, way, last, m)
			}
			if seeks && given > 0 {
				t.Errorf("%s: %s: %d files were given before", c.missing, way, given)
			}
			p.Close()
		}
	}
}

func TestBombsAndBrokenStreams(t *testing.T) {
	bomb := ovftest.Spec{Files: []ovftest.File{{Href: "d", Content: make([]byte, 2<<20), Compression: "gzip"}}}
	get := func(s ovftest.Spec, way string, policy manifest.Policy, o files.Options) (int64, error) {
		p, err := named(t, s)[way](policy)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for c, err := range files.Contents(t.Context(), p, o) {
			if err != nil {
				return 0, err
			}
			if n, err := io.Copy(io.Discard, c); err != nil {
				return n, err
			}
		}
		return 0, nil
	}
	for _, way := range []string{"ova", "stdin"} {
		n, err := get(bomb, way, "", files.Options{MaxSize: func(ovf.File) int64 { return 1 << 20 }})
		if !errors.Is(err, files.ErrTooLong) || n > 1<<20 {
			t.Errorf("%s: %d bytes, %v", way, n, err)
		}
		if _, err := get(bomb, way, "", files.Options{MaxSize: func(ovf.File) int64 { return 2 << 20 }}); err != nil {
			t.Errorf("%s: exactly as long as allowed: %v", way, err)
		}

		// A decode error waits for the digest: wrong digest 4, right digest 3 (cli.md).
		flipped := ovftest.Spec{Files: []ovftest.File{{Href: "d", Content: content(100_000), Compression: "gzip"}}, Flip: "d"}
		var i *ovf.IntegrityError
		if _, err := get(flipped, way, "", files.Options{}); !errors.As(err, &i) || i.File != "d" {
			t.Errorf("%s: flipped: %v", way, err)
		}
		broken := ovftest.Spec{Files: []ovftest.File{{Href: "d", Content: content(1000), Compression: "xz"}}}
		var d *ovf.DescriptorError
		if _, err := get(broken, way, "", files.Options{}); !errors.As(err, &d) {
			t.Errorf("%s: not xz: %v", way, err)
		}
		// What is no gzip at all, by one who reads on after that.
		p, err := named(t, ovftest.Spec{NoManifest: true, Files: []ovftest.File{{Href: "d", Content: content(1000), Compression: "gz"}, {Href: "e", Content: content(10)}}})[way]("")
		if err != nil {
			t.Fatal(err)
		}
		var first error
		for c, err := range files.Contents(t.Context(), p, files.Options{}) {
			if err != nil {
				t.Errorf("%s: no gzip, then %v", way, err)
				break
			}
			if _, err := io.ReadAll(c); err != nil && first == nil {
				first = err
			}
		}
		p.Close()
		if !errors.As(first, &d) {
			t.Errorf("%s: no gzip: %v", way, first)
		}
		unknown := ovftest.Spec{Files: []ovftest.File{{Href: "d", Content: content(1000), Compression: "rar"}}}
		if _, err := get(unknown, way, "", files.Options{}); !errors.Is(err, compression.ErrUnknown) {
			t.Errorf("%s: unknown: %v", way, err)
		}
		cut := ovftest.Gzip(t, content(100_000))
		short := ovftest.Spec{Files: []ovftest.File{{Href: "d", Content: cut[:50_000], Compression: "gz"}}}
		if _, err := get(short, way, "", files.Options{}); !errors.As(err, &d) {
			t.Errorf("%s: cut: %v", way, err)
		}
	}
}

func TestChunksOutOfOrder(t *testing.T) {
	swapped := ovftest.Spec{NoManifest: true, Files: []ovftest.File{{Href: "d", ChunkSize: 1000, Content: content(2000)}}}
	// Rename so that the archive has chunk 1 before chunk 0.
	b := swapped.OVA(t)
	first, second := []byte("d.000000000"), []byte("d.000000001")
	i, j := bytes.LastIndex(b, first), bytes.LastIndex(b, second)
	for _, x := range []struct {
		at    int
		delta byte
	}{{i, 1}, {j, 0xff}} {
		b[x.at+len(first)-1] += x.delta
		sum := x.at + 148
		copy(b[sum:], checksum(b[x.at:x.at+512]))
	}
	name := filepath.Join(t.TempDir(), "app.ova")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := append(content(2000)[1000:], content(2000)[:1000]...)
	p, err := files.Open(t.Context(), name, files.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for c, err := range files.Contents(t.Context(), p, files.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	p, err = files.Open(t.Context(), "-", files.OpenOptions{Stdin: bytes.NewReader(b)})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range files.Contents(t.Context(), p, files.Options{}) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "not in order") {
		t.Errorf("as a stream: %v", last)
	}
}

// checksum is a tar header's, as it stands in the header.
func checksum(h []byte) []byte {
	n := 8 * int(' ')
	for i, c := range h {
		if i < 148 || i >= 156 {
			n += int(c)
		}
	}
	out := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		out[i] = byte('0' + n%8)
		n /= 8
	}
	return out
}

func TestOpenNames(t *testing.T) {
	for arg, want := range map[string]error{
		"":                          files.ErrNotAPackage,
		"s3://bucket/a/../app.ova":  object.ErrNotAnObject,
		"gopher://h/app.ova":        files.ErrNotAPackage,
		filepath.Join("no", "such"): os.ErrNotExist,
	} {
		if p, err := files.Open(context.Background(), arg, files.OpenOptions{}); p != nil || !errors.Is(err, want) || arg != "" && !strings.Contains(err.Error(), arg) {
			t.Errorf("%q: %v", arg, err)
		}
	}
	empty := t.TempDir()
	if _, err := files.Open(t.Context(), empty, files.OpenOptions{}); !errors.Is(err, ovf.ErrNoDescriptor) {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(empty, "broken.ovf"), []byte("<Envelope"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := files.Open(t.Context(), empty, files.OpenOptions{}); p != nil || err == nil {
		t.Errorf("broken descriptor: %v, %v", p, err)
	}
	if err := os.Remove(filepath.Join(empty, "broken.ovf")); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"a.ovf", "b.ovf"} {
		if err := os.WriteFile(filepath.Join(empty, n), ovftest.Spec{}.Descriptor(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := files.Open(t.Context(), empty, files.OpenOptions{}); !errors.Is(err, ovf.ErrMultipleDescriptors) || !strings.Contains(err.Error(), "b.ovf") {
		t.Errorf("two descriptors: %v", err)
	}
	if p, err := files.Open(t.Context(), filepath.Join(empty, "b.ovf"), files.OpenOptions{}); err != nil || p.Descriptor() != "b.ovf" {
		t.Errorf("one of two: %v", err)
	}
}
