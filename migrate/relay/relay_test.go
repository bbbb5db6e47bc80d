package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

type memory struct{ *bytes.Reader }

func (m memory) Size() int64 { return m.Reader.Size() }

// sample is a package of two disks, each between other bytes, and the digests
// of the disks.
func sample(t *testing.T) (memory, []Disk, map[string]disk.Digest) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(strings.Repeat("header", 100))
	var disks []Disk
	digests := map[string]disk.Digest{}
	for i := range 2 {
		content := make([]byte, 5<<20+512)
		r := rand.New(rand.NewPCG(uint64(i), 1))
		for _, at := range []int{0, 1<<20 + 4096, 3 << 20, 5 << 20} {
			for j := range 256 {
				content[at+j] = byte(r.Uint32())
			}
		}
		img := raw.New(bytes.NewReader(content), int64(len(content)))
		off := int64(b.Len())
		if _, err := vmdk.Encode(t.Context(), img, &b, vmdk.EncodeOptions{}); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("disk%d", i)
		d, err := disk.ContentDigest(t.Context(), img, img.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		digests[id] = d
		disks = append(disks, Disk{ID: id, Name: id + ".vmdk", Offset: off, Size: int64(b.Len()) - off, Capacity: -1})
		b.WriteString("between")
	}
	return memory{bytes.NewReader(b.Bytes())}, disks, digests
}

// blocks is a journal in memory.
type blocks struct {
	mu   sync.Mutex
	upto map[string]int64
	sums map[string][]Block
}

func (b *blocks) add(id string, upto int64, some []Block) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.upto[id] = upto
	b.sums[id] = append(b.sums[id], some...)
	return nil
}

// TestTap: however the bytes are asked for, the digest of every disk is found:
// in the pass where they came in order, else from what is known and the rest.
func TestTap(t *testing.T) {
	src, disks, want := sample(t)
	for name, read := range map[string]func(t *testing.T, r io.ReaderAt){
		"in order": func(t *testing.T, r io.ReaderAt) { sweep(t, r, 0, src.Size(), 10_007) },
		"probed first, in pieces, overlapping": func(t *testing.T, r io.ReaderAt) {
			sweep(t, r, 0, 512, 512)
			for off := int64(0); off < src.Size(); off += 50_000 {
				sweep(t, r, off, min(off+60_000, src.Size()), 4096)
			}
		},
		"two readers": func(t *testing.T, r io.ReaderAt) {
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { sweep(t, r, 0, src.Size(), 7000) })
			}
			wg.Wait()
		},
		"half": func(t *testing.T, r io.ReaderAt) { sweep(t, r, 0, src.Size()/3, 4096) },
		"gap":  func(t *testing.T, r io.ReaderAt) { sweep(t, r, 70_000, src.Size(), 4096) },
	} {
		t.Run(name, func(t *testing.T) {
			known := &blocks{upto: map[string]int64{}, sums: map[string][]Block{}}
			tap := NewTap(t.Context(), src, disks, TapOptions{Blocks: known.add})
			read(t, tap)
			passed := 0
			tap.Close()
			for _, d := range disks {
				if res, ok := tap.Digest(d.ID); ok {
					passed++
					if res.Digest != want[d.ID] {
						t.Errorf("%s: digest in the pass %s, want %s", d.ID, res.Digest, want[d.ID])
					}
				}
				// As after a restart: from what the journal has, and the rest.
				d.Known = known.upto[d.ID]
				got, err := Complete(t.Context(), src, d, func(yield func(Block) error) error {
					for _, b := range known.sums[d.ID] {
						if err := yield(b); err != nil {
							return err
						}
					}
					return nil
				}, nil)
				if err != nil || got != want[d.ID] {
					t.Errorf("%s: completed digest %s, want %s: %v", d.ID, got, want[d.ID], err)
				}
			}
			if inOrder := name != "half" && name != "gap"; inOrder && passed != len(disks) {
				t.Errorf("%d of %d disks digested in the pass", passed, len(disks))
			}
		})
	}
}

func sweep(t *testing.T, r io.ReaderAt, from, to int64, piece int) {
	buf := make([]byte, piece)
	for off := from; off < to; off += int64(piece) {
		if _, err := r.ReadAt(buf[:min(int64(piece), to-off)], off); err != nil && err != io.EOF {
			t.Error(err)
			return
		}
	}
}

func serveSample(t *testing.T) (*Server, memory) {
	t.Helper()
	src, _, _ := sample(t)
	return serveOne(t, "127.0.0.1:0", "v1", src), src
}

