package main

import (
	"context"
	"io"
	"os"
)

// interruptibleReader reads from a stream that may block for ever, such as a
// pipe that nobody writes to, and gives up when ctx ends. One read may be left
// waiting then; it keeps nothing but itself.
type interruptibleReader struct {
	ctx     context.Context
	r       io.Reader
	asked   chan struct{}
	answers chan readAnswer
	rest    []byte
	err     error
}

type readAnswer struct {
	b   []byte
	err error
}

func newInterruptibleReader(ctx context.Context, r io.Reader) *interruptibleReader {
	return &interruptibleReader{ctx: ctx, r: r}
}

func (i *interruptibleReader) Read(p []byte) (int, error) {
	if len(i.rest) == 0 && i.err == nil {
		if i.answers == nil {
			i.asked, i.answers = make(chan struct{}), make(chan readAnswer, 1)
			go i.serve(make([]byte, 256<<10))
		}
		select {
		case i.asked <- struct{}{}:
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
		select {
		case a := <-i.answers:
			i.rest, i.err = a.b, a.err
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	if len(i.rest) > 0 {
		return n, nil
	}
	return n, i.err
}

// serve reads when asked: the buffer is the reader's until it asks again.
func (i *interruptibleReader) serve(buf []byte) {
	for {
		select {
		case <-i.asked:
		case <-i.ctx.Done():
			return
		}
		n, err := i.r.Read(buf)
		i.answers <- readAnswer{buf[:n], err}
		if err != nil {
			return
		}
	}
}

// file is the regular file that standard input is, nothing of which was read
// yet: it can be read anywhere. nil: it is none.
func (i *interruptibleReader) file() *os.File {
	f, ok := i.r.(*os.File)
	if !ok || i.answers != nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return nil
	}
	return f
}
