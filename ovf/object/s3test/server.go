// Package s3test is an object store for tests: the part of the S3 protocol that
// packages need, in memory, as strict about signatures, digests, and the sizes
// of parts as the real ones are. It shares no code with the client.
package s3test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credentials and the region of every Server.
const (
	AccessKey = "AKIAIOSFODNN7EXAMPLE"
	SecretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	Region    = "test-region-1"
)

// LeastPart is how many bytes a part has at least, but for the last.
const LeastPart = 5 << 20

// Server is a store. Its fields may be set before requests come.
type Server struct {
	*httptest.Server
	// Anonymous takes requests without a signature.
	Anonymous bool
	// Encrypts gives parts and objects ETags that are no digests, as stores do
	// that encrypt with keys of their own.
	Encrypts bool
	// Fault, when not nil, may answer a request in place of the store: it
	// returns true when it has.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	objects map[string]*object // by bucket/key
	buckets map[string]bool
	uploads map[string]*upload
	nextID  int
	stats   Stats
}

// Stats count what a store did.
type Stats struct {
	Sent     int64 // bytes of objects, by GET
	Received int64 // bytes of objects and parts
	Parts    int   // that were stored
	Requests int
}

type object struct {
	body []byte
	etag string
	at   time.Time
	kind string
}

type upload struct {
	name  string
	id    string
	kind  string
	at    time.Time
	parts map[int]*object
}

// Start starts a store with one bucket for the length of a test, and points
// the environment at it.
func Start(t *testing.T, bucket string) *Server {
	t.Helper()
	s := New(bucket)
	t.Cleanup(s.Close)
	for k, v := range s.Environment() {
		t.Setenv(k, v)
	}
	return s
}

// New starts a store with one bucket.
func New(bucket string) *Server {
	s := &Server{objects: map[string]*object{}, buckets: map[string]bool{bucket: true}, uploads: map[string]*upload{}}
	s.Server = httptest.NewServer(s)
	return s
}

// Environment is what a client needs to find the store.
func (s *Server) Environment() map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_REGION": Region,
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_S3": ""}
}

// Put stores an object.
func (s *Server) Put(name string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = &object{body: body, etag: sum(body), at: time.Now()}
}

// Get gives an object's bytes; nil when it is not there.
func (s *Server) Get(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[name]; o != nil {
		return o.body
	}
	return nil
}

// Names lists the objects, as bucket/key, sorted.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for name := range s.objects {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Uploads lists the objects whose upload was begun and not ended, sorted.
func (s *Server) Uploads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, u := range s.uploads {
		out = append(out, u.name)
	}
	sort.Strings(out)
	return out
}

// Stats tells what was done so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func sum(b []byte) string {
	d := md5.Sum(b)
	return hex.EncodeToString(d[:])
}

// ServeHTTP answers as a store that takes buckets in paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.stats.Requests++
	fault := s.Fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !s.Anonymous || r.Header.Get("Authorization") != "" || r.URL.Query().Has("X-Amz-Signature") {
		if err := verify(r); err != nil {
			refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", err.Error())
			return
		}
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(name, "/")
	if !s.hasBucket(bucket) {
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	q := r.URL.Query()
	switch {
	case key == "" && r.Method == http.MethodGet && q.Has("location"):
		answer(w, location{Location: Region})
	case key == "" && r.Method == http.MethodGet && q.Has("uploads"):
		s.listUploads(w, bucket, q)
	case key == "" && r.Method == http.MethodGet:
		s.list(w, bucket, q)
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.begin(w, name, r.Header.Get("Content-Type"))
	case q.Has("uploadId"):
		s.upload(w, r, name, q)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		s.read(w, r, name)
	case r.Method == http.MethodPut:
		s.put(w, r, name)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.objects, name)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

func (s *Server) hasBucket(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buckets[name]
}

// etag is the quoted ETag of a body.
func (s *Server) etag(b []byte) string {
	if s.Encrypts {
		return sum([]byte(fmt.Sprint(len(b), "encrypted", sum(b))))
	}
	return sum(b)
}
