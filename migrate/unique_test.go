package migrate_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestOneOfSeveralOfAName: of imports and migrations to one cloud that want the
// same name at the same time, the cloud takes one; the others are refused, and
// take away nothing of it.
func TestOneOfSeveralOfAName(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, way := range []string{"import in process", "import over HTTP", "migrate"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			s := hosttest.NewSample(t, "shop", 1)
			a.load(s)
			archive := s.OVA(t)
			begin := make(chan struct{})
			errs := make([]error, 4)
			var all sync.WaitGroup
			for i := range errs {
				src, dst := a.remote(), b.remote()
				e := newEngine(t, src, dst)
				plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.ViaRelay})
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					<-begin
					switch way {
					case "migrate":
						_, errs[i] = e.Start(t.Context(), plan)
					case "import in process":
						_, errs[i] = migrate.ImportPackage(t.Context(), hosttest.Package(t, archive), b.inProcess(), migrate.ImportOptions{})
					default:
						_, errs[i] = migrate.ImportPackage(t.Context(), hosttest.Package(t, archive), dst, migrate.ImportOptions{Name: "shop"})
					}
				})
			}
			close(begin)
			all.Wait()
			done := 0
			for _, err := range errs {
				if err == nil {
					done++
					continue
				}
				if migrate.ClassOf(err) != migrate.ClassRefused {
					t.Errorf("class %v: %v", migrate.ClassOf(err), err)
				}
			}
			if got := b.systems(); done != 1 || len(got) != 1 || got[0] != "shop" {
				t.Errorf("%d were done; the destination holds %v", done, got)
			}
			if n := b.diskFiles(); n != 3 {
				t.Errorf("%d files of disks", n)
			}
		})
	}
}

// TestLongNames: a name that was asked for and that clouds would cut is
// refused; that of a package is cut, and that is said.
func TestLongNames(t *testing.T) {
	t.Parallel()
	b := newCloud(t)
	long := strings.Repeat("ä", 150)
	archive := hosttest.NewSample(t, "shop", 1).OVA(t)
	for _, name := range []string{long, "two\nlines"} {
		_, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, archive), b.remote(), migrate.ImportOptions{Name: name})
		var e *migrate.Error
		if migrate.ClassOf(err) != migrate.ClassRefused || !errors.As(err, &e) || !strings.Contains(e.Hint(), "--name") {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	named := hosttest.Archive(t, ovf.Draft{Content: ovf.DraftContent{ID: "vm", Name: long, Hardware: []ovf.DraftHardware{hosttest.Hardware("")}}})
	for range 2 {
		res, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, named), b.remote(), migrate.ImportOptions{IfExists: migrate.ExistsSkip})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Findings) == 0 || res.Findings[0].ID != migrate.RuleName || len(res.System) != 254 {
			t.Errorf("%d bytes, findings %+v", len(res.System), res.Findings)
		}
	}
	if got := b.systems(); len(got) != 1 || got[0] != long[:254] {
		t.Errorf("the cloud holds %q", got)
	}
}
