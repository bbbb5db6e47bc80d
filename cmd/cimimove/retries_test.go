package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/object/s3test"
)

// retryLine is the record of a request that is made again.
type retryLine struct {
	Msg     string `json:"msg"`
	Level   string `json:"level"`
	URL     string `json:"url"`
	Offset  int64  `json:"offset"`
	Attempt int    `json:"attempt"`
	Of      int    `json:"of"`
	Wait    int64  `json:"wait"` // nanoseconds
	Error   string `json:"error"`
}

// retryLines finds them in what a command logged as JSON.
func retryLines(t *testing.T, stderr string) (out []retryLine) {
	t.Helper()
	for line := range strings.Lines(stderr) {
		var l retryLine
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "request is made again" {
			out = append(out, l)
		}
	}
	return out
}

// refusing answers the first request for a path that it likes with 503 and a
// wish to be left alone for a second, and the second with 429 without one.
func refusing(liked func(*http.Request) bool, next http.Handler) (http.Handler, *atomic.Int64) {
	n := &atomic.Int64{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if liked(r) {
			switch n.Add(1) {
			case 1:
				w.Header().Set("Retry-After", "1")
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			case 2:
				http.Error(w, "too many", http.StatusTooManyRequests)
				return
			}
		}
		next.ServeHTTP(w, r)
	}), n
}

// TestRetriesAreLogged: a request that is made again is a line of the log at
// level info, whatever it is sent to: what, at which byte, the attempt of how
// many, how long it waits, the server's Retry-After being kept, and why. Nobody
// sees it who did not ask.
func TestRetriesAreLogged(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	p, err := newTestPackage("testdata/descriptor")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := invoked("import", file, "local:"+filepath.Join(dir, "east"), "-q"); code != 0 {
		t.Fatal(stderr)
	}
	east, err := endpoint.Open(t.Context(), "local:"+filepath.Join(dir, "east"), endpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer east.Close()
	cloud, err := server.New(east.Provider, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := s3test.New("depot")
	defer store.Close()
	for k, v := range store.Environment() {
		t.Setenv(k, v)
	}
	if code, _, stderr := invoked("convert", file, "s3://depot/a.ova", "-q"); code != 0 {
		t.Fatal(stderr)
	}
	behind, err := url.Parse(store.URL)
	if err != nil {
		t.Fatal(err)
	}
	any := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name  string
		next  http.Handler
		liked func(*http.Request) bool
		args  func(url string) []string
		says  string // of the URL
	}{
		{"package", http.FileServer(http.Dir(dir)), any, func(url string) []string { return []string{"validate", url + "/a.ova"} }, "/a.ova"},
		{"cloud", cloud, any, func(url string) []string { return []string{"ls", url + entryPath} }, entryPath},
		{"export", cloud, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/exports/") }, func(url string) []string {
			return []string{"migrate", url + entryPath, "web", "local:" + filepath.Join(dir, "west")}
		}, "/exports/"},
		{"store", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Host, r.Out.URL.Scheme = behind.Host, "http" }}, any,
			func(url string) []string {
				t.Setenv("AWS_ENDPOINT_URL", url)
				return []string{"inspect", "s3://depot/a.ova"}
			}, "s3://depot/a.ova"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, n := refusing(c.liked, c.next)
			s := httptest.NewServer(h)
			defer s.Close()
			code, _, stderr := invoked(append(c.args(s.URL), "--log-level", "info", "--log-format", "json", "--progress", "none")...)
			lines := retryLines(t, stderr)
			if code != 0 || n.Load() < 3 || len(lines) < 2 {
				t.Fatalf("exit %d, %d requests, %d lines: %s", code, n.Load(), len(lines), stderr)
			}
			for i, l := range lines[:2] {
				if l.Level != "INFO" || !strings.Contains(l.URL, c.says) || l.Attempt < 1 || l.Of <= l.Attempt || l.Wait <= 0 || l.Error == "" {
					t.Errorf("line %d: %+v", i, l)
				}
			}
			if wait := time.Duration(lines[0].Wait); wait < time.Second || !strings.Contains(lines[0].Error, "503") {
				t.Errorf("after %s, for %q; the server asked for a second", wait, lines[0].Error)
			}
			if c.name != "package" {
				return
			}
			n.Store(0)
			again := append(c.args(s.URL), "--log-format", "json")
			if code, _, quiet := invoked(again...); code != 0 || n.Load() < 3 || len(retryLines(t, quiet)) > 0 {
				t.Errorf("told without being asked: %s", quiet)
			}
		})
	}
}
