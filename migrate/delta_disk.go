package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	pagesOfBlock = cimi.BlockUnit / cimi.PageUnit
	// deltaPages is how many pages are read and sent at once, deltaAtOnce how many
	// such parcels are on their way: the line need not wait for answers.
	deltaPages  = 512
	deltaAtOnce = 3
	// deltaAttempts is how often a parcel is sent: it may be repeated.
	deltaAttempts = 5
)

// diskDelta brings one disk to what that of the source is.
type diskDelta struct {
	*run
	id       string
	src, dst DiskShape
	note     deltaDisk

	// base and point are what was copied and when, where the source's cloud may
	// tell what has changed since; point is empty otherwise.
	base  baseNote
	point string

	blocks [2]string // hrefs of cimi.RelBlocks, source and destination

	read, compared, written atomic.Int64 // of this attempt
	changed                 atomic.Int64
}

func (d *diskDelta) sides() [2]Endpoint { return [2]Endpoint{d.run.src, d.run.dst} }

var sideOf = [2]Side{Source, Destination}

func (d *diskDelta) at(side Side, err error) error {
	return fetching(StepDelta, side, "disk "+d.id, err)
}

// bring compares the disk, sends what differs, and has the result proved.
func (d *diskDelta) bring(ctx context.Context) (err error) {
	began := time.Now()
	defer func() {
		d.note.Read += d.read.Load()
		d.note.Compared += d.compared.Load()
		d.note.Written += d.written.Load()
		d.note.Changed += d.changed.Load()
	}()
	if d.blocks[0], err = offered(ctx, d.run.src, Source, d.src); err != nil {
		return err
	}
	if d.blocks[1], err = offered(ctx, d.run.dst, Destination, d.dst, cimi.RelDelta, cimi.RelProve); err != nil {
		return err
	}
	version, err := d.run.contentVersion(ctx, d.src, d.point != "")
	if err != nil {
		return err
	}
	if d.note.Proved && version != "" && version == d.note.Version {
		return nil
	}
	d.note.Proved, d.note.Volume, d.note.Version, d.note.Tracked, d.note.Told = false, d.src.ID, version, false, 0
	differing, err := d.differences(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if err := d.send(ctx, differing); err != nil {
		return err
	}
	began = time.Now()
	if err := d.proved(ctx); err != nil {
		return err
	}
	if !d.note.Tracked {
		d.note.HashSeconds += (took + time.Since(began)).Seconds()
	}
	if now, err := d.run.contentVersion(ctx, d.src, d.note.Tracked); err != nil {
		return err
	} else if now != version {
		return d.run.written(d.id)
	}
	d.note.Proved = true
	return nil
}

// differences compares what the source's cloud tells of, or else everything.
func (d *diskDelta) differences(ctx context.Context) (differing []cimi.PageRun, err error) {
	if d.point != "" {
		all := d.blocks[0]
		bits, err := d.changedBlocks(ctx, all)
		if err != nil {
			return nil, err
		}
		if bits != nil {
			d.blocks[0] = below(all, "few")
			if d.note.Size, err = d.size(ctx); err != nil {
				return nil, err
			}
			differing, ok, err := d.compareTold(ctx, bits)
			if d.note.Tracked = ok; err != nil || ok {
				return differing, err
			}
			d.blocks[0], d.note.Told = all, 0
		}
	}
	if d.note.Size, err = d.size(ctx); err != nil {
		return nil, err
	}
	return d.compare(ctx)
}

// open opens something below RelBlocks of a side.
func (d *diskDelta) open(ctx context.Context, side int, what string) (cimi.Content, error) {
	c, err := d.run.open(ctx, d.sides()[side], below(d.blocks[side], what))
	if err != nil {
		return nil, d.at(sideOf[side], err)
	}
	return c, nil
}

// below is what is read below the href of cimi.RelBlocks.
func below(blocks, what string) string { return strings.TrimSuffix(blocks, "/") + "/" + what }

func sumsOf(unit int) string { return "sums/" + strconv.Itoa(unit) }

// countedReader counts what is read, for the report.
type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// from counts what comes from a side.
func (d *diskDelta) from(side int) *atomic.Int64 {
	if side == 0 {
		return &d.read
	}
	return &d.compared
}

// size is how many bytes the source's disk has: as many as its pages, the last
// of which may be short.
func (d *diskDelta) size(ctx context.Context) (int64, error) {
	sums, err := d.open(ctx, 0, sumsOf(cimi.PageUnit))
	if err != nil {
		return 0, err
	}
	pages := sums.Size() / cimi.PageSumLen
	if err := sums.Close(); err != nil {
		return 0, d.at(Source, err)
	}
	if pages < 1 || pages > math.MaxInt64/cimi.PageUnit {
		return 0, d.at(Source, fmt.Errorf("the cloud says that it has %d pages", pages))
	}
	last, err := d.open(ctx, 0, "data/"+cimi.EncodePages([]cimi.PageRun{{First: pages - 1, Count: 1}}))
	if err != nil {
		return 0, err
	}
	defer last.Close()
	if last.Size() < 1 || last.Size() > cimi.PageUnit {
		return 0, d.at(Source, fmt.Errorf("its last page has %d bytes, expected 1 to %d", last.Size(), cimi.PageUnit))
	}
	return (pages-1)*cimi.PageUnit + last.Size(), nil
}

// compare reads the sums of the blocks of both sides, both at the same time,
// and gives the runs of blocks that differ. It takes the source's content
// digest on the way.
func (d *diskDelta) compare(ctx context.Context) ([]cimi.PageRun, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := (d.note.Size + cimi.BlockUnit - 1) / cimi.BlockUnit
	var sums [2]*ahead
	for side := range sums {
		c, err := d.open(ctx, side, sumsOf(cimi.BlockUnit))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if have := c.Size() / cimi.BlockSumLen; have < blocks {
			return nil, refuse(StepDelta, sideOf[side], "disk "+d.id, fmt.Errorf("it has %d blocks of 1 MiB, expected %d", have, blocks), "")
		}
		s := relay.Sequence(ctx, c, 0, blocks*cimi.BlockSumLen)
		sums[side] = readAhead(ctx, cancel, countedReader{s, d.from(side)}, s)
		defer sums[side].Close()
	}
	outer := sha256.New()
	var differing []cimi.PageRun
	var pair [2][cimi.BlockSumLen]byte
	d.note.Blocks, d.note.Differing = blocks, 0
	blank := true
	zero := disk.SumBlock(nil)
	for i := range blocks {
		for side := range sums {
			if _, err := io.ReadFull(sums[side], pair[side][:]); err != nil {
				return nil, d.at(sideOf[side], err)
			}
		}
		outer.Write(pair[0][:])
		blank = blank && pair[0] == zero
		if pair[0] != pair[1] {
			d.note.Differing++
			differing = extend(differing, i)
		}
		if i%64 == 0 {
			d.feed.emit(Event{Run: d.run.id, System: d.System, Disk: d.id, Phase: "compare", Done: i * cimi.BlockUnit, Total: d.note.Size})
		}
	}
	digest := disk.Digest{Size: d.note.Size}
	outer.Sum(digest.Sum[:0])
	d.note.Digest, d.note.Blank = digest.String(), blank
	return differing, nil
}

// extend adds one number to ascending runs.
func extend(runs []cimi.PageRun, i int64) []cimi.PageRun {
	if n := len(runs); n > 0 && runs[n-1].First+runs[n-1].Count == i {
		runs[n-1].Count++
		return runs
	}
	return append(runs, cimi.PageRun{First: i, Count: 1})
}

// send sends the pages that differ within the blocks that do.
func (d *diskDelta) send(ctx context.Context, differing []cimi.PageRun) error {
	if len(differing) == 0 {
		return nil
	}
	var sums [2]cimi.Content
	for side := range sums {
		var err error
		if sums[side], err = d.open(ctx, side, sumsOf(cimi.PageUnit)); err != nil {
			return err
		}
		defer sums[side].Close()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deltaAtOnce)
	var parcel []cimi.PageRun
	held, total := int64(0), d.note.Differing*cimi.BlockUnit
	flush := func() {
		pages := parcel
		parcel, held = nil, 0
		g.Go(func() error {
			err := d.parcel(ctx, pages)
			d.feed.emit(Event{Run: d.run.id, System: d.System, Disk: d.id, Phase: string(StepDelta), Done: d.changed.Load(), Total: total})
			return err
		})
	}
	all := (d.note.Size + cimi.PageUnit - 1) / cimi.PageUnit
	for _, run := range differing {
		// Some blocks at a time: their sums are held.
		for first := run.First; first < run.First+run.Count && ctx.Err() == nil; first += sumsHeld {
			n := min(sumsHeld, run.First+run.Count-first)
			from, to := first*pagesOfBlock, min((first+n)*pagesOfBlock, all)
			changed, err := d.differingPages(ctx, sums, from, to)
			if err != nil {
				return errors.Join(g.Wait(), err)
			}
			for _, page := range changed {
				parcel = extend(parcel, page)
				if held++; held == deltaPages {
					flush()
				}
			}
		}
	}
	if len(parcel) > 0 {
		flush()
	}
	return g.Wait()
}

// sumsHeld is of how many blocks the sums of the pages are held.
const sumsHeld = 64

// differingPages compares the pages of [from, to).
func (d *diskDelta) differingPages(ctx context.Context, sums [2]cimi.Content, from, to int64) ([]int64, error) {
	var both [2][]byte
	g, ctx := errgroup.WithContext(ctx)
	for side, c := range sums {
		g.Go(func() error {
			both[side] = make([]byte, (to-from)*cimi.PageSumLen)
			s := relay.Sequence(ctx, c, from*cimi.PageSumLen, int64(len(both[side])))
			defer s.Close()
			_, err := io.ReadFull(countedReader{s, d.from(side)}, both[side])
			if err != nil {
				return d.at(sideOf[side], err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []int64
	for i := range to - from {
		at := i * cimi.PageSumLen
		if !bytes.Equal(both[0][at:at+cimi.PageSumLen], both[1][at:at+cimi.PageSumLen]) {
			out = append(out, from+i)
		}
	}
	return out, nil
}

// parcel reads pages of the source and sends them to the destination.
func (d *diskDelta) parcel(ctx context.Context, pages []cimi.PageRun) error {
	c, err := d.open(ctx, 0, "data/"+cimi.EncodePages(pages))
	if err != nil {
		return err
	}
	defer c.Close()
	in := countedReader{relay.Sequence(ctx, c, 0, c.Size()), &d.read}
	var blocks []cimi.DeltaBlock
	var sum int64
	for _, run := range pages {
		data := make([]byte, min((run.First+run.Count)*cimi.PageUnit, d.note.Size)-run.First*cimi.PageUnit)
		if _, err := io.ReadFull(in, data); err != nil {
			return d.at(Source, err)
		}
		sum += int64(len(data))
		blocks = appendBlocks(blocks, run.First*cimi.PageUnit, data)
	}
	body := cimi.EncodeDelta(d.note.Size, blocks)
	a := &cimi.Action{Action: cimi.RelDelta}
	a.SetExtra(cimi.Delta, body)
	for attempt := 1; ; attempt++ {
		d.written.Add(int64(len(body)))
		_, err := d.run.dst.Provider.Invoke(ctx, d.dst.ID, a)
		if err == nil {
			d.changed.Add(sum)
			return nil
		}
		err = d.at(Destination, err)
		if ctx.Err() != nil || ClassOf(err) != ClassTransfer || attempt == deltaAttempts {
			return err
		}
		if err := sleep(ctx, time.Duration(attempt)*200*time.Millisecond); err != nil {
			return err
		}
	}
}

// appendBlocks adds a run of content, pages of zeros told apart.
func appendBlocks(blocks []cimi.DeltaBlock, off int64, data []byte) []cimi.DeltaBlock {
	for len(data) > 0 {
		page := func(at int) []byte { return data[at:min(at+cimi.PageUnit, len(data))] }
		zeros, n := disk.IsZero(page(0)), len(page(0))
		for n < len(data) && n < cimi.BlockUnit && disk.IsZero(page(n)) == zeros {
			n += len(page(n))
		}
		b := cimi.DeltaBlock{Offset: off, Length: int64(n)}
		if !zeros {
			b.Data = data[:n]
		}
		blocks = append(blocks, b)
		off, data = off+int64(n), data[n:]
	}
	return blocks
}

// proved has the destination read the disk anew.
func (d *diskDelta) proved(ctx context.Context) error {
	a := &cimi.Action{Action: cimi.RelProve}
	a.SetExtra(cimi.ContentDigest, map[string]any{"digest": d.note.Digest, "size": d.note.Size})
	if d.note.Tracked {
		a.SetExtra(cimi.ChangedOnly, true)
	}
	acc, err := d.run.dst.Provider.Invoke(ctx, d.dst.ID, a)
	if err == nil {
		_, err = follow(ctx, d.run.dst.Provider, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, func(j *cimi.Job) {
			d.feed.emit(Event{Run: d.run.id, System: d.System, Disk: d.id, Phase: "prove", Done: cimi.IntValue(j.Progress), Total: 100})
		})
	}
	if err != nil {
		return d.at(Destination, err)
	}
	return nil
}

// ahead reads a stream before it is asked for, some at a time.
type ahead struct {
	chunks <-chan chunk
	rest   []byte
	err    error
	stop   context.CancelFunc
	in     io.Closer
}

type chunk struct {
	p   []byte
	err error
}

// readAhead reads as long as ctx lasts, which stop ends. Close closes in, where r
// ends.
func readAhead(ctx context.Context, stop context.CancelFunc, r io.Reader, in io.Closer) *ahead {
	chunks := make(chan chunk, 2)
	go func() {
		defer close(chunks)
		for {
			p := make([]byte, 8<<10)
			n, err := r.Read(p)
			select {
			case chunks <- chunk{p[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return &ahead{chunks: chunks, stop: stop, in: in}
}

// Close waits until nobody reads any more: a stream is not closed under a Read.
func (a *ahead) Close() error {
	a.stop()
	for range a.chunks {
	}
	return a.in.Close()
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		c, ok := <-a.chunks
		if !ok {
			return 0, io.ErrUnexpectedEOF
		}
		a.rest, a.err = c.p, c.err
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
