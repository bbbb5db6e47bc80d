package migrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestWarm: what is written after the copy, to one that had content and to one
// that was blank, is at the destination; the machines were stopped for that alone.
func TestWarm(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"in process", "over HTTP", "direct"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			s := hosttest.NewSample(t, "shop", 1)
			a.load(s)
			src, dst := a.inProcess(), b.inProcess()
			via := migrate.ViaRelay
			if way != "in process" {
				src, dst = a.remote(), b.remote()
			}
			if way == "direct" {
				via = migrate.ViaDirect
			}
			want, scratch := bytes.Clone(s.Disks["disk1"]), make([]byte, 2<<20)
			var changed []cimi.DeltaBlock
			for _, off := range []int64{0, 1<<20 + 4096, hosttest.DiskSize / 4096 * 4096} {
				end := min(off+4096, hosttest.DiskSize)
				for i := off; i < end; i++ {
					want[i] = byte(i) | 1
				}
				changed = append(changed, pageOf(want, off))
			}
			clear(want[2<<20 : 2<<20+8192]) // what was there is gone
			changed = slices.Insert(changed, 2, cimi.DeltaBlock{Offset: 2 << 20, Length: 8192})
			copy(scratch[1<<20:], bytes.Repeat([]byte{9}, 4096))
			p := newPowered(guest{src.Provider, func() error {
				return errors.Join(writeDisk(t.Context(), a.p, "disk1", hosttest.DiskSize, changed...), writeDisk(t.Context(), a.p, "scratch", 2<<20, pageOf(scratch, 1<<20)))
			}})
			src.Provider = p
			e := newEngine(t, src, dst)
			plan, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: via, Warm: true})
			if err != nil {
				t.Fatal(err)
			}
			if plan.Warm == nil || plan.Warm.HashBytesPerSecond <= 0 || plan.Warm.HashSeconds < 1 {
				t.Errorf("the plan says %+v", plan.Warm)
			}
			rep, err := e.Start(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if !rep.Verified || len(rep.Disks) != 3 {
				t.Errorf("%+v", rep)
			}
			b.checkContent("disk1", want)
			b.checkContent("disk2", s.Disks["disk2"])
			b.checkContent("scratch", scratch)
			var names []string
			for _, s := range rep.Steps {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != "discover plan export transfer import quiesce delta verify start finish" {
				t.Errorf("steps: %s", got)
			}
			w := rep.Warm
			if w == nil || w.Differing != 4+1 || w.Blocks != 4+4+2 || w.Changed != 4*4096+512 || w.Downtime <= 0 || w.DeltaBytes > 128<<10 || w.HashBytesPerSecond <= 0 {
				t.Errorf("the report says %+v", w)
			}
			if way != "direct" && w.BulkBytes == 0 {
				t.Error("no bulk")
			}
			var text bytes.Buffer
			if err := rep.Text(&text); err != nil || !strings.Contains(text.String(), "5 of 10 blocks differed") || !strings.Contains(text.String(), "downtime") {
				t.Errorf("%s: %v", text.String(), err)
			}
			if len(p.power.stopped) != 2 || a.snapshots() != 0 {
				t.Errorf("stopped %v, %d snapshots are left", p.power.stopped, a.snapshots())
			}
			// The next plan knows how fast that was.
			again, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "next", Via: via, Warm: true})
			if err != nil || again.Warm.HashBytesPerSecond != w.HashBytesPerSecond || !strings.Contains(again.Warm.Basis, "latest") {
				t.Errorf("%+v: %v", again, err)
			}
			// And the copy is one: exported as any other.
			if _, err := move(t, newEngine(t, dst, src), migrate.Options{Source: dst, Destination: src, Name: "back"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWarmRefused: the plan says which side cannot.
func TestWarmRefused(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	without := func(e migrate.Endpoint, rel string) migrate.Endpoint {
		e.Provider = lacking{e.Provider, rel}
		return e
	}
	for name, c := range map[string]struct {
		o    migrate.Options
		rule string
		side migrate.Side
	}{
		"no snapshots":       {migrate.Options{Source: without(src, cimi.RelExportLive), Destination: dst}, migrate.RuleWarmSource, migrate.Source},
		"no sums":            {migrate.Options{Source: without(src, cimi.RelBlocks), Destination: dst}, migrate.RuleWarmSource, migrate.Source},
		"no delta":           {migrate.Options{Source: src, Destination: without(dst, cimi.RelDelta)}, migrate.RuleWarmTarget, migrate.Destination},
		"no proof":           {migrate.Options{Source: src, Destination: without(dst, cimi.RelProve)}, migrate.RuleWarmTarget, migrate.Destination},
		"may not be stopped": {migrate.Options{Source: src, Destination: dst, Quiesce: migrate.QuiesceRefuse}, migrate.RuleWarmSource, migrate.Source},
		"by resources":       {migrate.Options{Source: src, Destination: b.remote(), Via: migrate.ViaResources}, migrate.RuleWarmSource, migrate.Source},
		"staged":             {migrate.Options{Source: src, Destination: dst, Stage: t.TempDir()}, migrate.RuleWarmSource, migrate.Source},
	} {
		c.o.System, c.o.Warm = "shop", true
		p, err := migrate.NewPlan(t.Context(), c.o)
		if migrate.ClassOf(err) != migrate.ClassRefused || !strings.Contains(fmt.Sprint(err), c.rule) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantClass(t, err, migrate.ClassRefused, c.side)
		c.o.Warm = false
		if _, err := migrate.NewPlan(t.Context(), c.o); err != nil {
			t.Errorf("%s, not warm: %v", name, err)
		}
		if p.Findings == nil {
			t.Errorf("%s: no findings", name)
		}
	}
}

// lacking is a cloud that does not have an operation.
type lacking struct {
	cimi.Provider
	rel string
}

func (l lacking) hide(r cimi.Resource) {
	b := r.Base()
	b.Operations = slices.DeleteFunc(b.Operations, func(o cimi.Operation) bool { return o.Rel == l.rel })
	if m, ok := r.(*cimi.ResourceMetadata); ok {
		m.Actions = slices.DeleteFunc(m.Actions, func(a cimi.ActionMetadata) bool { return a.URI == l.rel })
	}
}

func (l lacking) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	r, err := l.Provider.Get(ctx, id, o)
	if err == nil {
		l.hide(r)
	}
	return r, err
}

func (l lacking) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := l.Provider.List(ctx, id, o)
	if err == nil {
		for _, r := range c.Items {
			l.hide(r)
		}
	}
	return c, err
}

