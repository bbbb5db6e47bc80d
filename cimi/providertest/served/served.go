// Package served is an embedded cloud on a loopback port, for tests of what
// speaks to clouds over HTTP.
package served

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
)

// Cloud is one, open until its test ends.
type Cloud struct {
	*provider.Provider
	URL string // of its entry point
	// Asked counts requests, Sent the bytes of exports.
	Asked, Sent atomic.Int64

	t testing.TB
}

// New opens an empty one. Chunk is how many bytes of a disk an import proves at
// a time; 0: what a cloud has by itself.
func New(t testing.TB, chunk int64) *Cloud {
	t.Helper()
	dir := t.TempDir()
	h, err := local.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if chunk > 0 {
		h.Chunk = chunk
	}
	p, err := provider.New(t.Context(), h, provider.Options{Database: filepath.Join(dir, "provider.db"),
		AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &Cloud{Provider: p, t: t}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Asked.Add(1)
		if strings.Contains(r.URL.Path, "/exports/") {
			w = counting{w, &c.Sent}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		p.Close()
	})
	c.URL = s.URL + "/cloudEntryPoint"
	return c
}

// counting counts what is sent.
type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Load imports an archive.
func (c *Cloud) Load(archive []byte) {
	c.t.Helper()
	acc, err := c.ImportPackage(c.t.Context(), "systems", hosttest.Package(c.t, archive), &cimi.Action{Action: cimi.ActionImport})
	if err == nil {
		_, err = cimi.Wait(c.t.Context(), c, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// Names of the Systems in it, sorted.
func (c *Cloud) Names() []string {
	c.t.Helper()
	var out []string
	for r, err := range cimi.All(c.t.Context(), c, "systems", cimi.ListOptions{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, r.Base().Name)
	}
	slices.Sort(out)
	return out
}
