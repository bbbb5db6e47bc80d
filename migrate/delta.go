package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
)

// deltaNotes are what is known of the second phase of a warm migration.
type deltaNotes struct {
	Disks map[string]deltaDisk `json:"disks,omitempty"` // by the destination's diskId
}

// deltaDisk is one disk of it. Read came from the source, Compared from the
// destination, Written went there; all in bytes, over all attempts.
type deltaDisk struct {
	Digest      string  `json:"digest"`
	Size        int64   `json:"size"`
	Blank       bool    `json:"blank,omitempty"`
	Blocks      int64   `json:"blocks"`
	Differing   int64   `json:"differing"`
	Changed     int64   `json:"changed"`
	Read        int64   `json:"read"`
	Compared    int64   `json:"compared"`
	Written     int64   `json:"written"`
	HashSeconds float64 `json:"hashSeconds"`
	// Proved: the destination has read it anew, and it is that.
	Proved bool `json:"proved,omitempty"`
	// Volume is that of the source, Version tells what it held then from what it
	// holds at other times; empty where its cloud does not tell.
	Volume  string `json:"volume,omitempty"`
	Version string `json:"version,omitempty"`
	// Tracked: its cloud told what had changed, Told blocks of 1 MiB; no others of
	// it were read.
	Tracked bool  `json:"tracked,omitempty"`
	Told    int64 `json:"told,omitempty"`
}

// delta brings the disks at the destination to what those at the source are, now
// that its machines are at rest. Begun again, it compares anew what is not
// proved yet, or has changed since: what was sent before does not differ any more.
func (r *run) delta(ctx context.Context) error {
	n := deltaNotes{}
	if err := r.notes(StepDelta, &n); err != nil {
		return err
	}
	if n.Disks == nil {
		n.Disks = map[string]deltaDisk{}
	}
	if err := r.begin(ctx, StepDelta, n, nil); err != nil {
		return err
	}
	if err := r.stillAtRest(ctx); err != nil {
		return err
	}
	src, err := r.unchanged(ctx)
	if err != nil {
		return fetching(StepDelta, Source, r.System, err)
	}
	dst, err := r.copied(ctx)
	if err != nil {
		return err
	}
	pairs, err := r.pairs(src, dst)
	if err != nil {
		return err
	}
	var en exportNotes
	var qn quiesceNotes
	if err := errors.Join(r.notes(StepExport, &en), r.notes(StepQuiesce, &qn)); err != nil {
		return err
	}
	var mu sync.Mutex // of the notes
	g, sub := errgroup.WithContext(ctx)
	g.SetLimit(max(1, r.ParallelDisks))
	for id, p := range pairs {
		mu.Lock()
		was := n.Disks[id]
		mu.Unlock()
		g.Go(func() error {
			d := &diskDelta{run: r, id: id, src: p[0], dst: p[1], note: was}
			if base, ok := qn.Base[id]; ok && r.trusts() {
				d.base, d.point = base, en.Points[path.Base(p[0].ID)]
			}
			err := d.bring(sub)
			mu.Lock()
			defer mu.Unlock()
			n.Disks[id] = d.note
			// What passed counts, however it ended.
			copied := deltaNotes{Disks: maps.Clone(n.Disks)}
			return errors.Join(err, r.note(context.WithoutCancel(ctx), StepDelta, copied))
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return &Error{Step: StepDelta, Object: r.System, Class: ClassInterrupt, Err: context.Cause(ctx)}
		}
		return err
	}
	if err := r.stillAtRest(ctx); err != nil {
		return err
	}
	return r.end(ctx, StepDelta, journal.Ended, n)
}

// takesDelta looks, before any machine is stopped, whether the copy can be
// brought up to date.
func (r *run) takesDelta(ctx context.Context) error {
	if !r.Warm || r.begun(StepQuiesce) {
		return nil
	}
	dst, err := r.copied(ctx)
	if err != nil {
		return err
	}
	pairs, err := r.pairs(r.Shape, dst)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if _, err := offered(ctx, r.dst, Destination, p[1], cimi.RelDelta, cimi.RelProve); err != nil {
			return err
		}
	}
	return nil
}

