package relay

import (
	"cmp"
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
	"sync/atomic"
	"time"
)

// maxReaders bounds how many requests are answered at a time; others wait.
const maxReaders = 8

// mediaType is what a package answers as (DSP0263 Annex A).
const mediaType = "application/ovf"

// ImageType is the media type of an image of a disk.
const ImageType = "application/octet-stream"

// Server offers files, each at a URL of its own.
type Server struct {
	listener net.Listener
	http     *http.Server
	base     *url.URL
	token    string
	first    string              // path of the first offer
	offers   map[string]*offered // by path
	slots    chan struct{}
	sent     atomic.Int64
	active   atomic.Int64 // time of the last byte sent, Unix nanoseconds
	ended    chan struct{}
}

// offered is an offer and what came of it.
type offered struct {
	Offer
	sent  atomic.Int64
	taken atomic.Bool // a stream was asked for
}

// Offer is what a Server serves: Content, which may be asked for in ranges and
// again, or Stream, which passes once.
type Offer struct {
	Name    string  // file name in the URL; no two offers have the same
	Type    string  // media type; empty: that of a package
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

// Serve offers a package, or several files, until Close.
func Serve(opts ServerOptions, offers ...Offer) (*Server, error) {
	if len(opts.Token) < 16 {
		return nil, errors.New("relay: the token is too short to be a secret")
	}
	l, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	s := &Server{listener: l, token: opts.Token, offers: map[string]*offered{}, slots: make(chan struct{}, maxReaders), ended: make(chan struct{})}
	if s.base, err = baseURL(opts.URL, l.Addr()); err != nil {
		l.Close()
		return nil, err
	}
	for _, o := range offers {
		at := pathOf(o.Name)
		if s.offers[at] != nil {
			l.Close()
			return nil, fmt.Errorf("relay: two files are called %s", o.Name)
		}
		s.offers[at] = &offered{Offer: o}
		if s.first == "" {
			s.first = at
		}
	}
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

func pathOf(name string) string { return "/" + path.Base("/"+name) }

// Reach is where the server is reached from outside, without the token.
func (s *Server) Reach() string { return s.base.String() }

// URL is the one-time URL of the first offer. It holds the token: it is a secret.
func (s *Server) URL() string { return s.base.JoinPath(s.token, s.first).String() }

// URLOf is that of the offer of a name.
func (s *Server) URLOf(name string) string { return s.base.JoinPath(s.token, pathOf(name)).String() }

// Base is what all URLs begin with: it holds the token too.
func (s *Server) Base() string { return s.base.JoinPath(s.token).String() }

// Sent is how many bytes were sent.
func (s *Server) Sent() int64 { return s.sent.Load() }

// SentOf is how many bytes of the offer of a name were sent.
func (s *Server) SentOf(name string) int64 {
	if o := s.offers[pathOf(name)]; o != nil {
		return o.sent.Load()
	}
	return 0
}

// Active is when the last byte was sent.
func (s *Server) Active() time.Time { return time.Unix(0, s.active.Load()) }

// Close ends the offer and the answers in progress.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.ended
	return err
}

// ServeHTTP answers the URLs of the offers; anything else is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(s.base.Path, "/"))
	token, file, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	offer := s.offers["/"+file]
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 || offer == nil {
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
	w.Header().Set("Content-Type", cmp.Or(offer.Type, mediaType))
	w.Header().Set("Cache-Control", "no-store")
	out := &counted{ResponseWriter: w, s: s, offer: offer}
	if offer.Content == nil {
		offer.stream(w, out, r)
		return
	}
	if offer.Version != "" {
		w.Header().Set("ETag", etag(offer.Version))
	}
	in := newReader(r.Context(), offer.Content)
	in.end = endOfRange(r.Header.Get("Range"), in.end)
	defer in.Close()
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

// stream answers with what passes only once.
func (o *offered) stream(w http.ResponseWriter, out io.Writer, r *http.Request) {
	w.Header().Set("Accept-Ranges", "none")
	if o.Size >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(o.Size))
	}
	if r.Method == http.MethodHead {
		return
	}
	if o.taken.Swap(true) {
		http.Error(w, "this passes once, and has", http.StatusGone)
		return
	}
	if err := o.Stream(r.Context(), out); err != nil {
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
	s     *Server
	offer *offered
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.sent.Add(int64(n))
	c.offer.sent.Add(int64(n))
	c.s.active.Store(time.Now().UnixNano())
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }
