package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
)

// connection is a libvirtd that is called again when it was lost: the daemon
// may be restarted, the network may fail, in the middle of a night.
type connection struct {
	by  transport
	uri string // as libvirtd takes it
	// stall is how long a lost libvirtd is waited for, and how long one that
	// answers nothing is.
	stall time.Duration

	mu   sync.Mutex
	lib  *lv.Libvirt
	wire net.Conn // below lib

	idle chan *stream.Conn
}

// idleStreams is how many connections for streams are kept open.
const idleStreams = 4

func newConnection(by transport, uri string, stall time.Duration) *connection {
	return &connection{by: by, uri: uri, stall: stall, idle: make(chan *stream.Conn, idleStreams)}
}

// fixed is a dialer of one connection, which the library takes over.
type fixed struct{ net.Conn }

func (f fixed) Dial() (net.Conn, error) { return f.Conn, nil }

// connected gives the library's connection, made anew where it was lost.
func (c *connection) connected(ctx context.Context) (*lv.Libvirt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lib != nil {
		select {
		case <-c.lib.Disconnected():
			c.wire.Close()
			c.lib = nil
		default:
			return c.lib, nil
		}
	}
	wire, err := c.by.dial(ctx)
	if err != nil {
		return nil, err
	}
	lib := lv.NewWithDialer(fixed{wire})
	stop := context.AfterFunc(ctx, func() { wire.Close() })
	err = lib.ConnectToURI(lv.ConnectURI(c.uri))
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(wire.Close()))
	}
	c.lib, c.wire = lib, wire
	return lib, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// call runs f, which must be harmless to repeat: it is run again when the
// connection was lost under it. A call that is not answered ends with ctx, or
// when the daemon has been silent for too long.
func (c *connection) call(ctx context.Context, f func(*lv.Libvirt) error) error {
	return c.patiently(ctx, func() error {
		lib, err := c.connected(ctx)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- f(lib) }()
		silent := time.NewTimer(c.stall)
		defer silent.Stop()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-silent.C:
			err = fmt.Errorf("%w (for %s)", stream.ErrStalled, c.stall)
		}
		// The library's calls know no end but that of the connection.
		c.mu.Lock()
		if c.lib == lib {
			c.wire.Close()
		}
		c.mu.Unlock()
		return backoff.Permanent(err)
	})
}

// streaming runs f with a connection for streams, again where that was lost.
func (c *connection) streaming(ctx context.Context, f func(*stream.Conn) error) error {
	return c.patiently(ctx, func() error {
		s, err := c.stream(ctx)
		if err != nil {
			return err
		}
		defer c.giveBack(s)
		return f(s)
	})
}

func (c *connection) stream(ctx context.Context) (*stream.Conn, error) {
	select {
	case s := <-c.idle:
		return s, nil
	default:
	}
	wire, err := c.by.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := stream.Open(ctx, wire, c.uri)
	if err == nil {
		s.Stall = c.stall
	}
	return s, err
}

func (c *connection) giveBack(s *stream.Conn) {
	if s.Broken() {
		s.Close()
		return
	}
	select {
	case c.idle <- s:
	default:
		s.Close()
	}
}

// patiently repeats f as long as it fails for want of a connection, until the
// daemon has been away for too long.
func (c *connection) patiently(ctx context.Context, f func() error) error {
	// What f has done counts as an end of the absence.
	var away time.Time
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		began := time.Now()
		err := f()
		if err == nil || !lost(err) {
			return struct{}{}, permanent(err)
		}
		if away.IsZero() || began.Sub(away) < 0 {
			away = time.Now()
		}
		if time.Since(away) > c.stall {
			return struct{}{}, permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(b), backoff.WithMaxElapsedTime(0))
	return err
}

func permanent(err error) error {
	var p *backoff.PermanentError
	if err == nil || errors.As(err, &p) {
		return err
	}
	return backoff.Permanent(err)
}

// lost tells errors of the connection, after which another may do, from
// libvirt's own, which will be the same again.
func lost(err error) bool {
	var network net.Error
	var security *cimi.SecurityError
	switch {
	case errors.As(err, &security), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, stream.ErrStalled):
		return false
	case errors.Is(err, lv.ErrInterrupted), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.As(err, &network):
		return true
	}
	return strings.Contains(err.Error(), "ssh: ") // the package has no type for it
}

func (c *connection) Close() error {
	var errs []error
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lib != nil {
		select {
		case <-c.lib.Disconnected():
		default:
			errs = append(errs, c.lib.Disconnect())
		}
		c.wire.Close()
		c.lib = nil
	}
	for {
		select {
		case s := <-c.idle:
			errs = append(errs, ignoreClosed(s.Close()))
			continue
		default:
		}
		return errors.Join(append(errs, c.by.Close())...)
	}
}
