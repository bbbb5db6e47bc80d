package fetch

import (
	"context"
	"fmt"
	"io"
)

// maxGap is how many bytes between two streams are read and thrown away
// rather than asked around.
const maxGap = 64 << 10

// Stream reads n bytes from off in sequence. Streams that follow each other
// with little between go on with one request: a file that is streamed from its
// start to its end, piece by piece, is fetched once.
func (f *File) Stream(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if !f.Ranges() {
		return nil, fmt.Errorf("%s: %w", f.shown, ErrNoRange)
	}
	f.mu.Lock()
	r := f.parked
	f.parked = nil
	f.mu.Unlock()
	if r != nil && (r.pos > off || off-r.pos > maxGap) {
		r.Close()
		r = nil
	}
	if r == nil {
		// Lives as long as the pass; each stream ties it to its own context.
		own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		r = f.Reader(own, off, -1)
		r.cancel = cancel
	}
	s := &stream{f: f, r: r, left: n, ended: func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}}
	s.untie = context.AfterFunc(ctx, func() { r.cancel(context.Cause(ctx)) })
	if _, err := io.CopyN(io.Discard, r, off-r.pos); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Apart reads n bytes from off in sequence, with requests of its own that ask
// for no more, so that others may read at the same time.
func (f *File) Apart(ctx context.Context, off, n int64) io.ReadCloser {
	return f.Reader(ctx, off, n)
}

// stream is a piece of a Reader, which it parks when it ends.
type stream struct {
	f     *File
	r     *Reader
	untie func() bool
	ended func() error // why its context has ended, nil while it has not
	left  int64
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 || s.r == nil {
		return 0, io.EOF
	}
	// What has arrived already must not hide that nobody wants it any more.
	if err := s.ended(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *stream) Close() error {
	r := s.r
	s.r = nil
	if r == nil {
		return nil
	}
	if tied := s.untie(); !tied || s.left > 0 || r.err != nil || r.body == nil {
		return r.Close()
	}
	s.f.mu.Lock()
	old := s.f.parked
	s.f.parked = r
	s.f.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}
