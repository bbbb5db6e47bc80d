package ova_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func layoutSpec(t testing.TB, s ovftest.Spec) ova.LayoutSpec {
	spec := ova.LayoutSpec{Name: "out.ova", Descriptor: "app.ovf", Envelope: s.Descriptor(t)}
	for _, f := range s.Files {
		spec.Files = append(spec.Files, ova.LayoutFile{Name: f.Href, Size: int64(len(f.Content)), Content: bytes.NewReader(f.Content)})
	}
	return spec
}

func newLayout(t testing.TB, spec ova.LayoutSpec) *ova.Layout {
	t.Helper()
	l, err := ova.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func stream(t testing.TB, l *ova.Layout) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Stream(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLayoutIsAPackage(t *testing.T) {
	s := sample()
	s.Files[0].Href = strings.Repeat("long/", 60) + "disk.vmdk"
	s.Files[2].Href = strings.Repeat("prefix/", 20) + "disk.vmdk"
	l := newLayout(t, layoutSpec(t, s))
	b := stream(t, l)
	if int64(len(b)) != l.Size() {
		t.Fatalf("%d bytes, announced %d", len(b), l.Size())
	}
	for name, way := range ways {
		p, err := way(b, manifest.Require)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := contents(p)
		if err != nil {
			t.Fatal(name, err)
		}
		var want []ovftest.Member
		for _, f := range s.Files {
			want = append(want, ovftest.Member{Name: f.Href, Content: f.Content})
		}
		equal(t, got, want)
	}
	for _, m := range l.Members()[1:5] {
		i := bytes.Index(b, b[m.Offset:m.Offset+m.Size])
		if m.Size > 0 && int64(i) != m.Offset {
			t.Errorf("%s is at %d, announced at %d", m.Name, i, m.Offset)
		}
	}
	if again := stream(t, newLayout(t, layoutSpec(t, s))); !bytes.Equal(again, b) {
		t.Error("not reproducible")
	}
	if bytes.Contains(b, []byte("PaxHeader")) {
		t.Error("PAX header written")
	}
}

// GNU tar lists and extracts what we write, by both writers.
func TestGNUTarReadsIt(t *testing.T) {
	program := gnuTar(t)
	s := sample()
	s.Files[0].Href = strings.Repeat("long/", 60) + "disk.vmdk"
	s.Files[2].Href = strings.Repeat("prefix/", 20) + "disk.vmdk"
	laid := filepath.Join(t.TempDir(), "laid.ova")
	if err := os.WriteFile(laid, stream(t, newLayout(t, layoutSpec(t, s))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{laid, write(t, s)} {
		folder := t.TempDir()
		out, err := exec.Command(program, "-C", folder, "-xvf", name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if n := strings.Count(string(out), "\n"); n != 6 {
			t.Errorf("tar lists %d files:\n%s", n, out)
		}
		for _, f := range s.Files {
			if got, err := os.ReadFile(filepath.Join(folder, f.Href)); err != nil || !bytes.Equal(got, f.Content) {
				t.Errorf("%s: %d bytes, %v", f.Href, len(got), err)
			}
		}
	}
}

// write writes s with Create.
func write(t testing.TB, s ovftest.Spec) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "app.ova")
	var names []string
	for _, f := range s.Files {
		names = append(names, f.Href)
	}
	descriptor := s.Descriptor(t)
	w, err := ova.Create(target, ova.WriterOptions{DescriptorSize: int64(len(descriptor)) + 300, Files: names})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Files {
		m, err := w.Create(t.Context(), f.Href)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(m, bytes.NewReader(f.Content)); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("archive is there before Finish: %v", err)
	}
	if err := w.Finish(t.Context(), descriptor); err != nil {
		t.Fatal(err)
	}
	return target
}

type zeroes struct{ size int64 }

func (z zeroes) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), z.size-off)
	clear(p[:n])
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Members over 8 GiB have base-256 sizes, which GNU tar and archive/tar understand.
func TestAC19Base256(t *testing.T) {
	const big = 9 << 30
	digest := strings.Repeat("ab", 32)
	spec := ova.LayoutSpec{Name: "big.ova", Descriptor: "app.ovf", Envelope: ovftest.Spec{}.Descriptor(t), Files: []ova.LayoutFile{
		{Name: "big.vmdk", Size: big, Content: zeroes{big}, Digest: digest}, {Name: "small", Size: 5, Content: zeroes{5}}}}
	l := newLayout(t, spec)
	p, err := ova.Open(t.Context(), l, l.Size(), "big.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Members(); m[1].Name != "big.vmdk" || m[1].Size != big || m[2].Size != 5 {
		t.Errorf("members %v", m)
	}
	if !bytes.Contains(p.Manifest(), []byte("SHA256(big.vmdk)= "+digest+"\n")) {
		t.Errorf("manifest %s", p.Manifest())
	}
	program := gnuTar(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "big.ova"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(l.Size()); err != nil { // sparse; the zeros of big.vmdk are there already
		t.Fatal(err)
	}
	m := l.Members()[1]
	for _, part := range [][2]int64{{0, m.Offset}, {m.Offset + m.Size, l.Size()}} {
		b := make([]byte, part[1]-part[0])
		if _, err := l.ReadAt(b, part[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, part[0]); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(program, "-tvf", f.Name()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprint(int64(big))) || strings.Count(string(out), "\n") != 4 {
		t.Errorf("tar: %v\n%s", err, out)
	}
}

// reads counts the bytes of content that were asked for.
type reads struct {
	io.ReaderAt
	n *atomic.Int64
}

func (r reads) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n.Add(int64(n))
	return n, err
}

func TestLayoutDigests(t *testing.T) {
	s := sample()
	var n atomic.Int64
	counted := func() ova.LayoutSpec {
		n.Store(0)
		spec := layoutSpec(t, s)
		for i := range spec.Files {
			spec.Files[i].Content = reads{spec.Files[i].Content, &n}
		}
		return spec
	}
	var content int64
	for _, f := range s.Files {
		content += int64(len(f.Content))
	}
	l := newLayout(t, counted())
	want := stream(t, l)
	if n.Load() != content {
		t.Errorf("in sequence: %d bytes read for %d of content", n.Load(), content)
	}
	digests := l.Digests()
	if len(digests) != 4 {
		t.Errorf("digests %v", digests)
	}

	// The manifest alone: everything is read once, by however many ask.
	l = newLayout(t, counted())
	mf := l.Members()[5]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b := make([]byte, mf.Size)
			if _, err := l.ReadAt(b, mf.Offset); err != nil || !bytes.Equal(b, want[mf.Offset:mf.Offset+mf.Size]) {
				t.Errorf("manifest %q, %v", b, err)
			}
		})
	}
	wg.Wait()
	if n.Load() != content {
		t.Errorf("for the manifest: %d bytes read for %d of content", n.Load(), content)
	}

	// With digests from a journal nothing is read.
	l = newLayout(t, counted())
	if err := l.SetDigests(digests); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, mf.Size)
	if _, err := l.ReadAt(b, mf.Offset); err != nil || !bytes.Equal(b, want[mf.Offset:mf.Offset+mf.Size]) || n.Load() != 0 {
		t.Errorf("%d bytes read, %v", n.Load(), err)
	}
	if err := l.SetDigests(map[string]string{"disk1.vmdk": strings.Repeat("0", 64)}); err == nil {
		t.Error("another digest is taken")
	}
	if err := l.SetDigests(map[string]string{"nothing": strings.Repeat("0", 64)}); err == nil {
		t.Error("a digest of no file is taken")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newLayout(t, counted()).At(ctx).ReadAt(b, mf.Offset); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Any reads in any order give the same bytes, with many readers at once.
func TestLayoutAnywhere(t *testing.T) {
	s := sample()
	want := stream(t, newLayout(t, layoutSpec(t, s)))
	l := newLayout(t, layoutSpec(t, s))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			step := 700 + 37*i
			for off := len(want) - 1; off >= 0; off -= step {
				b := make([]byte, min(1500, len(want)-off))
				if n, err := l.ReadAt(b, int64(off)); n != len(b) || err != nil || !bytes.Equal(b, want[off:off+len(b)]) {
					t.Errorf("at %d: %d bytes, %v", off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b := make([]byte, 100)
	if n, err := l.ReadAt(b, l.Size()-50); n != 50 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := l.ReadAt(b, l.Size()); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
}

func TestLayoutServed(t *testing.T) {
	l := newLayout(t, layoutSpec(t, sample()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "app.ova", time.Time{}, io.NewSectionReader(l, 0, l.Size()))
	}))
	defer server.Close()
	want := stream(t, newLayout(t, layoutSpec(t, sample())))
	req, _ := http.NewRequest("GET", server.URL, nil)
	req.Header.Set("Range", "bytes=70000-")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 206 || !bytes.Equal(b, want[70000:]) {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(b), err)
	}
}

func TestLayoutRefuses(t *testing.T) {
	for name, change := range map[string]func(*ova.LayoutSpec){
		"parent":            func(s *ova.LayoutSpec) { s.Files[0].Name = "../x" },
		"absolute":          func(s *ova.LayoutSpec) { s.Files[0].Name = "/x" },
		"twice":             func(s *ova.LayoutSpec) { s.Files[0].Name = s.Files[1].Name },
		"the manifest":      func(s *ova.LayoutSpec) { s.Files[0].Name = "app.mf" },
		"the descriptor":    func(s *ova.LayoutSpec) { s.Files[0].Name = "app.ovf" },
		"negative":          func(s *ova.LayoutSpec) { s.Files[0].Size = -1 },
		"digest":            func(s *ova.LayoutSpec) { s.Files[0].Digest = "00" },
		"algorithm":         func(s *ova.LayoutSpec) { s.Algorithm = "md5" },
		"no descriptor":     func(s *ova.LayoutSpec) { s.Descriptor = "app.xml" },
		"control in a name": func(s *ova.LayoutSpec) { s.Files[0].Name = "a\nb" },
	} {
		spec := layoutSpec(t, sample())
		change(&spec)
		if _, err := ova.NewLayout(spec); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	spec := layoutSpec(t, sample())
	spec.Files[0].Size += 10
	if err := newLayout(t, spec).Stream(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "disk1.vmdk") {
		t.Errorf("content shorter than announced: %v", err)
	}
}

// A StreamWriter gives the bytes that a Layout of the same files has.
func TestStreamWriter(t *testing.T) {
	s := sample()
	s.Files[0].Href = strings.Repeat("long/", 60) + "größe.vmdk"
	spec := layoutSpec(t, s)
	spec.NoManifest = true
	var b bytes.Buffer
	w := ova.NewStreamWriter(&b, time.Time{})
	put := func(name string, content []byte) {
		f, err := w.Create(name, int64(len(content)))
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("app.ovf", spec.Envelope)
	for _, f := range s.Files {
		put(f.Href, f.Content)
	}
	if _, err := w.Create("app.ovf", 1); err == nil {
		t.Error("a name is taken twice")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), stream(t, newLayout(t, spec))) {
		t.Error("not what a Layout gives")
	}
	f, err := ova.NewStreamWriter(io.Discard, time.Time{}).Create("a", 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("four")); err == nil {
		t.Error("more than the size is taken")
	}
	short := ova.NewStreamWriter(io.Discard, time.Time{})
	if _, err := short.Create("a", 3); err != nil {
		t.Fatal(err)
	}
	if err := short.Close(); err == nil {
		t.Error("less than the size is taken")
	}
}
