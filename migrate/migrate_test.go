package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
)

// TestMigrate moves the sample in every combination of clouds in process and
// over HTTP.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		src, dst func(*cloud) migrate.Endpoint
	}{
		{"in process", (*cloud).inProcess, (*cloud).inProcess},
		{"over HTTP", (*cloud).remote, (*cloud).remote},
		{"from HTTP", (*cloud).remote, (*cloud).inProcess},
		{"to HTTP", (*cloud).inProcess, (*cloud).remote},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hosttest.NewSample(t, "shop", 1)
			a, b := newCloud(t), newCloud(t)
			a.load(s)
			src, dst := c.src(a), c.dst(b)
			e := newEngine(t, src, dst)
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.ViaRelay})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := e.Start(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			checkMoved(t, s, rep, b)
			x, err := migrate.ExportPackage(t.Context(), src, "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			// AC-07: one pass. Headers are read once before it.
			if b, size := rep.Bytes, x.Content.Size(); b.Read < size-1024 || b.Read > size+64<<10 || b.Written > size+64<<10 || b.Written < size-1024 || b.Logical != 2*hosttest.DiskSize+2<<20 {
				t.Errorf("bytes %+v; the archive has %d", b, size)
			}
			again, err := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			if err != nil || !again.Verified {
				t.Errorf("resume of a verified run: %v, %v", again, err)
			}
		})
	}
}

// checkMoved holds what a verified move of the sample must show.
func checkMoved(t *testing.T, s *hosttest.Sample, rep *migrate.Report, dst *cloud) {
	t.Helper()
	if !rep.Verified || rep.State != "verified" {
		t.Errorf("not verified: %+v", rep)
	}
	if len(rep.Disks) != 3 {
		t.Errorf("%d disks in the report, want 3", len(rep.Disks))
	}
	for _, d := range rep.Disks {
		if !d.Verified || d.SourceDigest == "" || d.SourceDigest != d.DestinationDigest {
			t.Errorf("disk %+v", d)
		}
		if want, ok := s.Digests[d.Name]; ok && d.SourceDigest != want {
			t.Errorf("disk %s: digest %s, the sample's is %s", d.Name, d.SourceDigest, want)
		}
	}
	for _, f := range rep.Findings {
		if f.Severity == "error" {
			t.Errorf("finding %+v", f)
		}
	}
	if strings.Contains(rep.DestinationID, "/machines/") {
		// Machines and volumes by themselves: as many as the sample has.
		for collection, want := range map[string]int{"systems": 0, "machines": 2, "volumes": 3, "networks": 2} {
			if got := dst.names(collection); len(got) != want {
				t.Errorf("%s at the destination: %v", collection, got)
			}
		}
		return
	}
	if got := dst.systems(); !slices.Equal(got, []string{rep.Name}) {
		t.Errorf("the destination holds %v", got)
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	a.load(hosttest.NewSample(t, "twin", 2))
	a.load(hosttest.NewSample(t, "twin", 3))
	b.load(hosttest.NewSample(t, "shop", 4))
	for name, c := range map[string]struct {
		o    migrate.Options
		want string
	}{
		"missing":   {migrate.Options{System: "nothing"}, "no such System"},
		"ambiguous": {migrate.Options{System: "twin"}, "several Systems"},
		"exists":    {migrate.Options{System: "shop"}, "is there already"},
		"way":       {migrate.Options{System: "shop", Name: "other", Via: migrate.ViaDirect}, "in this process"},
		"network":   {migrate.Options{System: "shop", Name: "other", Nets: map[string]string{"*": "nowhere"}}, "no network nowhere"},
		"wrong net": {migrate.Options{System: "shop", Name: "other", Nets: map[string]string{"wan9": "x"}}, "no network of that name"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Source, c.o.Destination = a.inProcess(), b.remote()
			_, err := migrate.NewPlan(t.Context(), c.o)
			if migrate.ClassOf(err) != migrate.ClassRefused || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got class %v: %v", migrate.ClassOf(err), err)
			}
			var e *migrate.Error
			if !errors.As(err, &e) || e.Hint() == "" {
				t.Errorf("no advice in %v", err)
			}
		})
	}
}

func TestIfExists(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	old := b.load(hosttest.NewSample(t, "shop", 4))
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	move := func(policy migrate.IfExists) *migrate.Report {
		t.Helper()
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", IfExists: policy})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Start(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := move(migrate.ExistsSkip); rep.State != "skipped" || len(b.systems()) != 1 {
		t.Errorf("skip: %s, %v", rep.State, b.systems())
	}
	if rep := move(migrate.ExistsRename); rep.Name != "shop-2" || !rep.Verified || len(b.systems()) != 2 {
		t.Errorf("rename: %s, %v", rep.Name, b.systems())
	}
	rep := move(migrate.ExistsReplace)
	if !rep.Verified || len(b.systems()) != 2 || strings.HasSuffix(rep.DestinationID, old) {
		t.Errorf("replace: %+v, %v", rep, b.systems())
	}
}
