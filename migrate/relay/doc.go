// Package relay passes a package from one cloud to another in one pass,
// without a temporary copy: it reads the source's bytes as the destination
// asks for them and takes the content digest of every disk on the way.
//
// It promises:
//   - The bytes are the source's, unchanged, with the source's exact size, so
//     Range requests and resumption after a restart give the same bytes.
//   - Every disk whose bytes pass in ascending order is digested in that pass;
//     how far each has come is told, so that nothing known is read again.
//   - Memory is bounded by the number of readers, not by any size.
//   - A URL is found only by its token, and only while the relay is open.
package relay

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Content is what is relayed. ReadAt may be called concurrently.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Disk is a disk image inside the package that passes.
type Disk struct {
	ID       string      // name in digests and progress
	Name     string      // file name, for errors and for the format of raw images
	Declared disk.Format // empty when nothing is declared
	Offset   int64       // of the stored file in the package, in bytes
	Size     int64       // of the stored file, in bytes
	Capacity int64       // virtual size in bytes where known, else -1
	// Known is how many blocks from the first are known from an earlier pass.
	Known int64
}

// Block is the content digest of one block of a disk.
type Block struct {
	Index int64
	Sum   disk.BlockSum
}

// TapOptions are what a Tap tells.
type TapOptions struct {
	// Blocks is told of digests as they become known: ascending, in batches;
	// upto is how many blocks from the first are known with them. An error ends
	// the digest of that disk, not the transfer.
	Blocks func(disk string, upto int64, blocks []Block) error
	// Progress is told how many stored bytes of a disk have passed. It must not block.
	Progress func(disk string, done, total int64)
	// Taken is told what has passed of the disks Follow; may be nil.
	Taken  *Taken
	Follow []Disk
}

// Tap is Content that digests the disks in what is read through it.
type Tap struct {
	src     Content
	ctx     context.Context
	cancel  context.CancelFunc
	watches []*watch
	taken   *Taken
	follow  []Disk
	read    atomic.Int64
	asked   atomic.Int64 // reads that wait for the source
	mu      sync.Mutex
	failure error
}

// NewTap watches the disks of src. Close ends it.
func NewTap(ctx context.Context, src Content, disks []Disk, opts TapOptions) *Tap {
	ctx, cancel := context.WithCancel(ctx)
	t := &Tap{src: src, ctx: ctx, cancel: cancel, taken: opts.Taken, follow: opts.Follow}
	// They share the processors: each worker has blocks in hand.
	workers := max(1, disk.Processors()/max(1, len(disks)))
	for _, d := range disks {
		t.watches = append(t.watches, newWatch(ctx, src, d, workers, opts))
	}
	return t
}

// Size is that of the source.
func (t *Tap) Size() int64 { return t.src.Size() }

// ReadAt reads from the source and shows the watches what came.
func (t *Tap) ReadAt(p []byte, off int64) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	t.asked.Add(1)
	began := time.Now()
	n, err := t.src.ReadAt(p, off)
	t.asked.Add(-1)
	err = starved(n, err, began)
	t.passed(p[:n], off, err)
	return n, err
}

// passed counts what came of the source, keeps its error, and shows it to the
// watches.
func (t *Tap) passed(p []byte, off int64, err error) {
	t.read.Add(int64(len(p)))
	if err != nil && err != io.EOF {
		t.fail(err)
	}
	for _, w := range t.watches {
		w.see(p, off)
	}
	if t.taken == nil {
		return
	}
	for _, d := range t.follow {
		t.taken.Pass(d.ID, off-d.Offset, off-d.Offset+int64(len(p)), d.Size)
	}
}

// patient is how long who asked waits before it is the source's fault that
// nobody waits any more.
const patient = time.Second

// starved tells a read that was given up because nothing came from one that
// nobody wanted any more.
func starved(n int, err error, began time.Time) error {
	if waited := time.Since(began); n == 0 && errors.Is(err, context.Canceled) && waited > patient {
		return &fetch.StallError{For: waited.Round(time.Second)}
	}
	return err
}

// fail keeps the first error of the source.
func (t *Tap) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil && t.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		t.failure = err
	}
}

// Err is the first error of the source, nil when there was none: it tells a
// failure of the source from one of the destination.
func (t *Tap) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

// Waiting tells whether somebody waits for bytes of the source now.
func (t *Tap) Waiting() bool { return t.asked.Load() > 0 }

// Read is how many bytes were read from the source.
func (t *Tap) Read() int64 { return t.read.Load() }

// Digest is the content digest of a disk; ok is false when it did not pass
// whole and in order. It waits for a disk that has passed to be digested.
func (t *Tap) Digest(id string) (res disk.Result, ok bool) {
	for _, w := range t.watches {
		if w.disk.ID == id {
			return w.result()
		}
	}
	return disk.Result{}, false
}

// Known is how many blocks of a disk from the first are known, from earlier
// passes and this one.
func (t *Tap) Known(id string) int64 {
	for _, w := range t.watches {
		if w.disk.ID == id {
			return w.known.Load()
		}
	}
	return 0
}

// Close ends the digests in progress and tells what became known.
func (t *Tap) Close() error {
	for _, w := range t.watches {
		w.stop()
	}
	t.cancel()
	return nil
}