// ask sends a request, for a range unless that is empty, and reads the answer;
// more are header fields, each followed by its value.
func ask(t *testing.T, method, url, rng string, more ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rng != "" {
		req.Header.Set("Range", rng)
	}
	for i := 0; i+1 < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// serveOne serves content as package.ova until the test ends.
func serveOne(t *testing.T, listen, version string, content Content) *Server {
	t.Helper()
	s, err := Serve(ServerOptions{Listen: listen, Token: "0123456789abcdef"}, Offer{Name: "package.ova", Version: version, Content: content, Size: content.Size()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestServer(t *testing.T) {
	s, src := serveSample(t)
	whole, _ := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	res, b := ask(t, "GET", s.URL(), "")
	if res.StatusCode != 200 || !bytes.Equal(b, whole) || res.ContentLength != src.Size() || res.Header.Get("Content-Type") != "application/ovf" || res.Header.Get("ETag") != `"v1"` {
		t.Errorf("whole: %s, %d bytes, %v", res.Status, len(b), res.Header)
	}
	res, b = ask(t, "GET", s.URL(), "bytes=1000-1999")
	if res.StatusCode != 206 || !bytes.Equal(b, whole[1000:2000]) {
		t.Errorf("range: %s, %d bytes", res.Status, len(b))
	}
	res, b = ask(t, "GET", s.URL(), fmt.Sprintf("bytes=%d-", src.Size()-10))
	if res.StatusCode != 206 || !bytes.Equal(b, whole[len(whole)-10:]) {
		t.Errorf("tail: %s, %d bytes", res.Status, len(b))
	}
	if res, _ = ask(t, "HEAD", s.URL(), ""); res.ContentLength != src.Size() {
		t.Errorf("head: %d", res.ContentLength)
	}
	if res, _ = ask(t, "GET", strings.Replace(s.URL(), "0123", "0124", 1), ""); res.StatusCode != 404 {
		t.Errorf("wrong token: %s", res.Status)
	}
	if res, _ = ask(t, "PUT", s.URL(), ""); res.StatusCode != 405 {
		t.Errorf("PUT: %s", res.Status)
	}
	if got := s.Sent(); got != src.Size()+1000+10 {
		t.Errorf("sent %d", got)
	}
}

// TestRestart: a relay that is closed and opened again on its address, under
// its token, gives the same bytes from any offset.
func TestRestart(t *testing.T) {
	s, src := serveSample(t)
	url, addr := s.URL(), s.Addr()
	s.Close()
	again := serveOne(t, addr, "v1", src)
	if again.URL() != url {
		t.Errorf("URL %s, was %s", again.URL(), url)
	}
	if res, b := ask(t, "GET", url, "bytes=5-", "If-Range", `"v1"`); res.StatusCode != 206 || int64(len(b)) != src.Size()-5 {
		t.Errorf("%s, %d bytes", res.Status, len(b))
	}
}

// TestReadsNoMoreThanAsked: AC-07; a small range costs no read-ahead.
func TestReadsNoMoreThanAsked(t *testing.T) {
	src, _, _ := sample(t)
	tap := NewTap(t.Context(), src, nil, TapOptions{})
	defer tap.Close()
	s := serveOne(t, "127.0.0.1:0", "", tap)
	ask(t, "GET", s.URL(), "bytes=100-611")
	if got := tap.Read(); got != 512 {
		t.Errorf("512 bytes were asked for, %d read", got)
	}
}

// broken fails behind an offset.
type broken struct {
	memory
	at int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		return 0, fmt.Errorf("the source is gone")
	}
	return b.memory.ReadAt(p, off)
}

// TestSourceFails: an answer that is cut is never taken for whole, and the
// relay knows that it was the source.
func TestSourceFails(t *testing.T) {
	src, _, _ := sample(t)
	tap := NewTap(t.Context(), broken{src, src.Size() / 2}, nil, TapOptions{})
	defer tap.Close()
	s := serveOne(t, "127.0.0.1:0", "", tap)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL(), nil)
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the cut answer looks whole")
	}
	if tap.Err() == nil {
		t.Error("the tap does not tell that the source failed")
	}
}

func TestDigestsPrefix(t *testing.T) {
	content := bytes.Repeat([]byte{7}, 3<<20)
	sum := func(b []byte) disk.Digest {
		d, err := disk.ContentDigest(context.Background(), raw.New(bytes.NewReader(b), int64(len(b))), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		size int
		tail byte
		rest bool
		same bool
	}{{2 << 20, 0, true, true}, {2 << 20, 1, false, true}, {2<<20 + 512, 0, true, true}, {2<<20 + 512, 1, true, false}} {
		p := newPrefix(int64(c.size))
		b := bytes.Clone(content)
		clear(b[c.size:])
		b[c.size+100] = c.tail
		for i := 0; i < len(b); i += disk.BlockSize {
			p.block(int64(i/disk.BlockSize), disk.SumBlock(b[i:i+disk.BlockSize]))
		}
		if got := p.digester.Sum() == sum(content[:c.size]); p.err != nil || got != c.same || p.rest != c.rest {
			t.Errorf("%+v: same %v, rest %v, %v", c, got, p.rest, p.err)
		}
	}
}

// TestEndedReadIsNoEnd: a reader whose context has ended gives its cause, and not
// the end of what is read, which would look whole or cut off.
func TestEndedReadIsNoEnd(t *testing.T) {
	ovftest.Slow(t)
	stopped := errors.New("stopped")
	for range 200 {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := newReader(ctx, bytes.NewReader(make([]byte, 3*chunkSize)))
		cancel(stopped)
		if _, err := io.Copy(io.Discard, r); err != stopped && err != context.Canceled {
			t.Fatalf("got %v", err)
		}
		r.Close()
	}
}