// TestWarmSourceChanged: what is no content is not sent again, so a source that
// is another by then is refused: nothing stays at the destination, and the
// machines run again.
func TestWarmSourceChanged(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, change := range map[string]func(p cimi.Provider) error{
		"a disk has grown": func(p cimi.Provider) error {
			all, err := p.List(t.Context(), "volumes", cimi.ListOptions{Filter: []string{"name='disk1'"}})
			if err != nil || len(all.Items) == 0 {
				return fmt.Errorf("no volume: %w", err)
			}
			part := &cimi.Volume{Capacity: cimi.Int(8000)}
			_, err = p.Update(t.Context(), all.Items[0].Base().ID, part, cimi.UpdateOptions{Select: []string{"capacity"}})
			return err
		},
		"a machine has more memory": func(p cimi.Provider) error {
			all, err := p.List(t.Context(), "machines", cimi.ListOptions{})
			if err != nil {
				return err
			}
			part := &cimi.Machine{Memory: cimi.Int(2 << 20)}
			_, err = p.Update(t.Context(), all.Items[0].Base().ID, part, cimi.UpdateOptions{Select: []string{"memory"}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			p := newPowered(guest{src.Provider, sync.OnceValue(func() error { return change(a.p) })})
			src.Provider = p
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true})
			wantClass(t, err, migrate.ClassRefused, migrate.Source)
			if !errors.Is(err, migrate.ErrSourceChanged) {
				t.Errorf("%v", err)
			}
			if rep == nil || rep.State != "failed" {
				t.Errorf("%+v", rep)
			}
			if got := b.systems(); len(got) != 0 {
				t.Errorf("the destination holds %v", got)
			}
			if len(p.power.started) != 2 || !p.running() {
				t.Errorf("started again: %v", p.power.started)
			}
		})
	}
}

// forgetful is a destination that answers deltas and writes none of them.
type forgetful struct {
	cimi.Provider
	left *atomic.Int64 // how many it still writes
}

func (f forgetful) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.RelDelta && f.left.Add(-1) < 0 {
		return &cimi.Accepted{Done: true}, nil
	}
	return f.Provider.Invoke(ctx, id, a)
}

// TestWarmUnproved: a destination that has not written what was sent is never
// started on it, and both clouds are as they were.
func TestWarmUnproved(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	s := hosttest.NewSample(t, "shop", 1)
	a.load(s)
	src, dst := a.inProcess(), b.remote()
	p := newPowered(guest{src.Provider, func() error {
		return writeDisk(t.Context(), a.p, "disk1", hosttest.DiskSize, cimi.DeltaBlock{Length: 4096, Data: bytes.Repeat([]byte{5}, 4096)})
	}})
	src.Provider, dst.Provider = p, forgetful{dst.Provider, new(atomic.Int64)}
	_, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, PowerOn: true, Verify: migrate.VerifyNone})
	wantClass(t, err, migrate.ClassIntegrity, migrate.Destination)
	if got := b.systems(); len(got) != 0 || len(p.power.started) != 2 {
		t.Errorf("the destination holds %v, started again %v", got, p.power.started)
	}
}

// TestWarmSaved: a plan that was saved is as warm as it was.
func TestWarmSaved(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	e := newEngine(t, src, dst)
	p, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Warm: true})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := p.Save(&file); err != nil {
		t.Fatal(err)
	}
	saved, err := migrate.LoadPlan("plan.json", &file)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = e.Again(t.Context(), saved, src, dst, migrate.ResumeOptions{}); err != nil || p.Warm == nil {
		t.Fatalf("%+v: %v", p, err)
	}
	rep, err := e.Start(t.Context(), p)
	if err != nil || rep.Warm == nil || rep.Warm.Differing != 0 || rep.Warm.Downtime != 0 {
		t.Fatalf("%+v: %v", rep, err)
	}
	b2, err := json.Marshal(rep)
	if err != nil || !bytes.Contains(b2, []byte(`"deltaBytes"`)) {
		t.Errorf("%s: %v", b2, err)
	}
}

// TestWarmUntracked: the source is asked to keep track of what changes where its word
// is believed, and not where all is hashed.
func TestWarmUntracked(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for verify, want := range map[migrate.Verify]string{migrate.VerifyFull: "true", migrate.VerifyDigest: ""} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.remote()
		var asked []string
		src.Provider = overhears{src.Provider, func(a *cimi.Action) {
			if a.Action == cimi.RelExportLive {
				asked = append(asked, a.Properties[cimi.ExportUntracked])
			}
		}}
		if _, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Verify: verify}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(asked, []string{want}) {
			t.Errorf("verify %s: the export is asked for with %q, want %q", verify, asked, want)
		}
	}
}

type overhears struct {
	cimi.Provider
	told func(*cimi.Action)
}

func (o overhears) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	o.told(a)
	return o.Provider.Invoke(ctx, id, a)
}
