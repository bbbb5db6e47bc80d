package server

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// metrics counts requests for /metrics.
type metrics struct {
	started  time.Time
	inFlight atomic.Int64
	bytes    atomic.Int64

	mu       sync.Mutex
	requests map[requestKey]*requestCount
}

type requestKey struct {
	method string
	code   int
}

type requestCount struct {
	n    int64
	time time.Duration
}

func (m *metrics) count(method string, code int, took time.Duration, written int64) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		method = "other" // a label per invented method would grow without bound
	}
	m.bytes.Add(written)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[requestKey]*requestCount{}
	}
	k := requestKey{method, code}
	if m.requests[k] == nil {
		m.requests[k] = &requestCount{}
	}
	m.requests[k].n++
	m.requests[k].time += took
}

// write gives the Prometheus text exposition.
func (m *metrics) write(w http.ResponseWriter) {
	var b strings.Builder
	m.mu.Lock()
	keys := make([]requestKey, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b requestKey) int {
		if c := strings.Compare(a.method, b.method); c != 0 {
			return c
		}
		return a.code - b.code
	})
	b.WriteString("# HELP cimi_requests_total Requests answered.\n# TYPE cimi_requests_total counter\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "cimi_requests_total{method=%q,code=\"%d\"} %d\n", k.method, k.code, m.requests[k].n)
	}
	b.WriteString("# HELP cimi_request_seconds Time taken to answer.\n# TYPE cimi_request_seconds summary\n")
	for _, k := range keys {
		c := m.requests[k]
		fmt.Fprintf(&b, "cimi_request_seconds_sum{method=%q,code=\"%d\"} %g\n", k.method, k.code, c.time.Seconds())
		fmt.Fprintf(&b, "cimi_request_seconds_count{method=%q,code=\"%d\"} %d\n", k.method, k.code, c.n)
	}
	m.mu.Unlock()
	fmt.Fprintf(&b, "# HELP cimi_requests_in_flight Requests being answered.\n# TYPE cimi_requests_in_flight gauge\ncimi_requests_in_flight %d\n", m.inFlight.Load())
	fmt.Fprintf(&b, "# HELP cimi_sent_bytes_total Bytes of answers.\n# TYPE cimi_sent_bytes_total counter\ncimi_sent_bytes_total %d\n", m.bytes.Load())
	fmt.Fprintf(&b, "# HELP cimi_uptime_seconds Time since the start.\n# TYPE cimi_uptime_seconds gauge\ncimi_uptime_seconds %g\n", time.Since(m.started).Seconds())
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = io.WriteString(w, b.String())
}

// recorder remembers status and length of an answer.
type recorder struct {
	http.ResponseWriter
	code    int
	written int64
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.written += int64(n)
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}
