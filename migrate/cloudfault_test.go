package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestVerifyLess: what was not verified is not called verified (AC-31).
func TestVerifyLess(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Verify: migrate.VerifyNone, Name: "one"})
	if err != nil || rep.Verified || rep.State != string(journal.Done) {
		t.Errorf("none: %+v, %v", rep, err)
	}
	rep, err = move(t, e, migrate.Options{Source: src, Destination: dst, Verify: migrate.VerifyDigest, Name: "two"})
	if err != nil || !rep.Verified || len(rep.Disks) != 3 {
		t.Errorf("digest: %+v, %v", rep, err)
	}
}

// deaf is a cloud whose answer to the first import is lost on the way.
type deaf struct {
	cimi.Provider
	lost *atomic.Bool
}

func (d deaf) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	acc, err := d.Provider.Invoke(ctx, id, a)
	if err == nil && a.Action == cimi.ActionImport && d.lost.CompareAndSwap(false, true) {
		return nil, errors.New("connection lost")
	}
	return acc, err
}

// TestAnswerLost: an import of which neither Job nor System is known is found
// by its mark, so that there are never two (AC-33).
func TestAnswerLost(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.inProcess(), b.remote()
	dst.Provider = deaf{dst.Provider, new(atomic.Bool)}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	wantClass(t, err, migrate.ClassTransfer, migrate.Destination)
	if got := b.systems(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
	rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
}

// TestMapping: networks, MAC addresses and the name are what was asked for.
func TestMapping(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	b.load(hosttest.NewSample(t, "other", 2))
	src, dst := a.inProcess(), b.remote()
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "store", Nets: map[string]string{"front": "front"}, MAC: "regenerate"})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := newEngine(t, src, dst).Start(t.Context(), plan)
	if err != nil || !rep.Verified || rep.Name != "store" {
		t.Fatalf("%+v: %v", rep, err)
	}
	var found bool
	for _, n := range b.systems() {
		found = found || n == "store"
	}
	if !found {
		t.Errorf("the destination holds %v", b.systems())
	}
}

// once is a cloud whose exports can be read in one pass only, front to back.
type once struct{ cimi.Provider }

func (o once) Open(ctx context.Context, href string) (cimi.Content, error) {
	c, err := o.Provider.Open(ctx, href)
	if err != nil {
		return nil, err
	}
	return &onceContent{Content: c}, nil
}

type onceContent struct {
	cimi.Content
	pos atomic.Int64
}

func (c *onceContent) Ranged() bool { return false }

func (c *onceContent) ReadAt(p []byte, off int64) (int, error) {
	if off != c.pos.Load() {
		return 0, errors.New("only adjacent ascending reads are possible")
	}
	n, err := c.Content.ReadAt(p, off)
	c.pos.Add(int64(n))
	return n, err
}

// TestSourceWithoutRange: one sequential pass, and another for the digests
// (AC-08).
func TestSourceWithoutRange(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.inProcess(), b.remote()
	src.Provider = once{src.Provider}
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
}

// TestOneProcessAtATime: nobody takes up a run, or moves a System, that another
// works on.
func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	src.Location = "here"
	e := newEngine(t, src, dst)
	var checked atomic.Bool
	e.Journal.AfterWrite(func(what string) {
		if what != "done export" || !checked.CompareAndSwap(false, true) {
			return
		}
		other, err := journal.Open(context.Background(), e.Journal.Dir())
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Close()
		second := &migrate.Engine{Journal: other, Dial: dialer(src, dst)}
		list, err := second.Status(context.Background())
		if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "running" {
			t.Errorf("%+v: %v", list, err)
			return
		}
		if _, err := second.Resume(context.Background(), list.Runs[0].Run, migrate.ResumeOptions{}); !errors.Is(err, journal.ErrLocked) || strings.ContainsRune(err.Error(), '\x1f') {
			t.Errorf("resume of a run at work: %q", err)
		}
		plan, err := migrate.NewPlan(context.Background(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "again"})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := second.Start(context.Background(), plan); !errors.Is(err, journal.ErrLocked) || strings.Contains(err.Error(), "\x1f") {
			t.Errorf("second run of one System: %v", err)
		}
		named := src
		named.Name = "@old"
		if plan, err = migrate.NewPlan(context.Background(), migrate.Options{Source: named, Destination: dst, System: "shop", Name: "again"}); err != nil {
			t.Error(err)
			return
		}
		if _, err := second.Start(context.Background(), plan); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("second run of one System, whose cloud is called otherwise: %v", err)
		}
	})
	if _, err := move(t, e, migrate.Options{Source: src, Destination: dst}); err != nil || !checked.Load() {
		t.Errorf("%v", err)
	}
}

// sealed is a cloud that exports nothing.
type sealed struct{ cimi.Provider }

func (s sealed) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.ActionExport {
		return nil, cimi.Errorf(405, "export is not offered")
	}
	return s.Provider.Invoke(ctx, id, a)
}

// TestUnverifiable: what cannot be proved is kept, said, and exits with 10.
func TestUnverifiable(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	dst.Provider = sealed{dst.Provider}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	wantClass(t, err, migrate.ClassUnverified, migrate.Destination)
	if rep == nil || rep.Verified || rep.State != string(journal.Done) || len(b.systems()) != 1 {
		t.Errorf("%+v; the destination holds %v", rep, b.systems())
	}
	for _, d := range rep.Disks {
		if d.Verified || d.SourceDigest == "" || d.DestinationDigest != "" {
			t.Errorf("disk %+v", d)
		}
	}
	// Who resumes it is told the same, in the same words.
	again, resumed := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	wantClass(t, resumed, migrate.ClassUnverified, migrate.Destination)
	if again == nil || again.Verified || fmt.Sprint(resumed) != fmt.Sprint(err) {
		t.Errorf("resumed: %v, %+v; at first: %v", resumed, again, err)
	}
}
