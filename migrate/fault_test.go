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
	"github.com/cimimove/cimimove/ovf/ovftest"
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
	ovftest.Slow(t)
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
	ovftest.Slow(t)
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
