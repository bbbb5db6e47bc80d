package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// faulty is a cloud whose exports can be made to go wrong.
type faulty struct {
	cimi.Provider
	read func(c cimi.Content, p []byte, off int64) (int, error)
}

func (f faulty) Open(ctx context.Context, href string) (cimi.Content, error) {
	c, err := f.Provider.Open(ctx, href)
	if err != nil {
		return nil, err
	}
	return faultyContent{c, f}, nil
}

type faultyContent struct {
	cimi.Content
	f faulty
}

func (c faultyContent) ReadAt(p []byte, off int64) (int, error) { return c.f.read(c.Content, p, off) }

// move plans and starts the move of the sample.
func move(t *testing.T, e *migrate.Engine, o migrate.Options) (*migrate.Report, error) {
	t.Helper()
	o.System = "shop"
	plan, err := migrate.NewPlan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e.Start(t.Context(), plan)
}

func wantClass(t *testing.T, err error, class migrate.Class, side migrate.Side) {
	t.Helper()
	if migrate.ClassOf(err) != class {
		t.Errorf("got class %v, want %v: %v", migrate.ClassOf(err), class, err)
	}
	var e *migrate.Error
	if errors.As(err, &e) && e.Side != side {
		t.Errorf("got side %q, want %q: %v", e.Side, side, err)
	}
}

// TestFlippedBit: a bit that changes between the source and us is never
// imported, and both clouds are as they were.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"in process", "over HTTP"} {
		t.Run(way, func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.inProcess()
			if way == "over HTTP" {
				dst = b.remote()
			}
			src.Provider = faulty{src.Provider, func(c cimi.Content, p []byte, off int64) (int, error) {
				n, err := c.ReadAt(p, off)
				if at := int64(200_000); off <= at && at < off+int64(n) {
					p[at-off] ^= 1
				}
				return n, err
			}}
			_, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
			wantClass(t, err, migrate.ClassIntegrity, migrate.Destination)
			if got := b.systems(); len(got) != 0 {
				t.Errorf("the destination holds %v", got)
			}
		})
	}
}

// TestSourceDrops: a source that fails is named, the run is resumable (AC-02,
// AC-06), and nothing is listed at the destination meanwhile.
func TestSourceDrops(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.inProcess(), b.inProcess()
	var broken atomic.Bool
	broken.Store(true)
	src.Provider = faulty{src.Provider, func(c cimi.Content, p []byte, off int64) (int, error) {
		// The descriptor is at the start; only headers are read before the disks.
		if broken.Load() && off < 200_000 && off+int64(len(p)) > 100_000 {
			return 0, errors.New("connection reset by peer")
		}
		return c.ReadAt(p, off)
	}}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	wantClass(t, err, migrate.ClassTransfer, migrate.Source)
	if rep == nil || rep.State != string(journal.Interrupted) {
		t.Fatalf("report %+v", rep)
	}
	var own *migrate.Error
	if !errors.As(err, &own) || !strings.Contains(own.Hint(), "cimimove resume "+rep.Run) {
		t.Errorf("no resume command in %v", err)
	}
	if got := b.systems(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
	broken.Store(false)
	rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
}

// TestDestinationCorrupted: verification reads the destination anew.
func TestDestinationCorrupted(t *testing.T) {
	t.Parallel()
	for _, policy := range []migrate.OnFailure{migrate.FailureRollback, migrate.FailureKeep} {
		t.Run(string(policy), func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			e := newEngine(t, src, dst)
			e.Journal.AfterWrite(func(what string) {
				if what == "done transfer" {
					corrupt(t, b.dir)
				}
			})
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, OnFailure: policy})
			wantClass(t, err, migrate.ClassIntegrity, migrate.Destination)
			if rep == nil || rep.Verified || rep.State != string(journal.Failed) {
				t.Errorf("report %+v", rep)
			}
			want := 0
			if policy == migrate.FailureKeep {
				want = 1
			}
			if got := b.systems(); len(got) != want {
				t.Errorf("the destination holds %v", got)
			}
			removed, err := e.GC(t.Context(), migrate.GCOptions{})
			if err != nil || len(removed) != want || len(b.systems()) != 0 {
				t.Errorf("gc: %v, %v; the destination holds %v", removed, err, b.systems())
			}
		})
	}
}

// corrupt changes a byte of each disk that holds any.
func corrupt(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "disks", "*.raw"))
	if err != nil || len(files) == 0 {
		t.Errorf("no disks in %s: %v", dir, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 })
		if i < 0 {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		info, _ := f.Stat()
		f.WriteAt([]byte{b[i] ^ 1}, int64(i))
		f.Close()
		// As a failing disk would: without a trace in the file's times.
		os.Chtimes(name, info.ModTime(), info.ModTime())
	}
}

