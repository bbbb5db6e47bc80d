package vsphere

import (
	"io"
	"sync"
)

// queue is a pipe that holds a few blocks, so that reading and decoding a
// package goes on while the network takes what came before. One goroutine
// writes, another reads; CloseWithError may be called by any.
type queue struct {
	full, free chan []byte
	filling    []byte // by the writer
	reading    []byte // by the reader: what is left of the block taken
	held       []byte // the block itself

	once   sync.Once
	broken chan struct{} // closed by CloseWithError, or when the reader has gone
	err    error
}

// Few and small blocks stay in the processor's cache on their way; what the network
// is behind by waits in the socket.
const (
	queueBlock  = 64 << 10
	queueBlocks = 4
)

func newQueue() *queue {
	q := &queue{full: make(chan []byte, queueBlocks), free: make(chan []byte, queueBlocks+2), broken: make(chan struct{})}
	for range cap(q.free) {
		q.free <- nil
	}
	return q
}

// Write gives what fills a block to the reader; the rest waits for more, or Close.
func (q *queue) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if q.filling == nil {
			select {
			case q.filling = <-q.free:
			case <-q.broken:
				return n, q.err
			}
			if q.filling == nil {
				q.filling = make([]byte, 0, queueBlock)
			}
		}
		k := min(len(p), queueBlock-len(q.filling))
		q.filling = append(q.filling, p[:k]...)
		p, n = p[k:], n+k
		if len(q.filling) == queueBlock {
			if err := q.pass(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (q *queue) pass() error {
	select {
	case <-q.broken:
		return q.err
	default:
	}
	select {
	case q.full <- q.filling:
		q.filling = nil
		return nil
	case <-q.broken:
		return q.err
	}
}

// Close ends the stream after what was written.
func (q *queue) Close() error {
	var err error
	if len(q.filling) > 0 {
		err = q.pass()
	}
	close(q.full)
	return err
}

// CloseWithError breaks the stream off, for both sides; the first error counts.
func (q *queue) CloseWithError(err error) {
	q.once.Do(func() {
		q.err = err
		close(q.broken)
	})
}

// source is the reader's side; to close it is to want no more.
type source struct{ q *queue }

func (s source) Read(p []byte) (int, error) {
	b, err := s.block()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	s.taken(n)
	return n, nil
}

// block is what is left of a block that was written, never nothing; it is the
// reader's until the next call.
func (s source) block() ([]byte, error) {
	q := s.q
	for len(q.reading) == 0 {
		if q.held != nil {
			q.free <- q.held[:0]
			q.held = nil
		}
		select {
		case <-q.broken:
			return nil, q.err
		default:
		}
		select {
		case b, ok := <-q.full:
			if !ok {
				return nil, io.EOF
			}
			q.held, q.reading = b, b
		case <-q.broken:
			return nil, q.err
		}
	}
	return q.reading, nil
}

// taken says that the first n bytes of a block are read.
func (s source) taken(n int) { s.q.reading = s.q.reading[n:] }

func (s source) Close() error {
	s.q.CloseWithError(io.ErrClosedPipe)
	return nil
}
