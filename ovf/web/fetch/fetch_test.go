package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// server serves content, and misbehaves as asked.
type server struct {
	*httptest.Server
	content []byte
	etag    atomic.Value // string
	sent    atomic.Int64
	gets    atomic.Int64
	ranges  sync.Map // of every request

	// before answers a request in place of the server when it says so.
	before func(n int64, w http.ResponseWriter, r *http.Request) bool
	// cut ends answer n after so many bytes; 0: not.
	cut func(n int64) int
	// noRange ignores Range; noLength also sends in chunks.
	noRange, noLength bool
}

func serve(t *testing.T, s *server) *server {
	t.Helper()
	if s.etag.Load() == nil {
		s.etag.Store(`"one"`)
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.gets.Add(1)
	s.ranges.Store(n, r.Header.Get("Range"))
	if s.before != nil && s.before(n, w, r) {
		return
	}
	if etag := s.etag.Load().(string); etag != "" {
		w.Header().Set("ETag", etag)
	}
	limit := 0
	if s.cut != nil {
		limit = s.cut(n)
	}
	counted := &countingWriter{ResponseWriter: w, s: s, limit: limit}
	if s.noRange {
		if !s.noLength {
			w.Header().Set("Content-Length", fmt.Sprint(len(s.content)))
		} else {
			w.(http.Flusher).Flush()
		}
		for b := s.content; len(b) > 0; {
			m := min(len(b), 64<<10)
			if _, err := counted.Write(b[:m]); err != nil {
				return
			}
			b = b[m:]
		}
		return
	}
	http.ServeContent(counted, r, "file.bin", time.Time{}, bytes.NewReader(s.content))
}

type countingWriter struct {
	http.ResponseWriter
	s     *server
	limit int
	wrote int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.limit > 0 && w.wrote+len(p) > w.limit {
		p = p[:w.limit-w.wrote]
	}
	n, err := w.ResponseWriter.Write(p)
	w.wrote += n
	w.s.sent.Add(int64(n))
	if w.limit > 0 && w.wrote >= w.limit {
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

var quick = Options{MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond, StallTimeout: 5 * time.Second}

func readAll(t *testing.T, url string, o Options) ([]byte, error) {
	t.Helper()
	f, err := Open(t.Context(), url, o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := f.Reader(t.Context(), 0, -1)
	defer r.Close()
	return io.ReadAll(r)
}

func TestReadsAndResumes(t *testing.T) {
	content := ovftest.Noise(1, 3<<20)
	for name, s := range map[string]*server{
		"sound":    {},
		"no Range": {noRange: true},
		"chunked":  {noRange: true, noLength: true},
		"drops":    {cut: func(n int64) int { return 400_000 * int(n%3) }},
		"503": {before: func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if n%2 == 1 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
			}
			return n%2 == 1
		}},
		"no ETag": {cut: func(n int64) int { return 1 << 20 }},
	} {
		t.Run(name, func(t *testing.T) {
			s.content = content
			if name == "no ETag" {
				s.etag.Store("")
			}
			serve(t, s)
			b, err := readAll(t, s.URL, quick)
			if err != nil || !bytes.Equal(b, content) {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			if over := s.sent.Load() - int64(len(content)); over > 1<<20 {
				t.Errorf("%d bytes too many", over)
			}
		})
	}
}

func TestSmallAndEmptyFiles(t *testing.T) {
	for _, noRange := range []bool{false, true} {
		for _, n := range []int{0, 1, 1000, 128 << 10, 128<<10 + 1} {
			s := serve(t, &server{content: ovftest.Noise(2, n), noRange: noRange})
			b, err := readAll(t, s.URL, quick)
			if err != nil || !bytes.Equal(b, s.content) {
				t.Errorf("noRange=%v: %d of %d bytes, %v", noRange, len(b), n, err)
			}
		}
	}
}

func TestStall(t *testing.T) {
	content := ovftest.Noise(1, 1<<20)
	release := make(chan struct{})
	defer close(release)
	var stalls atomic.Int64
	s := &server{content: content}
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n != 2 {
			return false
		}
		stalls.Add(1)
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 128<<10, len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(content[128<<10 : 200<<10])
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	serve(t, s)
	o := quick
	o.StallTimeout = 100 * time.Millisecond
	var retries []Attempt
	o.OnRetry = func(a Attempt) { retries = append(retries, a) }
	start := time.Now()
	b, err := readAll(t, s.URL, o)
	if err != nil || !bytes.Equal(b, content) || stalls.Load() != 1 {
		t.Fatalf("%d bytes, %d stalls, %v", len(b), stalls.Load(), err)
	}
	var stall *StallError
	if len(retries) != 1 || !errors.As(retries[0].Err, &stall) || retries[0].Offset != 200<<10 {
		t.Errorf("retries %+v", retries)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

// A server that never answers ends as a stall, resumable, with the attempts said.
func TestStallForever(t *testing.T) {
	s := &server{content: ovftest.Noise(1, 1<<20)}
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			<-r.Context().Done()
		}
		return n > 1
	}
	serve(t, s)
	o := quick
	o.StallTimeout, o.Attempts = 30*time.Millisecond, 3
	_, err := readAll(t, s.URL, o)
	var e *TransferError
	var stall *StallError
	if !errors.As(err, &e) || !errors.As(err, &stall) || e.Attempts != 3 || e.Offset != 128<<10 || e.Size != 1<<20 {
		t.Errorf("error %v", err)
	}
}

// Bytes of two versions are never spliced.
func TestChangedInBetween(t *testing.T) {
	content := ovftest.Noise(1, 1<<20)
	for name, change := range map[string]func(s *server){
		"ETag": func(s *server) { s.etag.Store(`"two"`) },
		"size": func(s *server) { s.etag.Store(""); s.content = append(bytes.Clone(content), 1) },
		"gone": func(s *server) { s.content = content[:100] },
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{content: content}
			s.cut = func(n int64) int {
				if n == 2 {
					return 300_000
				}
				return 0
			}
			s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
				if n == 3 {
					change(s)
				}
				return false
			}
			serve(t, s)
			b, err := readAll(t, s.URL, quick)
			var c *ChangedError
			if !errors.As(err, &c) {
				t.Errorf("%d bytes, error %v, want a ChangedError", len(b), err)
			}
			if !bytes.HasPrefix(content, b) {
				t.Error("spliced")
			}
		})
	}
}