// copied is what there is at the destination.
func (r *run) copied(ctx context.Context) (*Shape, error) {
	var in importNotes
	if err := r.notes(StepImport, &in); err != nil {
		return nil, err
	}
	s, err := getSystem(ctx, r.dst, Destination, in.System)
	if err != nil {
		return nil, fetching(StepDelta, Destination, r.Name, err)
	}
	shape, err := readShape(ctx, r.dst.Provider, s)
	if err != nil {
		return nil, fetching(StepDelta, Destination, r.Name, err)
	}
	return shape, nil
}

// pairs leads from the diskId at the destination to the Volumes of both sides.
// Every disk there must have one to be compared with.
func (r *run) pairs(src, dst *Shape) (map[string][2]DiskShape, error) {
	partner := match(src.Disks, dst.Disks, func(d DiskShape) (string, string) { return d.OVFID, d.Name })
	out := map[string][2]DiskShape{}
	for i, j := range partner {
		if j < 0 {
			return nil, refuse(StepDelta, Destination, r.Name, fmt.Errorf("disk %s of the source is not there", src.Disks[i].Name), "")
		}
		id := dst.Disks[j].OVFID
		def(&id, dst.Disks[j].Name)
		if _, twice := out[id]; twice {
			return nil, refuse(StepDelta, Destination, r.Name, fmt.Errorf("several disks are called %s", id), "leave --warm out")
		}
		out[id] = [2]DiskShape{src.Disks[i], dst.Disks[j]}
	}
	if len(dst.Disks) != len(out) {
		return nil, refuse(StepDelta, Source, r.System, fmt.Errorf("it has %d Volumes, its copy %d: nothing tells what has changed of the others", len(out), len(dst.Disks)), "leave --warm out")
	}
	return out, nil
}

// offered looks whether a cloud offers operations of a Volume now, and gives
// where its blocks are read.
func offered(ctx context.Context, e Endpoint, side Side, d DiskShape, rels ...string) (blocks string, err error) {
	res, err := e.Provider.Get(ctx, d.ID, cimi.ReadOptions{})
	if err != nil {
		return "", fetching(StepDelta, side, "disk "+d.Name, err)
	}
	for _, rel := range append(rels, cimi.RelBlocks) {
		o := res.Base().Operation(rel)
		if o == nil {
			return "", refuse(StepDelta, side, "disk "+d.Name, fmt.Errorf("it does not offer %s now", rel), "see that its machines are stopped")
		}
		blocks = o.Href
	}
	return blocks, nil
}

// contentVersion tells the content of a Volume of the source from that of other
// times; it is empty where the cloud does not tell. Of a disk of which few is
// read not all need be fetched for it.
func (r *run) contentVersion(ctx context.Context, d DiskShape, few bool) (string, error) {
	e, side := r.src, Source
	blocks, err := offered(ctx, e, side, d)
	if err != nil {
		return "", err
	}
	if few {
		blocks = below(blocks, "few")
	}
	c, err := r.open(ctx, e, below(blocks, sumsOf(cimi.BlockUnit)))
	if err != nil {
		return "", fetching(StepDelta, side, "disk "+d.Name, err)
	}
	return c.Version(), c.Close()
}

// stillProved refuses to go on when the source is not, any more, what the
// destination was proved to be: an operator may have started its machines while
// nobody went on with the run. A source that is gone does not take its copy with
// it, which is proved and may be all that is left.
func (r *run) stillProved(ctx context.Context) error {
	if err := r.atRest(ctx, r.done(StepDelta)); err != nil || !r.Warm {
		return err
	}
	var n deltaNotes
	if err := r.notes(StepDelta, &n); err != nil {
		return err
	}
	for id, d := range n.Disks {
		if d.Version == "" {
			continue
		}
		now, err := r.contentVersion(ctx, DiskShape{ID: d.Volume, Name: id}, d.Tracked)
		if cimi.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if now != d.Version {
			return r.written(id)
		}
	}
	return nil
}

// written says that a disk of the source has changed when it was to be at rest.
func (r *run) written(disk string) error {
	return refuse(StepDelta, Source, r.System, fmt.Errorf("%w: disk %s was written to after it was compared", ErrSourceChanged, disk),
		fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
}
