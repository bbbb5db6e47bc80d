package evacuate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/providertest/served"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// testCloud is an embedded cloud on a loopback port.
type testCloud struct {
	*served.Cloud
	t testing.TB
}

func newCloud(t testing.TB, systems ...string) *testCloud {
	t.Helper()
	c := &testCloud{served.New(t, 0), t}
	for n, name := range systems {
		c.load(name, byte(n))
	}
	return c
}

// load imports the sample appliance under a name.
func (c *testCloud) load(name string, seed byte) {
	c.t.Helper()
	c.Load(hosttest.NewSample(c.t, name, seed).OVA(c.t))
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
	rb, err := runbook.Parse(t.Name(), fmt.Appendf(nil, "version: 1\nendpoints:\n  old: {url: %q}\n  new: {url: %q}\ndefaults: {source: old, destination: new}\n%s", a.URL, b.URL, strings.ReplaceAll(rest, "\t", "  ")))
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
