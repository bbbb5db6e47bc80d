package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Reader reads a file in sequence, and resumes where a connection broke.
type Reader struct {
	ctx  context.Context
	f    *File
	pos  int64 // of the next byte
	end  int64 // -1: to the end of the file, wherever that is
	body io.ReadCloser
	g    *stallGuard
	a    *attempts
	err  error
	late error // of the last Read of body, which gave bytes too

	renewed bool // credentials, since the last byte

	cancel context.CancelCauseFunc // of ctx, where it is the Reader's own
}

// Reader reads n bytes from off, to the end of the file when n is negative,
// as long as ctx lasts. Nothing is asked for before the first Read.
func (f *File) Reader(ctx context.Context, off, n int64) *Reader {
	r := &Reader{ctx: ctx, f: f, pos: off, end: f.id.Size, a: newAttempts(f.opts, f.opts.Attempts, f.shown)}
	if n >= 0 && (r.end < 0 || n < r.end-off) {
		r.end = off + n
	}
	return r
}

// Offset is that of the next byte, in the file.
func (r *Reader) Offset() int64 { return r.pos }

func (r *Reader) Read(p []byte) (int, error) {
	if r.err == nil && len(p) > 0 {
		n, err := r.read(p)
		r.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

func (r *Reader) read(p []byte) (int, error) {
	for {
		if r.end >= 0 {
			if r.pos >= r.end {
				r.disconnect()
				return 0, io.EOF
			}
			p = p[:min(int64(len(p)), r.end-r.pos)]
		}
		if err := r.ctx.Err(); err != nil {
			r.disconnect()
			return 0, context.Cause(r.ctx)
		}
		if first := r.f.first; r.body == nil && r.pos < int64(len(first)) {
			n := copy(p, first[r.pos:])
			r.pos += int64(n)
			return n, nil
		}
		err := r.late
		r.late = nil
		if err == nil && r.body == nil {
			err = r.connect()
		}
		if err == nil {
			var n int
			r.g.alive()
			n, err = r.body.Read(p)
			r.g.rest()
			if n > 0 {
				r.pos += int64(n)
				r.late = err
				r.a.progress()
				r.renewed = false
				return n, nil
			}
		}
		if err == nil {
			continue
		}
		if err = r.recover(err); err != nil {
			return 0, err
		}
	}
}

// recover decides, after err, whether to go on.
func (r *Reader) recover(err error) error {
	if r.g != nil {
		err = r.g.explain(err)
	}
	r.disconnect()
	if err == io.EOF {
		if r.f.id.Size < 0 || r.pos == r.end {
			return io.EOF // who tells no length ends an answer in order only at its end
		}
		err = io.ErrUnexpectedEOF
	}
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case r.f.opts.Renew != nil && !r.renewed && unauthorized(err):
		r.renewed = true
		if renewErr := r.f.opts.Renew(r.ctx); renewErr != nil {
			return errors.Join(err, renewErr)
		}
		if r.f.opts.OnRetry != nil {
			r.f.opts.OnRetry(Attempt{URL: r.f.shown, Offset: r.pos, Number: 1, Of: 2, Err: err})
		}
		return nil
	case !Temporary(err):
		if r.pos > 0 && !errors.As(err, new(*ChangedError)) {
			return r.transferError(err, "")
		}
		return err
	case !r.f.ranges && r.pos > 0:
		return r.transferError(err, "the server does not offer Range, so the transfer cannot be resumed")
	}
	if last := r.a.again(r.ctx, r.pos, err); last != nil {
		if r.ctx.Err() != nil {
			return last
		}
		return r.transferError(err, "")
	}
	return nil
}

func unauthorized(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.StatusCode == http.StatusUnauthorized
}

func (r *Reader) transferError(err error, reason string) error {
	return &TransferError{URL: r.f.shown, Offset: r.pos, Size: r.f.id.Size, Attempts: r.a.n, Reason: reason, Err: err}
}

// connect asks for what is left.
func (r *Reader) connect() error {
	f := r.f
	if !f.ranges && r.pos == 0 {
		f.mu.Lock()
		body, g := f.body, f.guard
		f.body, f.guard = nil, nil
		f.mu.Unlock()
		if body != nil {
			r.adopt(body, g)
			return nil
		}
	}
	if !f.ranges && r.pos > 0 {
		return fmt.Errorf("%s: at byte %d: %w", f.shown, r.pos, ErrNoRange)
	}
	g := newStallGuard(r.ctx, f.opts.StallTimeout)
	want := ""
	if f.ranges {
		want = fmt.Sprintf("bytes=%d-", r.pos)
		if r.end >= 0 && r.end != f.id.Size {
			want = fmt.Sprintf("bytes=%d-%d", r.pos, r.end-1)
		}
	}
	ifRange := ""
	if f.ranges && r.pos > 0 {
		ifRange = f.id.validator()
	}
	resp, err := f.get(g.ctx, want, ifRange)
	if err != nil {
		g.stop()
		return g.explain(err)
	}
	if err := r.accept(resp); err != nil {
		resp.Body.Close()
		g.stop()
		return err
	}
	g.rest()
	r.body, r.g = resp.Body, g
	return nil
}

// adopt takes the first answer over: from now on this reader's context ends it.
func (r *Reader) adopt(body io.ReadCloser, g *stallGuard) {
	unhook := context.AfterFunc(r.ctx, func() { g.cancel(context.Cause(r.ctx)) })
	r.body, r.g = unhooked{body, unhook}, g
}

type unhooked struct {
	io.ReadCloser
	unhook func() bool
}

func (u unhooked) Close() error { u.unhook(); return u.ReadCloser.Close() }

// accept checks that an answer goes on where the last one ended, in the same file.
func (r *Reader) accept(resp *http.Response) error {
	f := r.f
	now := Identity{Size: -1, ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		start, _, size, err := contentRange(resp)
		if err != nil || start != r.pos {
			return fmt.Errorf("GET %s: asked for byte %d on, the answer has Content-Range %q: %w", f.shown, r.pos, resp.Header.Get("Content-Range"), ErrRefused)
		}
		now.Size = size
		return f.id.differs(f.shown, now)
	case http.StatusOK:
		now.Size = resp.ContentLength
		if err := f.id.differs(f.shown, now); err != nil {
			return err
		}
		if r.pos == 0 {
			return nil
		}
		if f.id.validator() != "" && now.ETag == "" && now.LastModified == "" {
			return &ChangedError{URL: f.shown, What: "identity", Before: f.id.validator(), After: "none"}
		}
		return fmt.Errorf("GET %s: asked for byte %d on, the answer is the whole file: %w", f.shown, r.pos, ErrNoRange)
	case http.StatusRequestedRangeNotSatisfiable:
		if r.end < 0 && resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", r.pos) {
			r.end = r.pos // all of a file whose length nobody told
			return io.EOF
		}
		return &ChangedError{URL: f.shown, What: "size", Before: fmt.Sprint(f.id.Size), After: "less than " + fmt.Sprint(r.pos)}
	case http.StatusPreconditionFailed:
		return &ChangedError{URL: f.shown, What: "identity", Before: f.id.validator(), After: "unknown"}
	}
	return NewStatusError(resp)
}

func (r *Reader) disconnect() {
	if r.body != nil {
		r.g.stop()
		r.body.Close()
		r.body, r.g = nil, nil
	}
}

// Close ends the connection.
func (r *Reader) Close() error {
	r.disconnect()
	if r.cancel != nil {
		r.cancel(nil)
	}
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return nil
}
