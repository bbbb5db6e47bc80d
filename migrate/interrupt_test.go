package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// halting tells of every read of what a cloud offers, too.
type halting struct{ lethal }

func (h halting) Open(ctx context.Context, href string) (cimi.Content, error) {
	c, err := h.lethal.Open(ctx, href)
	if err != nil {
		return nil, err
	}
	return haltingContent{c, h.called}, nil
}

type haltingContent struct {
	cimi.Content
	called func(string)
}

func (c haltingContent) ReadAt(p []byte, off int64) (int, error) {
	c.called(fmt.Sprintf("read at %d", off))
	return c.Content.ReadAt(p, off)
}

// TestInterruptedAnywhere: a signal that comes at any call of a cloud, or read of
// what it offers, ends the run as interrupted, whatever the work says of it, and
// it goes on from there.
func TestInterruptedAnywhere(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	signal := errors.New("terminated")
	for at := int64(1); ; at += 6 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var n atomic.Int64
		var where atomic.Value
		called := func(what string) {
			if n.Add(1) == at {
				where.Store(what)
				cancel(signal)
			}
		}
		src, dst := a.remote(), b.remote()
		e := newEngine(t, src, dst)
		src.Provider, dst.Provider = halting{lethal{src.Provider, called}}, halting{lethal{dst.Provider, called}}
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.ViaRelay})
		if err != nil {
			t.Fatal(err)
		}
		n.Store(0)
		rep, err := e.Start(ctx, plan)
		late := ctx.Err() == nil
		cancel(nil)
		if late {
			if at < 40 {
				t.Errorf("only %d calls", n.Load())
			}
			return
		}
		if err != nil {
			if migrate.ClassOf(err) != migrate.ClassInterrupt || rep == nil || rep.State != "interrupted" {
				t.Fatalf("at %d (%s): class %v: %v", at, where.Load(), migrate.ClassOf(err), err)
			}
			if rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{}); err != nil || !rep.Verified {
				t.Fatalf("at %d (%s): %v", at, where.Load(), err)
			}
		}
		b.clear()
	}
}
