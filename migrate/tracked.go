package migrate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strconv"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Where the source's cloud tells what has changed since the export, the machines
// need not be at rest while whole disks are hashed. The sums of what was copied
// are taken at the destination while they run still, and stand in the journal;
// then only blocks that are told of, or that are not at the destination what they
// were, are read at the source. Nothing but the cloud's word says that the others
// are what they were, so a run that is to be verified in full hashes all.

// exportPoints are the moments that an export shows, by the last part of the
// Volume's id, as its Job tells; those that are not told are not known. Held they
// are where one of them is known no more when the export is forgotten.
func (r *run) exportPoints(ctx context.Context, job string) (points map[string]string, held bool) {
	if !r.trusts() || job == "" {
		return nil, false
	}
	res, err := r.src.Provider.Get(ctx, job, cimi.ReadOptions{})
	if err != nil {
		return nil, false
	}
	list, _ := res.Base().ExtraValue(cimi.ExportPoints).([]any)
	if one, ok := res.Base().ExtraValue(cimi.ExportPoints).(map[string]any); ok {
		list = []any{one}
	}
	points = map[string]string{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		volume, _ := m["volume"].(string)
		point, _ := m["point"].(string)
		if volume != "" && point != "" {
			points[volume] = point
			held = held || isTrue(m["held"])
		}
	}
	return points, held
}

// trusts tells whether the run takes the word of the source's cloud for what
// has changed.
func (r *run) trusts() bool { return r.Warm && r.Verify != VerifyFull }

// baseNote is what a disk at the destination held before the machines of the
// source were stopped, which is what was copied. The sums of its blocks stand in
// the journal, under baseKey.
type baseNote struct {
	Digest string `json:"digest,omitempty"` // empty where the disk is blank
	Size   int64  `json:"size,omitempty"`
}

func baseKey(id string) string { return "copied " + id }

// copiedDigests are those of what was copied of disks whose changes the source's
// cloud will tell: as it passed here, or as the destination's cloud says right
// after it took it. What passed in part in processes that died counts by what the
// journal has of it; what is not known is left out.
func (t *transfer) copiedDigests(ctx context.Context) error {
	var en exportNotes
	if err := t.run.notes(StepExport, &en); err != nil {
		return err
	}
	if len(en.Points) == 0 || !t.trusts() {
		return nil
	}
	t.notes.Copied = map[string]diskNote{}
	if t.direct() {
		if !t.fresh {
			return nil
		}
		dst, err := t.copied(ctx)
		if err != nil {
			return err
		}
		for _, d := range dst.Disks {
			id := d.OVFID
			def(&id, d.Name)
			t.notes.Copied[id] = diskNote{Digest: d.Digest, Size: d.DigestSize}
		}
		return nil
	}
	if t.x == nil {
		return nil
	}
	byMember := map[string]disk.Digest{}
	for _, d := range t.disks {
		if _, whole := t.tap.Digest(d.ID); !whole && t.tap.Known(d.ID) == 0 {
			continue
		}
		digest, err := t.digest(ctx, d)
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.ID, err)
		}
		byMember[d.ID] = digest
	}
	for _, d := range t.x.Envelope.Disks() {
		if digest, ok := t.ofSameFile(d.FileRef, byMember); ok && !d.Blank() {
			t.notes.Copied[d.ID] = diskNote{Digest: digest.String(), Size: digest.Size}
		} else if d.Blank() {
			t.notes.Copied[d.ID] = diskNote{}
		}
	}
	return nil
}

// takeBase reads the sums of the disks at the destination whose changes the
// source's cloud will tell. One whose sums are not those of what was copied has
// none, and is hashed as a whole later.
func (r *run) takeBase(ctx context.Context) (map[string]baseNote, error) {
	var en exportNotes
	var tn transferNotes
	if err := errors.Join(r.notes(StepExport, &en), r.notes(StepTransfer, &tn)); err != nil {
		return nil, err
	}
	if len(en.Points) == 0 || !r.trusts() {
		return nil, nil
	}
	dst, err := r.copied(ctx)
	if err != nil {
		return nil, err
	}
	pairs, err := r.pairs(r.Shape, dst)
	if err != nil {
		return nil, err
	}
	out := map[string]baseNote{}
	for id, p := range pairs {
		was, known := tn.Copied[id]
		if en.Points[path.Base(p[0].ID)] == "" || !known || (was.Digest == "") != (was.Size == 0) {
			continue
		}
		note := baseNote{Digest: was.Digest, Size: was.Size}
		is, err := r.readBase(ctx, id, p[1], was.Size)
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if full := (*journal.FullError)(nil); errors.As(err, &full) {
			return nil, err
		}
		if err == nil && is == note {
			out[id] = note
		}
	}
	return out, nil
}

