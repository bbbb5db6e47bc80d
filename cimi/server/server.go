// Package server puts a cimi.Provider on the network as a CIMI cloud: the
// protocol of DSP0263 2.0 clause 4 as an http.Handler.
//
// A Provider behind it names things by relative ids without a leading slash
// ("systems/7f3a", "jobs/12", "machines/7f3a/volumes", "exports/5.ova"), in
// every id, href and operation; the server makes them absolute and back. An
// operation's href is the id of its resource or collection, or anything below
// that the Provider takes in Invoke.
//
// It promises: answers in exactly application/json or application/xml; errors
// as Job representations (4.2.2); unknown attributes refused (5.3);
// write-only attributes never shown; bounded bodies; nothing secret in the log.
package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// Options: the zero value serves everyone, at the host the request names.
type Options struct {
	// BaseURL is the base of all URIs, such as https://cloud.example/cimi/;
	// empty follows scheme and Host of each request.
	BaseURL string
	// Users who may come in; empty lets everyone do everything.
	Users []User
	// Logger gets one line per request; nil is silent.
	Logger *slog.Logger
	// MaxBody bounds a request's body in bytes; 0 takes 4 MiB.
	MaxBody int64
	// PageSize bounds the entries of a collection in one answer; 0 takes 1000.
	PageSize int
	// Extensions are names of extension attributes that requests may carry,
	// besides this project's own.
	Extensions []string
	// Hosts are names under which a server on loopback may be asked for,
	// besides localhost, loopback addresses and the host of BaseURL; see
	// checkHost.
	Hosts []string
}

const (
	defaultMaxBody  = 4 << 20
	defaultPageSize = 1000
)

// server is the handler.
type server struct {
	p       cimi.Provider
	o       Options
	base    *url.URL // of Options.BaseURL; nil follows the request
	metrics metrics
	// locks serialise changes of one resource, so that If-Match holds.
	locks [64]sync.Mutex
}

// New makes the handler of a Provider. It does not close the Provider.
func New(p cimi.Provider, o Options) (http.Handler, error) {
	s := &server{p: p, o: o}
	if s.o.MaxBody <= 0 {
		s.o.MaxBody = defaultMaxBody
	}
	if s.o.PageSize <= 0 {
		s.o.PageSize = defaultPageSize
	}
	if o.BaseURL != "" {
		u, err := url.Parse(o.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, &cimi.DecodeError{Path: "base URL", Message: "expected http(s)://host[:port]/[path/], got " + o.BaseURL}
		}
		if !strings.HasSuffix(u.Path, "/") {
			u.Path += "/"
		}
		s.base = u
	}
	s.metrics.started = time.Now()
	return s, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	start := time.Now()
	s.metrics.inFlight.Add(1)
	user := ""
	defer func() {
		s.metrics.inFlight.Add(-1)
		s.metrics.count(r.Method, rec.status(), time.Since(start), rec.written)
		if s.o.Logger != nil {
			s.o.Logger.Info("request", "method", r.Method, "path", r.URL.Path, "query", queryNames(r.URL.Query()),
				"status", rec.status(), "bytes", rec.written, "seconds", time.Since(start).Seconds(), "user", user, "remote", r.RemoteAddr)
		}
	}()
	q := s.newRequest(rec, r)
	defer func() {
		// A fault of ours ends one request, with an answer, and nothing else.
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			if s.o.Logger != nil {
				s.o.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "fault", v, "stack", string(debug.Stack()))
			}
			q.fail(cimi.Errorf(http.StatusInternalServerError, "internal error"))
		}
	}()
	switch r.URL.Path {
	case "/healthz":
		s.health(rec, r)
		return
	}
	var err error
	if err = q.negotiate(); err == nil {
		if err = s.checkHost(r); err != nil {
			q.fail(err)
			return
		}
		if cross := crossOrigin.Check(r); cross != nil {
			err = cimi.Errorf(http.StatusForbidden, "%w", cross)
		} else if err = q.authenticate(); err == nil {
			user = q.user.Name
			err = q.serve()
		}
	}
	if err != nil {
		q.fail(err)
	}
}

// crossOrigin refuses changes that a page of another site makes a browser
// send: a cloud on loopback without users would otherwise be open to them.
var crossOrigin = http.NewCrossOriginProtection()

// queryNames are the names of query parameters: their values may be secrets.
func queryNames(q url.Values) []string {
	var out []string
	for k := range q {
		out = append(out, k)
	}
	return out
}

// health answers whether the Provider can be read.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := s.p.EntryPoint(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("the cloud cannot be read\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
