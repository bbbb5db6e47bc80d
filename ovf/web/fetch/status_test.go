package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

func TestStatus(t *testing.T) {
	var status int
	s := &server{}
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "no such\n thing "+strings.Repeat("x", 5000), status)
		return true
	}
	serve(t, s)
	for _, c := range []struct {
		status   int
		requests int64
	}{{404, 1}, {401, 1}, {403, 1}, {400, 1}, {501, 1}, {503, 3}, {500, 3}, {429, 3}, {408, 3}, {425, 3}} {
		status = c.status
		s.gets.Store(0)
		_, err := Open(t.Context(), s.URL+"/a?sig=secret", quick)
		var e *StatusError
		if !errors.As(err, &e) || e.StatusCode != c.status || e.Method != "GET" || !strings.HasPrefix(e.Body, "no such thing") || len(e.Body) > 600 {
			t.Errorf("%d: error %.200v", c.status, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("secret in %.200v", err)
		}
		if n := s.gets.Load(); n != c.requests {
			t.Errorf("%d: %d requests, want %d", c.status, n, c.requests)
		}
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	s := &server{content: []byte("x")}
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "", http.StatusTooManyRequests)
		}
		return n == 1
	}
	serve(t, s)
	o := quick
	var waited time.Duration
	o.OnRetry = func(a Attempt) { waited = a.Wait }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, s.URL, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if waited != time.Second {
		t.Errorf("waits %v", waited)
	}
}

func TestRedirects(t *testing.T) {
	content := ovftest.Noise(1, 1<<20)
	type seen struct{ authorization, secret, byteRange string }
	var mu sync.Mutex
	var got []seen
	other := &server{content: content}
	other.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		got = append(got, seen{r.Header.Get("Authorization"), r.Header.Get("X-Token"), r.Header.Get("Range")})
		mu.Unlock()
		return false
	}
	serve(t, other)
	to := other.URL
	first := &server{}
	first.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer canary" || r.Header.Get("X-Token") != "canary" {
			http.Error(w, "who", http.StatusUnauthorized)
			return true
		}
		if to == "loop" {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		} else {
			http.Redirect(w, r, to, http.StatusFound)
		}
		return true
	}
	serve(t, first)
	o := quick
	o.Authorize = func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer canary")
		r.Header.Set("X-Token", "canary")
		return nil
	}
	b, err := readAll(t, first.URL, o)
	if err != nil || !bytes.Equal(b, content) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for _, g := range got {
		if g.authorization != "" || g.secret != "" || g.byteRange == "" {
			t.Errorf("the other host sees %+v", g)
		}
	}
	for _, target := range []string{"loop", "file:///etc/passwd", "ftp://h/x", strings.Replace(other.URL, "://", "://u:p@", 1)} {
		to = target
		first.gets.Store(0)
		if _, err := Open(t.Context(), first.URL+"/a", o); err == nil {
			t.Errorf("redirect to %s is followed", target)
		} else if n := first.gets.Load(); n > maxRedirects+2 {
			t.Errorf("redirect to %s: %d requests", target, n)
		}
	}
}

func TestURLs(t *testing.T) {
	for url, says := range map[string]string{
		"http://user:canary@h/a.ova": "environment or password file",
		"file:///etc/passwd":         "file",
		"http:///a":                  "host",
		"ht tp://canary@h":           "not a URL",
	} {
		_, err := Open(t.Context(), url, quick)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for raw, want := range map[string]string{
		"https://h/a.ova":             "https://h/a.ova",
		"https://u:p@h/a.ova?X=1#f":   "https://…@h/a.ova?…",
		"https://h/my%20disk.ova?":    "https://h/my%20disk.ova?",
		"%zz://u:canary@h/x?y=canary": "%zz://h/x",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("Redact(%s) = %s, want %s", raw, got, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = Open(t.Context(), "http://"+l.Addr().String()+"/a", quick)
	if err == nil || !strings.Contains(err.Error(), "attempt 3 of 3") || strings.Count(err.Error(), "GET") != 1 {
		t.Errorf("error %v", err)
	}
}

func TestUntrustedCertificateIsNotRetried(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	_, err := Open(t.Context(), s.URL, quick)
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || n.Load() != 1 {
		t.Errorf("%d connections, %v", n.Load(), err)
	}
}

func TestRetry(t *testing.T) {
	n := 0
	o := quick
	o.Attempts = 4
	err := Retry(t.Context(), o, "job", func(context.Context) error { n++; return io.ErrUnexpectedEOF })
	if n != 4 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "attempt 4 of 4") {
		t.Errorf("%d attempts, %v", n, err)
	}
	n = 0
	err = Retry(t.Context(), o, "job", func(context.Context) error {
		if n++; n < 3 {
			return &StatusError{StatusCode: 502}
		}
		return nil
	})
	if n != 3 || err != nil {
		t.Errorf("%d attempts, %v", n, err)
	}
	n = 0
	err = Retry(t.Context(), o, "job", func(context.Context) error { n++; return &StatusError{StatusCode: 404} })
	if n != 1 || err == nil {
		t.Errorf("%d attempts, %v", n, err)
	}
}