// readBase keeps the sums of a disk in the journal, and gives what they make of
// size bytes, behind which all must be zero.
func (r *run) readBase(ctx context.Context, id string, d DiskShape, size int64) (baseNote, error) {
	if err := r.engine.Journal.DropBlocks(ctx, r.id, baseKey(id)); err != nil {
		return baseNote{}, err
	}
	blocks, err := offered(ctx, r.dst, Destination, d)
	if err != nil {
		return baseNote{}, err
	}
	c, err := r.open(ctx, r.dst, below(blocks, sumsOf(cimi.BlockUnit)))
	if err != nil {
		return baseNote{}, err
	}
	defer c.Close()
	n := c.Size() / cimi.BlockSumLen
	in := relay.Sequence(ctx, c, 0, n*cimi.BlockSumLen)
	defer in.Close()
	digester, zero := disk.NewDigester(size, nil), disk.SumBlock(nil)
	var held []journal.Block
	for i := range n {
		var sum disk.BlockSum
		if _, err := io.ReadFull(in, sum[:]); err != nil {
			return baseNote{}, err
		}
		if sum == zero {
			continue
		}
		if err := digester.WriteBlock(i, sum); err != nil {
			return baseNote{}, err // beyond what was copied
		}
		if held = append(held, journal.Block{Index: i, Sum: sum}); len(held) == 4096 {
			if err := r.engine.Journal.AddBlocks(ctx, r.id, baseKey(id), i+1, held); err != nil {
				return baseNote{}, err
			}
			held = held[:0]
		}
		if i%64 == 0 {
			r.feed.emit(Event{Run: r.id, System: r.System, Disk: id, Phase: "compare", Done: i * cimi.BlockUnit, Total: n * cimi.BlockUnit})
		}
	}
	if err := r.engine.Journal.AddBlocks(ctx, r.id, baseKey(id), n, held); err != nil || size == 0 {
		return baseNote{}, err
	}
	return baseNote{Digest: digester.Sum().String(), Size: size}, nil
}

// changedBlocks asks the source's cloud which blocks may have changed since the
// export: a bit each. nil where that is not known.
func (d *diskDelta) changedBlocks(ctx context.Context, blocks string) ([]byte, error) {
	c, err := d.run.open(ctx, d.run.src, below(blocks, "changed/"+d.point))
	if cimi.IsNotFound(err) || cimi.StatusOf(err) == 400 {
		return nil, nil
	}
	if err != nil {
		return nil, d.at(Source, err)
	}
	defer c.Close()
	want := ((d.src.Capacity*1000+cimi.BlockUnit-1)/cimi.BlockUnit+7)/8 + 1<<10 // sectors are rounded
	if c.Size() < 0 || c.Size() > want {
		return nil, nil
	}
	bits, err := io.ReadAll(io.LimitReader(relay.Sequence(ctx, c, 0, c.Size()), c.Size()))
	if err == nil && int64(len(bits)) < c.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, d.at(Source, err)
	}
	return bits, nil
}

// windowBlocks is of how many blocks the sums are held while they are compared.
const windowBlocks = 512

