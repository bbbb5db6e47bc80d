package relay

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxReaders bounds how many requests are answered at a time; others wait.
const maxReaders = 8

// mediaType is what a package answers as (DSP0263 Annex A).
const mediaType = "application/ovf"

// Server offers one package at one URL.
type Server struct {
	listener net.Listener
	http     *http.Server
	base     *url.URL
	path     string
	token    string
	offer    Offer
	slots    chan struct{}
	sent     atomic.Int64
	active   atomic.Int64 // time of the last byte sent, Unix nanoseconds
	ended    chan struct{}

	mu    sync.Mutex
	taken bool // a sequential package was asked for
}

// Offer is what a Server serves: Content, which may be asked for in ranges and
// again, or Stream, which passes once.
type Offer struct {
	Name    string  // file name in the URL
	Version string  // identity of the bytes, for the ETag; may be empty
	Content Content // nil for a stream
	// Stream writes the package; it is called for the first GET only. Size is
	// its length in bytes, -1 when unknown.
	Stream func(ctx context.Context, w io.Writer) error
	Size   int64
}

// ServerOptions say where a Server is.
type ServerOptions struct {
	// Listen is the address to listen on, host:port; port 0 takes a free one.
	Listen string
	// URL is how the destination reaches that address; empty: by the address
	// itself. Its port is replaced where it has none.
	URL string
	// Token is the secret part of the path.
	Token string
}

// Serve offers a package until Close.
func Serve(opts ServerOptions, offer Offer) (*Server, error) {
	if len(opts.Token) < 16 {
		return nil, errors.New("relay: the token is too short to be a secret")
	}
	l, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	s := &Server{listener: l, token: opts.Token, offer: offer, slots: make(chan struct{}, maxReaders), ended: make(chan struct{})}
	if s.base, err = baseURL(opts.URL, l.Addr()); err != nil {
		l.Close()
		return nil, err
	}
	s.path = "/" + path.Base("/"+offer.Name)
	s.active.Store(time.Now().UnixNano())
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		defer close(s.ended)
		s.http.Serve(l)
	}()
	return s, nil
}

// baseURL is where the listener is reached from outside.
func baseURL(given string, addr net.Addr) (*url.URL, error) {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return nil, err
	}
	if given == "" {
		return &url.URL{Scheme: "http", Host: addr.String()}, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("relay: %q is not a URL such as http://host:port", given)
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// Addr is the address listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the one-time URL. It holds the token: it is a secret.
func (s *Server) URL() string { return s.base.JoinPath(s.token, s.path).String() }

// Sent is how many bytes were sent.
func (s *Server) Sent() int64 { return s.sent.Load() }

// Active is when the last byte was sent.
func (s *Server) Active() time.Time { return time.Unix(0, s.active.Load()) }

// Close ends the offer and the answers in progress.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.ended
	return err
}

// ServeHTTP answers the one URL; anything else is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(s.base.Path, "/"))
	token, file, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 || "/"+file != s.path {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	if s.offer.Content == nil {
		s.stream(w, r)
		return
	}
	if s.offer.Version != "" {
		w.Header().Set("ETag", etag(s.offer.Version))
	}
	in := newReader(r.Context(), s.offer.Content)
	in.end = endOfRange(r.Header.Get("Range"), in.end)
	defer in.Close()
	out := &counted{ResponseWriter: w, s: s}
	http.ServeContent(out, r, "", time.Time{}, in)
	if in.err != nil {
		// The answer is shorter than announced; end the connection so that
		// nobody takes it for whole.
		panic(http.ErrAbortHandler)
	}
}

// endOfRange is where a request for one range ends, so that no more than was
// asked for is read from the source.
func endOfRange(header string, size int64) int64 {
	var first, last int64
	if n, _ := fmt.Sscanf(header, "bytes=%d-%d", &first, &last); n == 2 && !strings.Contains(header, ",") && last < size {
		return last + 1
	}
	return size
}

// stream answers with a package that passes only once.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Accept-Ranges", "none")
	if s.offer.Size >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(s.offer.Size))
	}
	if r.Method == http.MethodHead {
		return
	}
	s.mu.Lock()
	taken := s.taken
	s.taken = true
	s.mu.Unlock()
	if taken {
		http.Error(w, "this package passes once, and has", http.StatusGone)
		return
	}
	if err := s.offer.Stream(r.Context(), &counted{ResponseWriter: w, s: s}); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// etag makes a strong entity tag of any string.
func etag(version string) string {
	if strings.HasPrefix(version, `"`) && strings.HasSuffix(version, `"`) && len(version) > 1 {
		return version
	}
	return `"` + strings.NewReplacer(`"`, "", "\\", "", "\r", "", "\n", "").Replace(version) + `"`
}

// counted counts what is sent. It hides ReadFrom, so that every byte is seen.
type counted struct {
	http.ResponseWriter
	s *Server
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.sent.Add(int64(n))
	c.s.active.Store(time.Now().UnixNano())
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }
