package relay

import (
	"context"
	"errors"
	"io"
	"time"
)

const (
	// chunkSize is how much is read from the source at once, chunks how many
	// of them wait for the destination: the memory of one reader is their product.
	chunkSize = 1 << 20
	chunks    = 4
	// patience is how long a chunk waits to be full: what a slow source has
	// given goes on, so that the destination sees that something moves.
	patience = 50 * time.Millisecond
)

// reader reads a Content in sequence, ahead of whoever takes the bytes. It is
// an io.ReadSeeker for http.ServeContent.
type reader struct {
	ctx  context.Context
	src  Content
	pos  int64
	end  int64 // where reading ahead stops
	feed *readahead
	err  error // the source's, if it failed
}

func newReader(ctx context.Context, src Content) *reader {
	return &reader{ctx: ctx, src: src, end: src.Size()}
}

// Seek moves without reading.
func (r *reader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.pos
	case io.SeekEnd:
		off += r.src.Size()
	}
	if off < 0 {
		return 0, errors.New("seek before the start")
	}
	if off != r.pos {
		r.stop()
		r.pos = off
	}
	return off, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.pos >= r.end {
		return 0, io.EOF
	}
	if r.feed == nil {
		r.feed = startReadahead(r.ctx, r.src, r.pos, r.end)
	}
	n, err := r.feed.read(p)
	r.pos += int64(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func (r *reader) stop() {
	if r.feed != nil {
		r.feed.stop()
		r.feed = nil
	}
}

// Close ends the reading ahead.
func (r *reader) Close() error {
	r.stop()
	return nil
}

// readahead fills a few buffers in turn.
type readahead struct {
	ctx    context.Context
	cancel context.CancelFunc
	full   chan piece
	free   chan []byte
	rest   []byte // of the piece being taken
	buf    []byte
	err    error
}

type piece struct {
	buf []byte
	n   int
	err error
}

func startReadahead(ctx context.Context, src io.ReaderAt, off, end int64) *readahead {
	ctx, cancel := context.WithCancel(ctx)
	f := &readahead{ctx: ctx, cancel: cancel, full: make(chan piece, chunks), free: make(chan []byte, chunks)}
	for range chunks {
		f.free <- nil
	}
	go func() {
		defer close(f.full)
		in := Sequence(ctx, src, off, end-off)
		defer in.Close()
		for off < end {
			var buf []byte
			select {
			case <-ctx.Done():
				return
			case buf = <-f.free:
			}
			want := min(chunkSize, end-off)
			if buf == nil {
				buf = make([]byte, want)
			}
			n, err := fill(in, buf[:min(want, int64(len(buf)))])
			off += int64(n)
			if err == io.EOF {
				if err = nil; off < end {
					err = io.ErrUnexpectedEOF
				}
			}
			select {
			case <-ctx.Done():
				return
			case f.full <- piece{buf, n, err}:
			}
			if err != nil {
				return
			}
		}
	}()
	return f
}

// fill reads until p is full or has waited long enough.
func fill(in io.Reader, p []byte) (n int, err error) {
	for started := time.Now(); n < len(p) && err == nil; {
		var m int
		m, err = in.Read(p[n:])
		n += m
		if n > 0 && time.Since(started) > patience {
			break
		}
	}
	return n, err
}

func (f *readahead) read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		if f.buf != nil {
			f.free <- f.buf
			f.buf = nil
		}
		next, ok := <-f.full
		if !ok {
			if err := context.Cause(f.ctx); err != nil {
				return 0, err // which is not the end of what is read
			}
			return 0, io.EOF
		}
		f.buf, f.rest, f.err = next.buf, next.buf[:next.n], next.err
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// stop waits until nothing of the source is being read any more.
func (f *readahead) stop() {
	f.cancel()
	for range f.full {
	}
}