// compareTold is compare where it is told which blocks may have changed. It is not
// ok where what was copied is not known any more: then all is to be compared.
func (d *diskDelta) compareTold(ctx context.Context, bits []byte) (differing []cimi.PageRun, ok bool, err error) {
	blocks := (d.note.Size + cimi.BlockUnit - 1) / cimi.BlockUnit
	if d.base.Size != 0 && d.base.Size != d.note.Size || int64(len(bits)) < (blocks+7)/8 {
		return nil, false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var sums [2]cimi.Content
	for side := range sums {
		if sums[side], err = d.open(ctx, side, sumsOf(cimi.BlockUnit)); err != nil {
			return nil, false, err
		}
		defer sums[side].Close()
		if have := sums[side].Size() / cimi.BlockSumLen; have < blocks {
			return nil, false, refuse(StepDelta, sideOf[side], "disk "+d.id, fmt.Errorf("it has %d blocks of 1 MiB, expected %d", have, blocks), "")
		}
	}
	there := relay.Sequence(ctx, sums[1], 0, blocks*cimi.BlockSumLen)
	defer there.Close()
	copied, stop := iter.Pull2(d.copiedSums(ctx))
	defer stop()
	whole, base, zero := sha256.New(), sha256.New(), disk.SumBlock(nil)
	d.note.Blocks, d.note.Differing, d.note.Told, d.note.Blank = blocks, 0, 0, true
	next, err, more := copied()
	for first := int64(0); first < blocks; first += windowBlocks {
		n := min(windowBlocks, blocks-first)
		was, is, now := make([]disk.BlockSum, n), make([]disk.BlockSum, n), make([]disk.BlockSum, n)
		for i := range n {
			if _, err := io.ReadFull(countedReader{there, &d.compared}, is[i][:]); err != nil {
				return nil, false, d.at(Destination, err)
			}
			if was[i] = zero; more && err == nil && next.Index == first+i {
				was[i] = next.Sum
				next, err, more = copied()
			}
			if err != nil {
				return nil, false, err
			}
			base.Write(was[i][:])
		}
		for i := int64(0); i < n; {
			told := func(i int64) bool { return bits[(first+i)/8]&(1<<((first+i)%8)) != 0 }
			end := i
			for ; end < n && (told(end) || was[end] != is[end]); end++ {
				if told(end) {
					d.note.Told++
				}
			}
			if end == i {
				now[i] = was[i]
				i++
				continue
			}
			if err := d.sumsAt(ctx, sums[0], first+i, now[i:end]); err != nil {
				return nil, false, err
			}
			i = end
		}
		for i := range n {
			whole.Write(now[i][:])
			d.note.Blank = d.note.Blank && now[i] == zero
			if now[i] != is[i] {
				d.note.Differing++
				differing = extend(differing, first+i)
			}
		}
		d.feed.emit(Event{Run: d.run.id, System: d.System, Disk: d.id, Phase: "compare", Done: first * cimi.BlockUnit, Total: d.note.Size})
	}
	if more || d.base != d.baseOf(base.Sum(nil)) {
		return nil, false, nil // the journal has not what it had
	}
	digest := disk.Digest{Size: d.note.Size}
	whole.Sum(digest.Sum[:0])
	d.note.Digest = digest.String()
	return differing, true, nil
}

// baseOf is the note of what was copied, by the sum over the sums of its blocks.
func (d *diskDelta) baseOf(sum []byte) baseNote {
	n := baseNote{Digest: disk.Digest{Sum: [sha256.Size]byte(sum), Size: d.note.Size}.String(), Size: d.note.Size}
	if blank := disk.NewDigester(d.note.Size, nil).Sum(); d.base.Size == 0 && blank.String() == n.Digest {
		return baseNote{}
	}
	return n
}

// copiedSums are those in the journal, ascending.
func (d *diskDelta) copiedSums(ctx context.Context) iter.Seq2[journal.Block, error] {
	return func(yield func(journal.Block, error) bool) {
		enough := errors.New("enough")
		err := d.engine.Journal.EachBlock(ctx, d.run.id, baseKey(d.id), func(b journal.Block) error {
			if !yield(b, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(journal.Block{}, err)
		}
	}
}

// sumsAt reads the sums of some blocks of the source.
func (d *diskDelta) sumsAt(ctx context.Context, c cimi.Content, first int64, into []disk.BlockSum) error {
	in := relay.Sequence(ctx, c, first*cimi.BlockSumLen, int64(len(into))*cimi.BlockSumLen)
	defer in.Close()
	for i := range into {
		if _, err := io.ReadFull(countedReader{in, &d.read}, into[i][:]); err != nil {
			return d.at(Source, err)
		}
	}
	return nil
}

// isTrue reads a boolean, which is a string after XML.
func isTrue(v any) bool {
	b, err := strconv.ParseBool(fmt.Sprint(v))
	return b && err == nil
}
