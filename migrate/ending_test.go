package migrate_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// lingering is a host that needs long to write down the last of what it has got:
// no byte and no Job tells of it. With half, it takes half of a disk and nothing
// more instead.
type lingering struct {
	*local.Host
	long time.Duration
	half bool
}

func (h lingering) Import(ctx context.Context, pkg ovf.Package, o host.ImportOptions) (*host.System, error) {
	for h.half {
		m, err := pkg.Next(ctx)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(m.Name, ".vmdk") {
			if _, err := io.CopyN(io.Discard, m, m.Size/2); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	s, err := h.Host.Import(ctx, pkg, o)
	select {
	case <-time.After(h.long):
	case <-ctx.Done():
	}
	return s, err
}

// ending is an empty cloud on such a host, in process only.
func ending(t *testing.T, long time.Duration, half bool) *cloud {
	t.Helper()
	dir := t.TempDir()
	h, err := local.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.New(t.Context(), lingering{h, long, half}, provider.Options{Database: filepath.Join(dir, "provider.db"), AllowSources: loopback})
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{t: t, dir: dir, p: p}
}

// TestDestinationEnds: a destination that has got all bytes may take long to
// write down the last of them, longer than bytes may stand still; one that takes
// no more of what it has not got yet may not.
func TestDestinationEnds(t *testing.T) {
	ovftest.Slow(t)
	for _, half := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := unserved(t), ending(t, 20*time.Minute, half)
			defer a.close()
			defer b.close()
			a.loadLarge(48<<20, 32<<20)
			src, dst := a.inProcess(), b.inProcess()
			e := newEngine(t, src, dst)
			e.StallTimeout = time.Minute
			started := time.Now()
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaRelay})
			took := time.Since(started)
			switch {
			case !half && (err != nil || !rep.Verified):
				t.Errorf("after %s: %v", took, err)
			case half && (!errors.Is(err, migrate.ErrStalled) || took > 5*time.Minute):
				t.Errorf("half of it taken, it ended after %s: %v", took, err)
			}
		})
	}
}

// TestDestinationEndsOverHTTP: the same of one that fetches from us, by a
// migration and by an import.
func TestDestinationEndsOverHTTP(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), ending(t, 7*time.Second, false)
	a.load(s)
	handler, err := server.New(b.p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.http = httptest.NewServer(handler)
	t.Cleanup(b.close)
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	e.StallTimeout = 3 * time.Second
	t.Run("migration", func(t *testing.T) {
		t.Parallel()
		if rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaRelay}); err != nil || !rep.Verified {
			t.Error(err)
		}
	})
	t.Run("import", func(t *testing.T) {
		t.Parallel()
		if _, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, s.OVA(t)), dst, migrate.ImportOptions{Name: "other", StallTimeout: e.StallTimeout}); err != nil {
			t.Error(err)
		}
	})
}