func TestExpect(t *testing.T) {
	s := serve(t, &server{content: ovftest.Noise(1, 1000)})
	o := quick
	o.Expect = &Identity{Size: 1000, ETag: `"one"`}
	if _, err := Open(t.Context(), s.URL, o); err != nil {
		t.Error(err)
	}
	o.Expect = &Identity{Size: 1000, ETag: `"zero"`}
	var c *ChangedError
	if _, err := Open(t.Context(), s.URL, o); !errors.As(err, &c) {
		t.Errorf("error %v", err)
	}
}

// A server that says one length and sends another.
func TestLyingServers(t *testing.T) {
	content := ovftest.Noise(1, 1<<20)
	for name, before := range map[string]func(n int64, w http.ResponseWriter, r *http.Request) bool{
		"another range": func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if n < 2 {
				return false
			}
			w.Header().Set("Content-Range", "bytes 5-99/1048576")
			w.WriteHeader(http.StatusPartialContent)
			return true
		},
		"nonsense": func(n int64, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Range", "bytes 9-1/-5")
			w.WriteHeader(http.StatusPartialContent)
			return true
		},
		"whole file for a range": func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if n < 2 {
				return false
			}
			w.Header().Set("ETag", `"one"`)
			w.Write(content)
			return true
		},
		"always short": func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if n < 2 {
				return false
			}
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 128<<10, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &server{content: content, before: before})
			s.Config.ErrorLog = nil
			b, err := readAll(t, s.URL, quick)
			if err == nil || !bytes.HasPrefix(content, b) {
				t.Errorf("%d bytes, error %v", len(b), err)
			}
			if s.gets.Load() > 10 {
				t.Errorf("%d requests", s.gets.Load())
			}
		})
	}
}

