package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate/board"
	"github.com/cimimove/cimimove/migrate/evacuate"
)

// leastToken is the length, in bytes, of tokens that are hard to guess.
const leastToken = 12

// pageToken is what allows requests from the web page: from a file or the
// environment, never an argument.
func (c *call) pageToken() (string, error) {
	file := c.String("page-token-file")
	if file == "" {
		token := os.Getenv("CIMIMOVE_PAGE_TOKEN")
		if token != "" && len(token) < leastToken {
			return "", usage("CIMIMOVE_PAGE_TOKEN holds less than %d characters, which can be guessed", leastToken)
		}
		return token, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", usage("--page-token-file: %v", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < leastToken {
		return "", usage("--page-token-file: %s holds less than %d characters, which can be guessed", file, leastToken)
	}
	return token, nil
}

// showPage serves the page of an evacuation; stop ends it.
func (c *call) showPage(v *evacuate.Evacuation) (stop func(), err error) {
	address := c.String("listen")
	if address == "" {
		return func() {}, nil
	}
	token, err := c.pageToken()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage("--listen: %v", err)
	}
	// Answers last as long as somebody looks: only reading a request has a limit.
	page := board.Handler(board.OfEvacuation(v), board.Options{Token: token})
	srv := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(ln)
	fmt.Fprintf(c.err, "the page of this run is at http://%s/\n", ln.Addr())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastLook)
		defer cancel()
		if last, err := board.Ended(ctx, v); err == nil {
			page.End(last)
			srv.Shutdown(ctx)
		}
		srv.Close()
	}, nil
}

// lastLook is how long the end of a run waits for pages that are open.
const lastLook = 3 * time.Second

// writePage replaces file by the report as one HTML page.
func writePage(file string, v *evacuate.Evacuation) (err error) {
	b, err := board.Ended(context.Background(), v)
	if err != nil {
		return err
	}
	page, err := board.HTML(b)
	if err != nil {
		return err
	}
	return replaceFile(file, page)
}

// replaceFile writes file whole or not at all.
func replaceFile(file string, content []byte) error {
	return replace(file, func(f *os.File) error { _, err := f.Write(content); return err })
}

// replacePrivate is replaceFile for what its owner alone may read.
func replacePrivate(file string, content []byte) error {
	return replace(file, func(f *os.File) error {
		if info, err := f.Stat(); err != nil || info.Mode().IsRegular() {
			if err := errors.Join(err, f.Chmod(0o600)); err != nil {
				return err
			}
		}
		_, err := f.Write(content)
		return err
	})
}

// pagePath is where a served cloud's page is.
const pagePath = "/dashboard/"

// withPage adds a page of the cloud's Jobs. Whoever may read the Jobs may see it.
func withPage(cloud http.Handler, page http.Handler) http.Handler {
	page = http.StripPrefix(strings.TrimSuffix(pagePath, "/"), page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, pagePath) {
			cloud.ServeHTTP(w, r)
			return
		}
		ask := r.Clone(r.Context())
		ask.Method, ask.URL.Path, ask.URL.RawQuery, ask.RequestURI, ask.Body = http.MethodGet, "/jobs", "", "/jobs", http.NoBody
		ask.Header = http.Header{"Accept": {"application/json"}}
		if a := r.Header.Get("Authorization"); a != "" {
			ask.Header.Set("Authorization", a)
		}
		answer := &statusOnly{header: http.Header{}}
		cloud.ServeHTTP(answer, ask)
		if answer.status != http.StatusOK { // also where it could not be found out
			if v := answer.header.Get("WWW-Authenticate"); v != "" {
				w.Header().Set("WWW-Authenticate", v)
			}
			http.Error(w, http.StatusText(answer.status), answer.status)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// statusOnly is an answer of which only the status is looked at.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header { return s.header }
func (s *statusOnly) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}
func (s *statusOnly) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return len(b), nil
}
