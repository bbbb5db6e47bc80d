package migrate_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// metered counts the bytes that are read of a cloud's exports.
type metered struct {
	cimi.Provider
	read *atomic.Int64
}

func (m metered) Open(ctx context.Context, href string) (cimi.Content, error) {
	c, err := m.Provider.Open(ctx, href)
	if err != nil || strings.Contains(href, "/reach/") {
		return c, err
	}
	return meteredContent{c, m.read}, nil
}

type meteredContent struct {
	cimi.Content
	read *atomic.Int64
}

func (c meteredContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	c.read.Add(int64(n))
	return n, err
}

// TestDirect: where the destination reaches the source it is the shortest way,
// and of the package nearly nothing passes through us (AC-07).
func TestDirect(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.remote(), b.remote()
	read := &atomic.Int64{}
	src.Provider = metered{src.Provider, read}
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if err != nil || plan.Via != migrate.ViaDirect {
		t.Fatalf("%+v: %v", plan, err)
	}
	for _, w := range plan.Ways {
		if w.Why == "" || w.Taken != (w.Via == migrate.ViaDirect) {
			t.Errorf("%+v", w)
		}
	}
	rep, err := newEngine(t, src, dst).Start(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
	x, err := migrate.ExportPackage(t.Context(), dst, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	// Descriptor and headers are some KiB whatever the size of disks; the sample's are small.
	if n := read.Load(); n > 32<<10 || rep.Bytes.Read > 0 || rep.Bytes.Written > 0 || rep.Via != "direct" {
		t.Errorf("%d bytes passed through us of %d; %+v", n, x.Content.Size(), rep.Bytes)
	}
}

// TestDirectNot: what keeps auto from it, and what --via direct refuses.
func TestDirectNot(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	far := a.remote()
	far.URL = "http://192.0.2.1:8780/cloudEntryPoint"
	login := a.remote()
	login.Login = func() (string, string, string) { return "ann", "canary", "" }
	mute := b.remote()
	mute.Provider = muted{mute.Provider}
	for name, c := range map[string]struct {
		src, dst migrate.Endpoint
		why      string
	}{
		"source in process":      {a.inProcess(), b.remote(), "in this process"},
		"destination in process": {a.remote(), b.inProcess(), "in this process"},
		"out of reach":           {far, b.remote(), "does not reach the source"},
		"credentials":            {login, b.remote(), "--via direct"},
		"cannot be asked":        {a.remote(), mute, "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: c.src, Destination: c.dst, System: "shop"})
			if err != nil || plan.Via != migrate.ViaRelay || plan.Ways[0].Via != migrate.ViaDirect || !strings.Contains(plan.Ways[0].Why, c.why) {
				t.Errorf("%v: %+v", err, plan.Ways)
			}
			plan, err = migrate.NewPlan(t.Context(), migrate.Options{Source: c.src, Destination: c.dst, System: "shop", Via: migrate.ViaDirect})
			if possible := name == "credentials" || name == "cannot be asked"; possible != (err == nil) || err != nil && migrate.ClassOf(err) != migrate.ClassRefused {
				t.Errorf("asked for: %v: %+v", err, plan.Ways)
			}
		})
	}
}

// muted is a cloud that cannot be asked what it reaches.
type muted struct{ cimi.Provider }

func (m muted) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := m.Provider.List(ctx, id, o)
	if err == nil {
		var kept []cimi.Operation
		for _, op := range c.Operations {
			if op.Rel != cimi.RelReach {
				kept = append(kept, op)
			}
		}
		c.Operations = kept
	}
	return c, err
}

// TestDirectWithLogin: asked for, the source's credentials go to the
// destination's import, and nowhere else (AC-38).
func TestDirectWithLogin(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	guarded := &atomic.Bool{}
	inner := a.http.Config.Handler
	a.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); guarded.Load() && strings.HasPrefix(r.URL.Path, "/exports/") && !strings.HasPrefix(r.UserAgent(), "cimimove") && (user != "ann" || password != "canary") {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
	src, dst := a.remote(), b.remote()
	guarded.Store(true)
	e := newEngine(t, src, dst)
	_, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaDirect})
	wantClass(t, err, migrate.ClassAuth, migrate.Destination)
	if len(b.systems()) != 0 {
		t.Errorf("the destination holds %v", b.systems())
	}
	src.Login = func() (string, string, string) { return "ann", "canary", "" }
	e = newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaDirect})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
	noSecrets(t, e.Journal.Dir(), "canary")
	noSecrets(t, b.dir, "canary")
}

// half is a cloud that gives a digest of its first disk alone, and packages in one
// go.
type half struct{ once }

func (h half) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := h.once.List(ctx, id, o)
	if err == nil {
		for n, r := range c.Items {
			if v, ok := r.(*cimi.Volume); ok && n > 0 {
				v.SetExtra(cimi.ContentDigest, nil)
			}
		}
	}
	return c, err
}

// TestDirectHalfProved: a move of which only some disks can be proved is not
// verified.
func TestDirectHalfProved(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	src.Provider = half{once{Provider: src.Provider}}
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Via: migrate.ViaDirect, Verify: migrate.VerifyDigest})
	if err == nil && rep.Verified {
		t.Errorf("verified by %d digests of 3 disks", len(rep.Disks))
	}
}