// A connection that always breaks before the first bytes asked for are all
// there is gone on with like any other.
func TestFirstBytesBreakOff(t *testing.T) {
	content := ovftest.Noise(1, 1<<20)
	s := serve(t, &server{content: content, cut: func(int64) int { return 50_000 }})
	if b, err := readAll(t, s.URL, quick); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if over := s.sent.Load() - int64(len(content)); over > 50_000 {
		t.Errorf("%d bytes too many", over)
	}
	for name, noRange := range map[string]bool{"hangs up": false, "a small file": true} {
		s := serve(t, &server{content: content[:1000], noRange: true, cut: func(int64) int { return 500 }})
		if !noRange {
			s.before = func(int64, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
		}
		var e *TransferError
		if _, err := readAll(t, s.URL, quick); !errors.As(err, &e) || e.Attempts != 3 {
			t.Errorf("%s: %v, want a TransferError", name, err)
		}
	}
}

// Without Range a broken transfer cannot be resumed, and says so.
func TestNoRangeDrops(t *testing.T) {
	s := serve(t, &server{content: ovftest.Noise(1, 1<<20), noRange: true, cut: func(int64) int { return 300_000 }})
	b, err := readAll(t, s.URL, quick)
	var e *TransferError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "Range") || len(b) != 300_000 || e.Offset != 300_000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestRandomAccess(t *testing.T) {
	s := serve(t, &server{content: ovftest.Noise(3, 8<<20), cut: func(n int64) int { return 100_000 * int(n%2) }})
	f, err := Open(t.Context(), s.URL, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for off := i * 1000; off < len(s.content); off += 1_500_000 {
				b := make([]byte, 70_000)
				n, err := f.ReadAt(b, int64(off))
				want := s.content[off:min(off+len(b), len(s.content))]
				if n != len(want) || !bytes.Equal(b[:n], want) || n == len(b) && err != nil || n < len(b) && err != io.EOF {
					t.Errorf("at %d: %d bytes, %v", off, n, err)
				}
			}
		})
	}
	wg.Wait()

	// Headers here and there cost little, sequences few requests.
	s.cut = nil
	s.sent.Store(0)
	at := f.At(t.Context())
	for off := int64(200_000); off < 8<<20; off += 1 << 20 {
		if _, err := at.ReadAt(make([]byte, 512), off); err != nil {
			t.Error(err)
		}
	}
	if n := s.sent.Load(); n > 100_000 {
		t.Errorf("8 headers cost %d bytes", n)
	}
	s.gets.Store(0)
	b, err := io.ReadAll(io.NewSectionReader(f.At(t.Context()), 0, f.Size()))
	if err != nil || !bytes.Equal(b, s.content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if n := s.gets.Load(); n > 20 {
		t.Errorf("a sequence of 8 MiB costs %d requests", n)
	}
}

// Streams one after the other, with gaps, are one request.
func TestStreamsGoOn(t *testing.T) {
	s := serve(t, &server{content: ovftest.Noise(3, 4<<20)})
	f, err := Open(t.Context(), s.URL, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off := int64(0); off < 4<<20; off += 300_000 {
		n := min(299_000, 4<<20-off)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := f.Stream(ctx, off, n)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(b, s.content[off:off+n]) {
			t.Fatalf("at %d: %d bytes, %v", off, len(b), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	}
	if n := s.gets.Load(); n != 2 {
		t.Errorf("%d requests, want the probe and one more", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := f.Stream(ctx, 1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
