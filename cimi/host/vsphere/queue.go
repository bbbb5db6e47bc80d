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
	taken      []byte // the block itself

	once   sync.Once
	broken chan struct{} // closed by CloseWithError, or when the reader has gone
	err    error
}

const (
	queueBlock  = 256 << 10
	queueBlocks = 8
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
	q := s.q
	for len(q.reading) == 0 {
		if q.taken != nil {
			q.free <- q.taken[:0]
			q.taken = nil
		}
		select {
		case <-q.broken:
			return 0, q.err
		default:
		}
		select {
		case b, ok := <-q.full:
			if !ok {
				return 0, io.EOF
			}
			q.taken, q.reading = b, b
		case <-q.broken:
			return 0, q.err
		}
	}
	n := copy(p, q.reading)
	q.reading = q.reading[n:]
	return n, nil
}

func (s source) Close() error {
	s.q.CloseWithError(io.ErrClosedPipe)
	return nil
}
