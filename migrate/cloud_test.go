package migrate_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
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
)

// cloud is an embedded cloud, in process and on a loopback port.
type cloud struct {
	t    testing.TB
	dir  string
	p    *provider.Provider
	http *httptest.Server
	once sync.Once
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	return openCloud(t, t.TempDir())
}

func openCloud(t testing.TB, dir string) *cloud {
	t.Helper()
	p, err := openLocal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return serveCloud(t, dir, p)
}

// serveCloud serves the embedded cloud in dir.
func serveCloud(t testing.TB, dir string, p *provider.Provider) *cloud {
	t.Helper()
	handler, err := server.New(p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, dir: dir, p: p, http: httptest.NewServer(handler)}
	t.Cleanup(c.close)
	return c
}

// openLocal opens the embedded cloud in dir.
func openLocal(ctx context.Context, dir string) (*provider.Provider, error) {
	return openImpatient(ctx, dir, 5*time.Second)
}

// openImpatient opens one that gives a source up which gives nothing for so long.
func openImpatient(ctx context.Context, dir string, stall time.Duration) (*provider.Provider, error) {
	h, err := local.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	h.Chunk = 64 << 10 // the disks of tests are small
	p, err := provider.New(ctx, h, provider.Options{Database: filepath.Join(dir, "provider.db"),
		AllowSources: loopback, StallTimeout: stall})
	if err != nil {
		h.Close()
		return nil, err
	}
	return p, nil
}

// close ends the cloud; what it holds stays in its folder.
func (c *cloud) close() {
	c.once.Do(func() {
		if c.http != nil {
			c.http.Close()
		}
		c.p.Close()
	})
}

func (c *cloud) url() string { return c.http.URL + "/cloudEntryPoint" }

// inProcess is the cloud as its own process sees it.
func (c *cloud) inProcess() migrate.Endpoint {
	return migrate.Endpoint{Name: "local:" + c.dir, Provider: kept{c.p}}
}

// kept keeps an engine that closes its endpoints from closing the cloud.
type kept struct{ *provider.Provider }

func (kept) Close() error { return nil }

// remote is the cloud over HTTP.
func (c *cloud) remote() migrate.Endpoint {
	c.t.Helper()
	p, err := client.New(context.Background(), c.url(), client.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { p.Close() })
	return migrate.Endpoint{Name: c.url(), URL: c.url(), Provider: p}
}

// load imports the sample appliance and gives its id, relative to the cloud.
func (c *cloud) load(s *hosttest.Sample) string {
	c.t.Helper()
	acc, err := c.p.ImportPackage(c.t.Context(), "systems", hosttest.Package(c.t, s.OVA(c.t)), &cimi.Action{Action: cimi.ActionImport})
	if err == nil {
		_, err = cimi.Wait(c.t.Context(), c.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return acc.Location
}

// clear deletes every System, and what stands by itself.
func (c *cloud) clear() {
	c.t.Helper()
	for _, collection := range []string{"systems", "machines", "volumes", "networks"} {
		col, err := c.p.List(context.Background(), collection, cimi.ListOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range col.Items {
			acc, err := c.p.Delete(context.Background(), r.Base().ID)
			if err == nil {
				_, err = cimi.Wait(context.Background(), c.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
			}
			if err != nil && !cimi.IsNotFound(err) {
				c.t.Fatal(err)
			}
		}
	}
}

// systems lists the names in the cloud.
func (c *cloud) systems() []string {
	c.t.Helper()
	col, err := c.p.List(context.Background(), "systems", cimi.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for _, r := range col.Items {
		out = append(out, r.Base().Name)
	}
	return out
}

func newEngine(t testing.TB, endpoints ...migrate.Endpoint) *migrate.Engine {
	t.Helper()
	j, err := journal.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return &migrate.Engine{Journal: j, Dial: dialer(endpoints...), StallTimeout: 10 * time.Second}
}

func dialer(endpoints ...migrate.Endpoint) migrate.Dialer {
	return func(_ context.Context, name string, _ migrate.Side) (migrate.Endpoint, error) {
		for _, e := range endpoints {
			if e.Name == name {
				return e, nil
			}
		}
		return migrate.Endpoint{}, fmt.Errorf("no endpoint %s", name)
	}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
