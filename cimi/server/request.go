package server

import (
	"errors"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// request is one request on its way to the Provider.
type request struct {
	*server
	*http.Request
	w    *recorder
	base *url.URL // ends in "/"
	xml  bool     // the answer's format
	// unacceptable is why no representation can be sent; nil where one can.
	unacceptable error
	user         User
	// version is the dialect: 1.x below cimi/1/, else 2.0.
	version cimi.Version
}

func (s *server) newRequest(w *recorder, r *http.Request) *request {
	q := &request{server: s, Request: r, w: w, base: s.baseOf(r), version: cimi.V2}
	if below := q.base.EscapedPath() + path1; strings.HasPrefix(r.URL.EscapedPath(), below) {
		base := *q.base
		base.Path += path1
		q.base, q.version = &base, cimi.V1
	}
	q.Request = r.WithContext(cimi.WithVersion(r.Context(), q.version))
	return q
}

// baseOf is the base URI of a request's answers.
func (s *server) baseOf(r *http.Request) *url.URL {
	if s.base != nil {
		return s.base
	}
	u := &url.URL{Scheme: "http", Host: r.Host, Path: "/"}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u
}

// entryPaths lead to the Cloud Entry Point.
func isEntryPath(id string) bool { return id == "cloudEntryPoint" || id == "cimi/2/cloudEntryPoint" }

// id is the Provider's id of what the request names.
func (q *request) id() (string, error) {
	path := q.URL.EscapedPath()
	rest, ok := strings.CutPrefix(path, q.base.EscapedPath())
	if !ok {
		rest = strings.TrimPrefix(path, "/")
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == ".." || part == "." || rest != "" && part == "" {
			return "", cimi.Errorf(http.StatusNotFound, "no such resource: %s", path)
		}
	}
	return rest, nil
}

func (q *request) serve() error {
	id, err := q.id()
	if err != nil {
		return err
	}
	if id == "" && (q.Method == http.MethodGet || q.Method == http.MethodHead) {
		http.Redirect(q.w, q.Request, q.base.String()+"cloudEntryPoint", http.StatusFound)
		return nil
	}
	if id == "metrics" && q.Method == http.MethodGet {
		q.metrics.write(q.w)
		return nil
	}
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		return q.get(id)
	case http.MethodPost:
		return q.post(id)
	case http.MethodPut:
		return q.put(id)
	case http.MethodDelete:
		return q.delete(id)
	}
	q.w.Header().Set("Allow", "GET, HEAD, POST, PUT, DELETE")
	return cimi.Errorf(http.StatusMethodNotAllowed, "method %s is not one of GET, POST, PUT, DELETE", q.Method)
}

// absolute makes a Provider's URI absolute (5.5.10); one that is stays.
func (q *request) absolute(uri string) string {
	if uri == "" || isAbsolute(uri) {
		return uri
	}
	return q.base.String() + strings.TrimPrefix(uri, "/")
}

// relative turns a URI below the base back into the Provider's id.
func (q *request) relative(uri string) string {
	if rest, ok := strings.CutPrefix(uri, q.base.String()); ok {
		return rest
	}
	if !isAbsolute(uri) {
		return strings.TrimPrefix(uri, "/")
	}
	return uri
}

func isAbsolute(uri string) bool {
	scheme, _, ok := strings.Cut(uri, ":")
	return ok && scheme != "" && !strings.ContainsAny(scheme, "/?#")
}

// lock serialises changes of one resource; the caller unlocks.
func (q *request) lock(id string) *sync.Mutex {
	h := fnv.New32a()
	_, _ = io.WriteString(h, id)
	m := &q.locks[h.Sum32()%uint32(len(q.locks))]
	m.Lock()
	return m
}

// readOptions are $select and $expand.
func (q *request) readOptions() cimi.ReadOptions {
	v := q.URL.Query()
	o := cimi.ReadOptions{Select: cimi.Names(v["$select"]), Expand: cimi.Names(v["$expand"])}
	if v.Has("$expand") && len(o.Expand) == 0 {
		o.Expand = []string{"*"} // no names at all means all (4.1.6.4)
	}
	return o
}

// listOptions are the query parameters of a collection. What is no number in
// $first or $last is refused: silence would give the wrong page.
func (q *request) listOptions() (cimi.ListOptions, error) {
	v := q.URL.Query()
	o := cimi.ListOptions{ReadOptions: q.readOptions(), Filter: v["$filter"], OrderBy: cimi.Names(v["$orderby"])}
	for _, p := range []struct {
		name string
		to   *int
	}{{"$first", &o.First}, {"$last", &o.Last}} {
		s := v.Get(p.name)
		if s == "" {
			continue
		}
		// A range beyond the bounds is no fault, however far (4.1.6.2).
		n, err := strconv.Atoi(s)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return o, cimi.Errorf(http.StatusBadRequest, "%s: expected a number, got %.40q", p.name, s)
		}
		n = min(n, math.MaxInt32)
		*p.to = max(n, 0)
		if n <= 0 && p.name == "$last" {
			o.First, o.Last = 1, -1
		}
	}
	return o, nil
}

// body reads the request's body within the limit and the time given for it.
func (q *request) body() ([]byte, error) {
	_ = http.NewResponseController(q.w.ResponseWriter).SetReadDeadline(time.Now().Add(bodyTimeout))
	b, err := io.ReadAll(http.MaxBytesReader(q.w.ResponseWriter, q.Body, q.o.MaxBody))
	if err != nil {
		if _, ok := err.(*http.MaxBytesError); ok {
			return nil, cimi.Errorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", q.o.MaxBody)
		}
		return nil, cimi.Errorf(http.StatusBadRequest, "reading the body: %w", err)
	}
	_ = http.NewResponseController(q.w.ResponseWriter).SetReadDeadline(time.Time{})
	return b, nil
}
