package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// batchBlocks is how many block digests are told at once.
const batchBlocks = 16

// errStopped ends a decoder whose disk will not pass any further.
var errStopped = errors.New("relay closed")

// watch decodes one disk from the bytes that pass, in ascending order. Bytes
// seen before are skipped; a gap waits for whoever reads it later, so readers
// that go over a disk in parallel leave it unfinished. But where a part of the
// disk is known and next to nothing has passed, a reader that begins in the
// middle goes on with what another has got before: what is known of the disk is
// completed from there.
type watch struct {
	disk  Disk
	opts  TapOptions
	known atomic.Int64

	ctx     context.Context
	src     io.ReaderAt // of the package
	workers int         // that decode

	mu   sync.Mutex
	pos  int64 // of the stored file, up to where it was seen
	late bool  // it was not seen from its start
	pipe *io.PipeWriter
	over bool // nothing more is wanted

	done  chan struct{}
	batch []Block
	upto  int64
	res   disk.Result
	err   error
}

func newWatch(ctx context.Context, src io.ReaderAt, d Disk, workers int, opts TapOptions) *watch {
	w := &watch{disk: d, opts: opts, ctx: ctx, src: src, workers: workers, upto: d.Known}
	w.known.Store(d.Known)
	w.begin()
	return w
}

// begin starts a decoder.
func (w *watch) begin() {
	r, pipe := io.Pipe()
	w.pipe, w.done = pipe, make(chan struct{})
	go w.decode(r, w.done, w.late)
}

func (w *watch) decode(r *io.PipeReader, done chan struct{}, late bool) {
	defer close(done)
	decode := disk.DecodeOptions{Name: w.disk.Name, Workers: w.workers, OnBlock: w.block}
	var in io.Reader = r
	if late {
		in = w.further(r, &decode)
	}
	w.res, w.err = formats.Decode(w.ctx, in, formats.Source{Name: w.disk.Name, Declared: w.disk.Declared}, w.disk.Capacity, nowhere{}, decode)
	if late {
		w.res.HasDigest = false // the digests of its blocks make it
	}
	w.flush()
	r.CloseWithError(errStopped)
}

// further makes a stream of what passes from a place in the middle, where a
// block begins. What lies between what is known and that place is read now.
func (w *watch) further(in io.Reader, decode *disk.DecodeOptions) io.Reader {
	head := make([]byte, min(maxHead, w.disk.Size))
	n, err := w.src.ReadAt(head, w.disk.Offset)
	if err != nil && err != io.EOF {
		return failing{err}
	}
	length, ok := vmdk.FrontOfStream(head[:n])
	if !ok || length > int64(n) {
		return failing{errStopped}
	}
	// The first grain says whether its block begins there, or may have begun
	// before.
	marker := make([]byte, 512)
	m, err := io.ReadFull(in, marker)
	if err != nil {
		return failing{err}
	}
	whole := binary.LittleEndian.Uint64(marker)%(disk.BlockSize/512) == 0
	var gap error
	begun := false
	decode.OnBlock = func(index int64, sum disk.BlockSum) {
		if !begun {
			begun = true
			if !whole {
				gap = w.fill(index + 1)
				return
			}
			gap = w.fill(index)
		}
		if gap == nil { // else the rest is read when it is asked for
			w.block(index, sum)
		}
	}
	return io.MultiReader(bytes.NewReader(head[:length]), bytes.NewReader(marker[:m]), in)
}

// maxHead bounds what comes before the grains of an image.
const maxHead = 1 << 20

// fill digests the blocks from what is known up to index.
func (w *watch) fill(index int64) error {
	if index <= w.upto {
		return nil
	}
	section := io.NewSectionReader(w.src, w.disk.Offset, w.disk.Size)
	img, err := formats.Open(section, w.disk.Size, formats.Source{Name: w.disk.Name, Declared: w.disk.Declared})
	if err != nil {
		return err
	}
	defer img.Close()
	_, err = disk.Stream(w.ctx, window{img, w.upto * disk.BlockSize, index * disk.BlockSize}, func([]byte, int64) error { return nil },
		disk.EncodeOptions{Workers: 1, OnBlock: w.block})
	return err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// see takes bytes of the package at off.
func (w *watch) see(p []byte, off int64) {
	from, to := off-w.disk.Offset, off-w.disk.Offset+int64(len(p))
	if to <= 0 || from >= w.disk.Size {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if from > w.pos && w.pos <= maxHead && w.disk.Known > 0 && !w.late {
		w.pipe.CloseWithError(errStopped)
		<-w.done
		w.pos, w.late, w.over = from, true, false
		w.begin()
	}
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
	<-w.done // no other begins once all has passed
	return w.res, w.err == nil && w.res.HasDigest
}

func (w *watch) stop() {
	w.mu.Lock()
	if !w.over {
		w.over = true
		w.pipe.CloseWithError(errStopped)
	}
	done := w.done
	w.mu.Unlock()
	<-done
}

// nowhere is a sink for content of which only the digest is wanted.
type nowhere struct{}

func (nowhere) Begin(disk.Info) error                  { return nil }
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
