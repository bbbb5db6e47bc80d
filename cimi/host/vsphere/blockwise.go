package vsphere

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// blockwise has t send the body of a request block by block, where it is a source,
// over connections that gather: net/http would copy each into a buffer of its own.
func blockwise(t *http.Transport) {
	dial := gathering(t.DialContext)
	t.DialContext = dial // to a proxy, and without TLS
	t.WriteBufferSize, t.ReadBufferSize = 256<<10, 256<<10
	t.ForceAttemptHTTP2 = false // its frames and windows are smaller
	limit, config := t.TLSHandshakeTimeout, t.TLSClientConfig
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		own := &tls.Config{}
		if config != nil {
			own = config.Clone()
		}
		if own.ServerName == "" {
			name, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			own.ServerName = name
		}
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, own)
		if err := shakeHands(ctx, secure, limit); err != nil {
			c.Close()
			return nil, err
		}
		return &blockConn{secure}, nil
	}
}

// shakeHands is bounded by limit, where that is one; as in net/http, running out of
// it is a failure of the network, which is tried again, not the end of ctx.
func shakeHands(ctx context.Context, c *tls.Conn, limit time.Duration) error {
	limited, cancel := ctx, func() {}
	if limit > 0 {
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	err := c.HandshakeContext(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return &net.OpError{Op: "TLS handshake", Net: "tcp", Addr: c.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
	return err
}

// blockConn takes a source block by block.
type blockConn struct{ *tls.Conn }

// ReadFrom is what net/http has a body of known length sent by.
func (c *blockConn) ReadFrom(r io.Reader) (n int64, err error) {
	l, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(c.Conn, r)
	}
	s, ok := l.R.(source)
	if !ok {
		return io.Copy(c.Conn, r)
	}
	for l.N > 0 {
		b, err := s.block()
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
		k, err := c.Conn.Write(b[:min(int64(len(b)), l.N)])
		s.taken(k)
		n, l.N = n+int64(k), l.N-int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
