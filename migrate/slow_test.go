package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestAC03Stall: a source that gives nothing any more ends the transfer,
// resumable, instead of holding it for ever; meanwhile it is said what is waited
// for, and since when, to who watches and in the log.
func TestAC03Stall(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.inProcess(), b.remote()
	stuck := make(chan struct{})
	src.Provider = faulty{src.Provider, func(c cimi.Content, p []byte, off int64) (int, error) {
		if off < 200_000 && off+int64(len(p)) > 100_000 {
			<-stuck
		}
		return c.ReadAt(p, off)
	}}
	e := newEngine(t, src, dst)
	e.StallTimeout = 500 * time.Millisecond
	var logged bytes.Buffer
	var told []string
	e.Log = slog.New(slog.NewJSONHandler(&logged, nil))
	e.Events = func(ev migrate.Event) {
		if ev.Phase == "waiting" {
			told = append(told, ev.Note)
		}
	}
	started := time.Now()
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	if !errors.Is(err, migrate.ErrStalled) || migrate.ClassOf(err) != migrate.ClassTransfer {
		t.Errorf("class %v: %v", migrate.ClassOf(err), err)
	}
	t.Logf("ended after %s", time.Since(started).Round(time.Millisecond))
	if got := b.systems(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
	since := regexp.MustCompile(`for the import at .+, whose Job says .*, since \d\d:\d\d:\d\d`)
	if len(told) == 0 || !since.MatchString(told[0]) {
		t.Errorf("told of waiting: %q", told)
	}
	if !regexp.MustCompile(`"msg":"waiting".*"for":"the import at|"for":"for the import at .*"since":"`).MatchString(logged.String()) {
		t.Errorf("the log says nothing of waiting: %s", logged.String())
	}
	if took := time.Since(started); took > 20*e.StallTimeout {
		t.Errorf("a stall of %s ended after %s", e.StallTimeout, took)
	}
	close(stuck)
	if rep == nil {
		t.Fatal("no report")
	}
	e.StallTimeout = time.Minute // what goes on may be slow, on a busy machine
	if rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{}); err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
}

// dripping is an export that gives 1 KiB a second.
type dripping struct{ cimi.Content }

func (d dripping) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return io.NopCloser(&drip{ctx, io.NewSectionReader(d.Content, off, n)})
}

type drip struct {
	ctx context.Context
	r   io.Reader
}

func (d *drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
	return d.r.Read(p[:min(len(p), 1024)])
}

type dripper struct{ cimi.Provider }

func (d dripper) Open(ctx context.Context, href string) (cimi.Content, error) {
	c, err := d.Provider.Open(ctx, href)
	if err != nil {
		return nil, err
	}
	return dripping{c}, nil
}

// unserved is a cloud in process only: what waits for a network holds up the
// clock of a bubble.
func unserved(t *testing.T) *cloud {
	t.Helper()
	dir := t.TempDir()
	p, err := openLocal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{t: t, dir: dir, p: p}
}

// TestAC04TwoHours: a transfer of more than two hours at 1 KiB/s, on a clock
// that need not be waited for, is neither too long nor stalled: limits are on
// the time without a byte, and there is none on the whole.
func TestAC04TwoHours(t *testing.T) {
	ovftest.Slow(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := unserved(t), unserved(t)
		a.loadLarge(16<<20, 8<<20)
		src, dst := a.inProcess(), b.inProcess()
		src.Provider = dripper{src.Provider}
		e := newEngine(t, src, dst)
		e.StallTimeout = time.Minute
		started := time.Now()
		rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: migrate.ViaRelay})
		took := time.Since(started)
		if err != nil || !rep.Verified {
			t.Errorf("after %s: %+v: %v", took, rep, err)
		}
		t.Logf("took %s", took)
		if took < 2*time.Hour {
			t.Errorf("it took %s only", took)
		}
		b.close()
		a.close()
	})
}
