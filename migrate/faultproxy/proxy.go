// Package faultproxy stands between an HTTP client and a server, for tests, and
// makes the bytes of large answers go wrong: reset, stalled, slow, refused, cut,
// of another length, with one bit flipped.
package faultproxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what becomes of an answer at its place.
type Fault string

// The faults. Refused and Unauthorized answer the request whose range holds the
// place with that status instead.
const (
	None         Fault = ""
	Reset        Fault = "reset"          // the connection is reset
	Stall        Fault = "stall"          // nothing comes any more
	Slow         Fault = "1 KiB/s"        // for a while
	Refused      Fault = "503"            // with Retry-After
	Unauthorized Fault = "401"            //
	Truncated    Fault = "truncated"      // the connection ends in order, too early
	WrongLength  Fault = "wrong length"   // the head says more than comes
	Flip         Fault = "flipped bit"    // one bit
	Gone         Fault = "source is gone" // Proxy.Then was called, and the connection ended
)

// Proxy is in front of one server.
type Proxy struct {
	// Then is called once, when the place has come.
	Then func()

	server *httptest.Server
	mu     sync.Mutex
	fault  Fault
	at     int64 // byte of the file
	left   int   // times; negative: always
	sent   atomic.Int64
	hits   atomic.Int64
	stop   chan struct{}
}

// Start puts a proxy in front of the server at base. Paths for which faulty is
// false pass untouched.
func Start(t testing.TB, base string, faulty func(path string) bool) *Proxy {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{stop: make(chan struct{})}
	back := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host // so that what the server says of itself leads here
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !faulty(r.URL.Path) || r.Method != http.MethodGet {
			back.ServeHTTP(w, r)
			return
		}
		p.serve(back, w, r)
	}))
	p.server.Config.ErrorLog = nil
	t.Cleanup(func() {
		close(p.stop)
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// URL is that of the proxy, without a path.
func (p *Proxy) URL() string { return p.server.URL }

// Set makes the answer go wrong at a byte of the file, so many times; negative
// is every time.
func (p *Proxy) Set(f Fault, at int64, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.at, p.left = f, at, times
}

// Sent is how many bytes of files went out, Hits how often one went wrong.
func (p *Proxy) Sent() int64 { return p.sent.Load() }
func (p *Proxy) Hits() int64 { return p.hits.Load() }

// take tells whether an answer that has come to these bytes goes wrong now.
func (p *Proxy) take(from, to int64, before bool) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.fault == Refused || p.fault == Unauthorized || p.fault == WrongLength
	if p.fault == None || p.left == 0 || asked != before || p.at < from || p.at >= to {
		return None, false
	}
	p.left--
	p.hits.Add(1)
	return p.fault, true
}

func (p *Proxy) serve(back http.Handler, w http.ResponseWriter, r *http.Request) {
	from, to := int64(0), int64(1)<<62
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 {
		to++
	} else {
		to = 1 << 62
	}
	if to-from > 1<<16 { // headers and tables are small; disks are not
		switch f, _ := p.take(from, to, true); f {
		case Refused:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		case Unauthorized:
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		case WrongLength:
			back.ServeHTTP(&writer{ResponseWriter: w, p: p, pos: from, longer: 4096}, r)
			return
		}
	}
	back.ServeHTTP(&writer{ResponseWriter: w, p: p, pos: from}, r)
}

type writer struct {
	http.ResponseWriter
	p      *Proxy
	pos    int64
	longer int64
}

func (w *writer) WriteHeader(status int) {
	if n := w.Header().Get("Content-Length"); w.longer > 0 && n != "" {
		var size int64
		fmt.Sscan(n, &size)
		w.Header().Set("Content-Length", fmt.Sprint(size+w.longer))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	f, now := w.p.take(w.pos, w.pos+int64(len(b)), false)
	if !now {
		n, err := w.ResponseWriter.Write(b)
		w.pos += int64(n)
		w.p.sent.Add(int64(n))
		return n, err
	}
	cut := int(w.p.at - w.pos)
	switch f {
	case Flip:
		c := append([]byte(nil), b...)
		c[cut] ^= 0x10
		n, err := w.ResponseWriter.Write(c)
		w.pos += int64(n)
		w.p.sent.Add(int64(n))
		return n, err
	case Slow:
		for i := 0; i < len(b); {
			n, err := w.ResponseWriter.Write(b[i:min(i+512, len(b))])
			i += n
			w.pos += int64(n)
			w.p.sent.Add(int64(n))
			if err != nil {
				return i, err
			}
			w.Flush()
			if i < 3<<10 {
				time.Sleep(500 * time.Millisecond)
			}
		}
		return len(b), nil
	}
	n, _ := w.ResponseWriter.Write(b[:cut])
	w.p.sent.Add(int64(n))
	w.Flush()
	switch f {
	case Stall:
		select {
		case <-w.p.stop:
		case <-time.After(20 * time.Second):
		}
	case Gone:
		if w.p.Then != nil {
			w.p.Then()
		}
	}
	w.end(f == Reset)
	panic(http.ErrAbortHandler)
}

// end ends the connection.
func (w *writer) end(reset bool) {
	c, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return
	}
	if t, ok := c.(*net.TCPConn); ok && reset {
		t.SetLinger(0)
	}
	c.Close()
}

func (w *writer) Flush()                      { http.NewResponseController(w.ResponseWriter).Flush() }
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Exports are the paths of packages that a cloud of ours exports.
func Exports(path string) bool { return strings.HasPrefix(path, "/exports/") }

// All are all paths.
func All(string) bool { return true }
