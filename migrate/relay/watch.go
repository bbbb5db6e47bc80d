package relay

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// batchBlocks is how many block digests are told at once.
const batchBlocks = 64

// errStopped ends a decoder whose disk will not pass any further.
var errStopped = errors.New("relay closed")

// watch decodes one disk from the bytes that pass, in ascending order. Bytes
// seen before are skipped; a gap waits for whoever reads it later, so readers
// that go over a disk in parallel leave it unfinished.
type watch struct {
	disk  Disk
	opts  TapOptions
	known atomic.Int64

	mu   sync.Mutex
	pos  int64 // of the stored file, up to where it was seen
	pipe *io.PipeWriter
	over bool // nothing more is wanted

	done  chan struct{}
	batch []Block
	upto  int64
	res   disk.Result
	err   error
}

func newWatch(ctx context.Context, d Disk, opts TapOptions) *watch {
	w := &watch{disk: d, opts: opts, done: make(chan struct{})}
	w.known.Store(d.Known)
	w.upto = d.Known
	r, pipe := io.Pipe()
	w.pipe = pipe
	go func() {
		defer close(w.done)
		w.res, w.err = formats.Decode(ctx, r, formats.Source{Name: d.Name, Declared: d.Declared}, d.Capacity, nowhere{},
			disk.DecodeOptions{Name: d.Name, OnBlock: w.block})
		w.flush()
		r.CloseWithError(errStopped)
	}()
	return w
}

// see takes bytes of the package at off.
func (w *watch) see(p []byte, off int64) {
	from, to := off-w.disk.Offset, off-w.disk.Offset+int64(len(p))
	if to <= 0 || from >= w.disk.Size {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || from > w.pos || to <= w.pos {
		return
	}
	p = p[w.pos-from:]
	p = p[:min(int64(len(p)), w.disk.Size-w.pos)]
	n, err := w.pipe.Write(p)
	w.pos += int64(n)
	if w.opts.Progress != nil {
		w.opts.Progress(w.disk.ID, w.pos, w.disk.Size)
	}
	if w.pos == w.disk.Size {
		w.pipe.Close()
		w.over = true
	}
	if err != nil {
		// The decoder gave up; the bytes go on to the destination, which will
		// say the same of them.
		w.over = true
	}
}

// block is called by the decoder, ascending.
func (w *watch) block(index int64, sum disk.BlockSum) {
	if index < w.upto || w.opts.Blocks == nil {
		return
	}
	w.batch = append(w.batch, Block{index, sum})
	if len(w.batch) >= batchBlocks {
		w.flush()
	}
}

func (w *watch) flush() {
	if len(w.batch) == 0 {
		return
	}
	upto := w.batch[len(w.batch)-1].Index + 1
	if err := w.opts.Blocks(w.disk.ID, upto, w.batch); err == nil {
		w.upto = upto
		w.known.Store(upto)
	}
	w.batch = w.batch[:0]
}

// result waits for the decoder of a disk that passed whole.
func (w *watch) result() (disk.Result, bool) {
	w.mu.Lock()
	whole := w.pos == w.disk.Size
	w.mu.Unlock()
	if !whole {
		return disk.Result{}, false
	}
	<-w.done
	return w.res, w.err == nil && w.res.HasDigest
}

func (w *watch) stop() {
	w.mu.Lock()
	if !w.over {
		w.over = true
		w.pipe.CloseWithError(errStopped)
	}
	w.mu.Unlock()
	<-w.done
}

// nowhere is a sink for content of which only the digest is wanted.
type nowhere struct{}

func (nowhere) Begin(disk.Info) error                  { return nil }
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