// TestSourceChanged: a run whose source is another now is refused, not spliced
// (AC-01).
func TestSourceChanged(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	id := a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	e := newEngine(t, src, dst)
	ctx, stop := context.WithCancel(t.Context())
	e.Journal.AfterWrite(func(what string) {
		if what == "done export" {
			stop()
		}
	})
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := e.Start(ctx, plan)
	if migrate.ClassOf(err) != migrate.ClassInterrupt || rep.State != string(journal.Interrupted) {
		t.Fatalf("class %v, %+v: %v", migrate.ClassOf(err), rep, err)
	}
	e.Journal.AfterWrite(nil)
	acc, err := a.p.Delete(t.Context(), id)
	if err == nil {
		_, err = cimi.Wait(t.Context(), a.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
	}
	if err != nil {
		t.Fatal(err)
	}
	a.load(hosttest.NewSample(t, "shop", 9))
	_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	if !errors.Is(err, migrate.ErrSourceChanged) {
		t.Errorf("got %v", err)
	}
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if got := b.systems(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
}

// TestInterrupt: the first signal stops the work, leaves nothing listed at the
// destination and keeps the state (AC-32); rollback works from the journal alone.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	for _, then := range []string{"resume", "rollback"} {
		ctx, stop := context.WithCancel(t.Context())
		e.Journal.AfterWrite(func(what string) {
			if what == "note import" {
				stop()
			}
		})
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Start(ctx, plan)
		wantClass(t, err, migrate.ClassInterrupt, "")
		if rep.State != string(journal.Interrupted) {
			t.Errorf("state %s", rep.State)
		}
		if got := b.systems(); len(got) != 0 {
			t.Errorf("after the interruption the destination holds %v", got)
		}
		e.Journal.AfterWrite(nil)
		if then == "rollback" {
			rep, err := e.Rollback(t.Context(), rep.Run)
			if err != nil || rep.State != string(journal.RolledBack) {
				t.Errorf("rollback: %+v, %v", rep, err)
			}
			if got := b.systems(); len(got) != 0 {
				t.Errorf("after rollback the destination holds %v", got)
			}
			continue
		}
		rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checkMoved(t, s, rep, b)
		// Undoing a run that is done takes its System away again.
		if _, err := e.Rollback(t.Context(), rep.Run); err != nil || len(b.systems()) != 0 {
			t.Errorf("rollback of a verified run: %v; the destination holds %v", err, b.systems())
		}
	}
}

// TestVerifyLess: what was not verified is not called verified (AC-31).
func TestVerifyLess(t *testing.T) {
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
		if _, err := second.Resume(context.Background(), list.Runs[0].Run, migrate.ResumeOptions{}); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("resume of a run at work: %v", err)
		}
		plan, err := migrate.NewPlan(context.Background(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "again"})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := second.Start(context.Background(), plan); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("second run of one System: %v", err)
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
}

// powered is a cloud whose machines run until they are stopped.
type powered struct {
	cimi.Provider
	stopped *atomic.Int64
	started *atomic.Int64
	on      *atomic.Bool
}

func (p powered) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	r, err := p.Provider.Get(ctx, id, o)
	p.show(r)
	return r, err
}

func (p powered) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := p.Provider.List(ctx, id, o)
	if err == nil {
		for _, r := range c.Items {
			p.show(r)
		}
	}
	return c, err
}

func (p powered) show(r cimi.Resource) {
	if m, ok := r.(*cimi.Machine); ok && p.on.Load() {
		m.State = cimi.StateStarted
	}
}

func (p powered) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	switch {
	case strings.HasPrefix(id, "machines/") && a.Action == cimi.ActionStop:
		p.stopped.Add(1)
		p.on.Store(false)
		return &cimi.Accepted{Done: true}, nil
	case strings.HasPrefix(id, "machines/") && a.Action == cimi.ActionStart:
		p.started.Add(1)
		return &cimi.Accepted{Done: true}, nil
	}
	return p.Provider.Invoke(ctx, id, a)
}

// TestQuiesce: machines that run are stopped for the move, and started again
// when it fails (AC-36).
func TestQuiesce(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.remote()
		p := powered{src.Provider, new(atomic.Int64), new(atomic.Int64), new(atomic.Bool)}
		p.on.Store(true)
		src.Provider = p
		e := newEngine(t, src, dst)
		if fails {
			e.Journal.AfterWrite(func(what string) {
				if what == "done transfer" {
					corrupt(t, b.dir)
				}
			})
		}
		rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
		if (err != nil) != fails {
			t.Errorf("fails %v: %+v: %v", fails, rep, err)
		}
		if p.stopped.Load() != 2 || (p.started.Load() == 2) != fails {
			t.Errorf("fails %v: %d machines stopped, %d started", fails, p.stopped.Load(), p.started.Load())
		}
	}
}
