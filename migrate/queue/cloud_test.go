package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/providertest/served"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
	"github.com/cimimove/cimimove/ovf"
)

// testCloud is an embedded cloud on a loopback port.
type testCloud struct {
	*served.Cloud
	t *testing.T
}

// newCloud proves what comes by chunks of 1 MiB: the disks of tests are small.
func newCloud(t *testing.T) *testCloud {
	t.Helper()
	return &testCloud{served.New(t, 1<<20), t}
}

// imports counts those that the cloud has begun, by its Jobs.
func (c *testCloud) imports(state string) int {
	c.t.Helper()
	n := 0
	for r, err := range cimi.All(c.t.Context(), c, "jobs", cimi.ListOptions{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if j, ok := r.(*cimi.Job); ok && j.ParentJob == nil && strings.HasSuffix(j.Action, "import") && j.State == state {
			n++
		}
	}
	return n
}

// dial opens clouds by their URL.
func dial(ctx context.Context, url string, _ migrate.Side) (migrate.Endpoint, error) {
	p, err := client.New(ctx, url, client.Options{})
	return migrate.Endpoint{Name: url, URL: url, Provider: p}, err
}

// member is a machine that takes part: a journal and an engine of its own. Where
// nothing else is said nobody takes it for dead, however busy this machine is.
func member(t *testing.T, url string, o journal.SharedOptions) *migrate.Engine {
	t.Helper()
	o.Dir = t.TempDir()
	if o.Heartbeat == 0 {
		o.Heartbeat = time.Minute
	}
	j, err := journal.OpenShared(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return &migrate.Engine{Journal: j, StallTimeout: 10 * time.Second, Dial: dial}
}

// work starts a worker until ctx ends; wait ends with it.
func work(ctx context.Context, t *testing.T, url string, e *migrate.Engine, heartbeat time.Duration) (wait func()) {
	t.Helper()
	w, err := New(t.Context(), Options{URL: url, Engine: e, Heartbeat: heartbeat, Evacuation: evacuate.Options{Poll: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { <-done }
}

// submit records a runbook between two clouds for workers; limits are those of
// the first.
func submit(t *testing.T, url string, from, to *testCloud, limits, rest string) *evacuate.Evacuation {
	t.Helper()
	rb, err := runbook.Parse(t.Name(), fmt.Appendf(nil, "version: 1\nendpoints:\n  old: {url: %q, limits: {%s}}\n  new: {url: %q}\ndefaults: {source: old, destination: new}\n%s", from.URL, limits, to.URL, rest))
	if err != nil {
		t.Fatal(err)
	}
	v, err := evacuate.New(t.Context(), member(t, url, journal.SharedOptions{}), rb, evacuate.Options{Poll: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	if err := v.Submit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// followed waits until the runbook is carried out.
func followed(t *testing.T, v *evacuate.Evacuation) (*evacuate.Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return v.Follow(ctx)
}

// large is a package of one machine with a disk of so many bytes, all data.
func large(t *testing.T, size int) []byte {
	t.Helper()
	data := string(hosttest.Content(3, size))
	hw := hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI}, hosttest.OnController("3", 0, "d"))
	return hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(size), PopulatedSize: -1}},
		[]ovf.File{{ID: "f", Href: "d.img", Size: int64(size)}}, [2]string{"d.img", data})
}
