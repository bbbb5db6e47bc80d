package vsphere

import (
	"context"
	"net"
	"sync"
	"time"
)

// gathered is a connection whose writes go out many at a time: TLS writes each
// record of 16 KiB by itself, and to hand one over costs more than to encrypt
// it. What was written is on its way as soon as the connection takes it; where
// it takes no more, Write waits. Close gives up what is not on its way, as who
// sends a request waits for its answer before.
type gathered struct {
	net.Conn

	mu     sync.Mutex
	change sync.Cond
	next   []byte // what Write has taken
	spare  []byte
	err    error // why nothing more can be written
}

// gatheredMost is how many bytes wait at most while as many are on their way: few,
// as what encrypts, sends and takes them on one machine shares its cache.
const gatheredMost = 32 << 10

func gather(c net.Conn) *gathered {
	g := &gathered{Conn: c}
	g.change.L = &g.mu
	go g.send()
	return g
}

// gathering is dial with connections that gather.
func gathering(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return gather(c), nil
	}
}

func (g *gathered) Write(p []byte) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n < len(p) {
		for len(g.next) == gatheredMost && g.err == nil {
			g.change.Wait()
		}
		if g.err != nil {
			return n, g.err
		}
		if g.next == nil {
			g.next = make([]byte, 0, gatheredMost)
		}
		k := min(len(p)-n, gatheredMost-len(g.next))
		g.next = append(g.next, p[n:n+k]...)
		n += k
		g.change.Broadcast()
	}
	return n, nil
}

// send writes what was gathered until nothing more can be.
func (g *gathered) send() {
	g.mu.Lock()
	defer g.mu.Unlock()
	watch := near{conn: g.Conn, within: nearWithin}
	for {
		for len(g.next) == 0 && g.err == nil {
			g.change.Wait()
		}
		if g.err != nil {
			return
		}
		b := g.next
		g.next, g.spare = g.spare, nil
		g.change.Broadcast()
		g.mu.Unlock()
		began := time.Now()
		_, err := g.Conn.Write(b)
		watch.sent(began, len(b))
		g.mu.Lock()
		g.spare = b[:0]
		g.fail(err)
	}
}

// fail keeps the first error; g.mu is held.
func (g *gathered) fail(err error) {
	if err != nil && g.err == nil {
		g.err = err
		g.change.Broadcast()
	}
}

// Close ends the connection at once.
func (g *gathered) Close() error {
	g.mu.Lock()
	g.fail(net.ErrClosed)
	g.mu.Unlock()
	return g.Conn.Close()
}
