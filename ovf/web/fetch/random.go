package fetch

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Reading ahead: a little for those who look at headers here and there, more
// and more for those who go on in sequence. Once a file's budget is used up by
// bytes nobody asked for, only sequences are read ahead.
const (
	minReadAhead    = 8 << 10
	maxReadAhead    = 1 << 20
	readAheadBudget = 512 << 10
)

// ReadAt reads anywhere; see At.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	return f.At(context.Background()).ReadAt(p, off)
}

// At is the file for random access as long as ctx lasts; ErrNoRange where the
// server does not offer that. Reads of one caller that go on in sequence cost
// few requests; ReadAt may be called concurrently.
func (f *File) At(ctx context.Context) io.ReaderAt { return &view{ctx: ctx, f: f} }

type view struct {
	ctx context.Context
	f   *File

	mu     sync.Mutex
	window []byte
	start  int64 // of window in the file
	ahead  int64 // how much to read at the next miss
}

func (v *view) ReadAt(p []byte, off int64) (int, error) {
	size := v.f.id.Size
	switch {
	case off < 0:
		return 0, fmt.Errorf("%s: negative offset", v.f.shown)
	case !v.f.Ranges():
		return 0, fmt.Errorf("%s: %w", v.f.shown, ErrNoRange)
	case off >= size:
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > size-off {
		p, atEnd = p[:size-off], io.EOF
	}
	n := 0
	for n < len(p) {
		m := v.cached(p[n:], off+int64(n))
		n += m
		if m > 0 {
			continue
		}
		m, err := v.load(p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, atEnd
}

// cached copies what is at hand.
func (v *view) cached(p []byte, off int64) int {
	if off < int64(len(v.f.first)) {
		return copy(p, v.f.first[off:])
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if off >= v.start && off < v.start+int64(len(v.window)) {
		return copy(p, v.window[off-v.start:])
	}
	return 0
}

// load fetches p, and what seems wanted next.
func (v *view) load(p []byte, off int64) (int, error) {
	v.mu.Lock()
	switch {
	case len(v.window) > 0 && off == v.start+int64(len(v.window)):
		v.ahead = min(max(2*v.ahead, 2*minReadAhead), maxReadAhead)
	case v.f.mayReadAhead(minReadAhead):
		v.ahead = minReadAhead
	default:
		v.ahead = 0
	}
	want := max(int64(len(p)), v.ahead)
	v.mu.Unlock()
	want = min(want, v.f.id.Size-off)
	r := v.f.Reader(v.ctx, off, want)
	defer r.Close()
	if want <= int64(len(p)) {
		n, err := io.ReadFull(r, p[:want])
		if err == nil {
			v.mu.Lock()
			v.start, v.window = off+want-1, append(v.window[:0:0], p[want-1]) // remembers where a sequence would go on
			v.mu.Unlock()
		}
		return n, err
	}
	b := make([]byte, want)
	if n, err := io.ReadFull(r, b); err != nil {
		return copy(p, b[:n]), err
	}
	v.mu.Lock()
	v.start, v.window = off, b
	v.mu.Unlock()
	return copy(p, b), nil
}

func (f *File) mayReadAhead(n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readOver >= readAheadBudget {
		return false
	}
	f.readOver += n
	return true
}
