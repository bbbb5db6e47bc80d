package migrate_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/faultproxy"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// TestAC06RetryAfter: a server that asks to come back later is asked again, and
// not before; one that refuses is not.
func TestAC06RetryAfter(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []time.Time
	status := http.StatusServiceUnavailable
	content := hosttest.NewSample(t, "shop", 1).OVA(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, time.Now())
		n := len(asked)
		mu.Unlock()
		if n == 1 || status == http.StatusNotFound {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "not now", status)
			return
		}
		http.ServeContent(w, r, "a.ova", time.Time{}, strings.NewReader(string(content)))
	}))
	defer s.Close()
	var told []fetch.Attempt
	open := func() error {
		pkg, err := web.Open(t.Context(), s.URL+"/a.ova", web.Options{Fetch: fetch.Options{MinWait: time.Millisecond, OnRetry: func(a fetch.Attempt) { told = append(told, a) }}})
		if err == nil {
			pkg.Close()
		}
		return err
	}
	if err := open(); err != nil || len(asked) < 2 {
		t.Fatalf("%v after %d requests", err, len(asked))
	}
	if waited := asked[1].Sub(asked[0]); waited < time.Second {
		t.Errorf("asked again after %s, the server said a second", waited)
	}
	if len(told) != 1 || told[0].Number != 1 || told[0].Err == nil || told[0].Of < 2 {
		t.Errorf("told of %+v", told)
	}
	asked, status = nil, http.StatusNotFound
	if err := open(); err == nil || len(asked) != 1 {
		t.Errorf("a 404 was asked for %d times: %v", len(asked), err)
	}
}

// TestAC09NoTemporaryCopy: a large archive from a web server arrives without a
// temporary file, wherever those would go.
func TestAC09NoTemporaryCopy(t *testing.T) {
	ovftest.Slow(t)
	const data = 64 << 20
	a := newCloud(t)
	a.loadLarge(512<<20, data)
	x, err := migrate.ExportPackage(t.Context(), a.inProcess(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.ova", time.Time{}, io.NewSectionReader(x.Content, 0, x.Content.Size()))
	}))
	defer s.Close()
	b := newCloud(t)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "is not there"))
	if f, err := os.CreateTemp("", ""); err == nil {
		f.Close()
		t.Fatal("temporary files can be made")
	}
	for _, ranged := range []bool{true, false} {
		var pkg ovf.Package
		if ranged {
			pkg, err = web.Open(t.Context(), s.URL, web.Options{})
		} else {
			pkg, err = ova.Read(t.Context(), io.NewSectionReader(x.Content, 0, x.Content.Size()), "a.ova", ova.Options{})
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := migrate.ImportPackage(t.Context(), pkg, b.inProcess(), migrate.ImportOptions{Name: fmt.Sprint("ranged ", ranged)})
		if err != nil || res.ID == "" {
			t.Fatalf("%+v: %v", res, err)
		}
	}
}

// TestAC11Proxies: an endpoint is reached through its own proxy, or through
// none, whatever others are.
func TestAC11Proxies(t *testing.T) {
	t.Parallel()
	a := newCloud(t)
	seen := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	}))
	defer proxy.Close()
	for _, c := range []struct {
		proxy   string
		through bool
	}{{proxy.URL, true}, {fetch.NoProxy, false}} {
		seen = 0
		p, err := client.New(context.Background(), a.url(), client.Options{Proxy: c.proxy})
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		if (seen > 0) != c.through {
			t.Errorf("proxy %s: %d requests passed", c.proxy, seen)
		}
	}
}

// TestAC11Insecure: a certificate that is not checked is said in plan and
// report, and --strict refuses it.
func TestAC11Insecure(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	src.Insecure = true
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range rep.Findings {
		found = found || f.ID == migrate.RuleInsecure && f.Object == src.Name
	}
	if !found {
		t.Errorf("nothing of it in %+v", rep.Findings)
	}
	_, err = migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "again", Strict: true})
	if migrate.ClassOf(err) != migrate.ClassRefused {
		t.Errorf("strict: %v", err)
	}
}

// TestDirectPassesNothing: of what goes directly less than 0.1 % passes through
// us, on a disk that is large enough to tell.
func TestDirectPassesNothing(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	const data = 96 << 20
	a, b := newCloud(t), newCloud(t)
	a.loadLarge(512<<20, data)
	past := faultproxy.Start(t, a.http.URL, faultproxy.Exports)
	ours := through(t, past, client.Options{})
	dst := b.remote()
	// What we read goes through the proxy that counts; the destination is
	// pointed at the same export behind it.
	ours.Provider = behind{ours.Provider, past.URL(), a.http.URL}
	ours.URL = a.url()
	rep, err := move(t, newEngine(t, ours, dst), migrate.Options{Source: ours, Destination: dst, Via: migrate.ViaDirect, Verify: migrate.VerifyDigest})
	if err != nil || !rep.Verified || rep.Via != "direct" {
		t.Fatalf("%+v: %v", rep, err)
	}
	t.Logf("%d bytes of %d passed through us", past.Sent(), int64(data))
	if past.Sent() > data/1000 {
		t.Errorf("%d bytes of %d passed through us", past.Sent(), int64(data))
	}
}

// behind gives the Location of exports as it is without a proxy, and reads them
// through it.
type behind struct {
	cimi.Provider
	proxy, direct string
}

func (b behind) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	acc, err := b.Provider.Invoke(ctx, id, a)
	if err == nil {
		acc.Location = strings.Replace(acc.Location, b.proxy, b.direct, 1)
	}
	return acc, err
}

func (b behind) Open(ctx context.Context, href string) (cimi.Content, error) {
	return b.Provider.Open(ctx, strings.Replace(href, b.direct, b.proxy, 1))
}
