package evacuate

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// testCloud is an embedded cloud on a loopback port.
type testCloud struct {
	t   testing.TB
	p   *provider.Provider
	url string
}

func newCloud(t testing.TB, systems ...string) *testCloud {
	t.Helper()
	dir := t.TempDir()
	h, err := local.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
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
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		p.Close()
	})
	c := &testCloud{t: t, p: p, url: s.URL + "/cloudEntryPoint"}
	for n, name := range systems {
		c.load(name, byte(n))
	}
	return c
}

// load imports the sample appliance under a name.
func (c *testCloud) load(name string, seed byte) {
	c.t.Helper()
	s := hosttest.NewSample(c.t, name, seed)
	acc, err := c.p.ImportPackage(c.t.Context(), "systems", hosttest.Package(c.t, s.OVA(c.t)), &cimi.Action{Action: cimi.ActionImport})
	if err == nil {
		_, err = cimi.Wait(c.t.Context(), c.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// systems lists the names in the cloud, sorted.
func (c *testCloud) systems() []string {
	c.t.Helper()
	var out []string
	for r, err := range cimi.All(context.Background(), c.p, "systems", cimi.ListOptions{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, r.Base().Name)
	}
	slices.Sort(out)
	return out
}

// newEngine dials clouds by their URL.
func newEngine(t testing.TB) *migrate.Engine {
	t.Helper()
	j, err := journal.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	dial := func(ctx context.Context, url string, _ migrate.Side) (migrate.Endpoint, error) {
		p, err := client.New(ctx, url, client.Options{})
		return migrate.Endpoint{Name: url, URL: url, Provider: p}, err
	}
	return &migrate.Engine{Journal: j, Dial: dial, StallTimeout: 10 * time.Second}
}

// book is a runbook between two clouds.
func book(t testing.TB, a, b *testCloud, rest string) *runbook.Runbook {
	t.Helper()
	rb, err := runbook.Parse(t.Name(), fmt.Appendf(nil, "version: 1\nendpoints:\n  old: {url: %q}\n  new: {url: %q}\ndefaults: {source: old, destination: new}\n%s", a.url, b.url, strings.ReplaceAll(rest, "\t", "  ")))
	if err != nil {
		t.Fatal(err)
	}
	return rb
}

// evacuation opens a runbook with a short poll.
func evacuation(t testing.TB, e *migrate.Engine, rb *runbook.Runbook, o Options) *Evacuation {
	t.Helper()
	if o.Poll == 0 {
		o.Poll = 20 * time.Millisecond
	}
	v, err := New(t.Context(), e, rb, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}
