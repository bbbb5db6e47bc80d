package relay

import (
	"context"
	"io"
	"time"
)

// Streamer is Content that gives bytes in sequence as they come. ReadAt alone
// makes a reader wait for whole buffers, which on a slow line takes longer than
// anybody's patience, and costs a request each.
type Streamer interface {
	// Stream reads n bytes from off, as long as ctx lasts.
	Stream(ctx context.Context, off, n int64) io.ReadCloser
}

// Sequence reads n bytes of src from off, as a stream where src has one.
func Sequence(ctx context.Context, src io.ReaderAt, off, n int64) io.ReadCloser {
	if s, ok := src.(Streamer); ok {
		return s.Stream(ctx, off, n)
	}
	return io.NopCloser(&ascending{ctx: ctx, src: io.NewSectionReader(src, off, n)})
}

// Stream reads the source in sequence and shows the watches what came.
func (t *Tap) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return &tapped{t: t, in: Sequence(ctx, t.src, off, n), off: off}
}

type tapped struct {
	t   *Tap
	in  io.ReadCloser
	off int64
}

func (r *tapped) Read(p []byte) (int, error) {
	if err := r.t.ctx.Err(); err != nil {
		return 0, err
	}
	r.t.asked.Add(1)
	began := time.Now()
	n, err := r.in.Read(p)
	r.t.asked.Add(-1)
	err = starved(n, err, began)
	r.t.passed(p[:n], r.off, err)
	r.off += int64(n)
	return n, err
}

func (r *tapped) Close() error { return r.in.Close() }
