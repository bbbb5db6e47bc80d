package vsphere

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// held is a connection that takes a write when it is let, and counts them.
type held struct {
	net.Conn
	let    chan struct{}
	in     chan struct{} // of each write when it begins
	took   chan int      // bytes of each write
	err    error
	closed chan struct{}
}

func (h *held) Write(p []byte) (int, error) {
	h.in <- struct{}{}
	select {
	case <-h.let:
	case <-h.closed:
		return 0, net.ErrClosed
	}
	if h.err != nil {
		return 0, h.err
	}
	h.took <- len(p)
	return len(p), nil
}

func (h *held) Close() error {
	close(h.closed)
	return nil
}

func newHeld() *held {
	return &held{let: make(chan struct{}), in: make(chan struct{}, 200), took: make(chan int, 200), closed: make(chan struct{})}
}

// TestGathered: all bytes arrive in order whatever the sizes of writes, over a
// real connection, and to end it ends the goroutine with it.
func TestGathered(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var want bytes.Buffer
	came := make(chan []byte)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(came)
			return
		}
		defer c.Close()
		b := make([]byte, 3_000_000)
		io.ReadFull(c, b)
		came <- b
	}()
	c, err := gathering(nil)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; want.Len() < 3_000_000; i++ {
		p := bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, i*i%9000+1)
		p = p[:min(len(p), 3_000_000-want.Len())]
		want.Write(p)
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(p), err)
		}
	}
	if got := <-came; !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes came, others than were written", len(got))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written after Close: %v", err)
	}
}

// TestGatheredMany: what is written while the connection is at work goes out in
// one piece, and no more waits than is allowed.
func TestGatheredMany(t *testing.T) {
	h := newHeld()
	g := gather(h)
	record := make([]byte, 16<<10)
	all := make(chan error)
	const records = 100
	go func() {
		for range records {
			if _, err := g.Write(record); err != nil {
				all <- err
				return
			}
		}
		all <- nil
	}()
	total := 0
	for i := range 5 {
		<-h.in
		g.mu.Lock()
		for len(g.next) < gatheredMost {
			g.change.Wait()
		}
		g.mu.Unlock()
		h.let <- struct{}{}
		n := <-h.took
		if total += n; i > 0 && n != gatheredMost {
			t.Errorf("%d bytes at once, where %d waited", n, gatheredMost)
		}
	}
	close(h.let)
	if err := <-all; err != nil {
		t.Fatal(err)
	}
	for total < records*len(record) {
		total += <-h.took
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// TestGatheredEnds: an error shows at a later write, and Close neither waits for
// a connection that takes nothing nor leaves a writer behind.
func TestGatheredEnds(t *testing.T) {
	h := newHeld()
	h.err = errors.New("the line is cut")
	g := gather(h)
	close(h.let)
	var err error
	for err == nil {
		_, err = g.Write([]byte("x"))
	}
	if !errors.Is(err, h.err) {
		t.Errorf("a cut line: %v", err)
	}
	h = newHeld() // takes nothing
	g = gather(h)
	waits := make(chan error)
	go func() {
		_, err := g.Write(make([]byte, 4*gatheredMost))
		waits <- err
	}()
	select {
	case err := <-waits:
		t.Fatalf("nothing was taken, and everything is written: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write that waits: %v", err)
	}
}
