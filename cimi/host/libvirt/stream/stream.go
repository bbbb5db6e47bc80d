// Package stream carries the content of storage volumes to and from a libvirtd,
// over connections that do nothing else. It speaks the few calls of libvirt's
// protocol that this takes.
//
// The library that makes the other calls gives streams no context, no holes and
// one end too few: it never confirms the end of a download. Here a connection
// carries one stream at a time, so that a slow one holds up no other call, and
// cancelling is closing. Streams are sparse (libvirt 3.4 and later): holes are
// told, not sent.
package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// DefaultStall is how long a server may give and take nothing, in the middle of
// a stream, before the connection is given up.
const DefaultStall = time.Minute

// Volume names a storage volume: its pool, its name there, its key.
type Volume struct{ Pool, Name, Key string }

// Conn is a connection that has been opened. After an error it is broken and
// can only be closed. It serves one goroutine.
type Conn struct {
	// Stall is how long libvirtd may be silent; see DefaultStall.
	Stall time.Duration

	c      net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	serial uint32
	buf    []byte
	// early are packets of the stream that came before its reply.
	early   []packet
	replied bool
	broken  error
	// watch closes a connection on which nothing moves: not every transport
	// has deadlines.
	watch   *time.Timer
	stalled atomic.Bool
}

// ErrStalled: libvirtd gave and took nothing for too long.
var ErrStalled = errors.New("libvirtd gives and takes nothing any more")

// ErrAuthentication: the server asks for an authentication that is not spoken here.
var ErrAuthentication = errors.New("libvirtd asks for SASL, which is not spoken: use ssh, a unix socket, or TLS with client certificates")

// Open opens the driver that uri names (qemu:///system) over c, which it takes over.
func Open(ctx context.Context, c net.Conn, uri string) (*Conn, error) {
	s := &Conn{Stall: DefaultStall, c: c, r: bufio.NewReaderSize(c, 256<<10), w: bufio.NewWriterSize(c, 64<<10), buf: make([]byte, 256<<10)}
	s.watch = time.AfterFunc(s.Stall, func() {
		s.stalled.Store(true)
		c.Close()
	})
	s.watch.Stop()
	err := s.guard(ctx, func() error {
		reply, err := s.call(procAuthList, nil)
		if err != nil {
			return err
		}
		if len(reply) >= 8 && binary.BigEndian.Uint32(reply) > 0 { // the kinds it takes, most wanted first
			switch binary.BigEndian.Uint32(reply[4:]) {
			case 0: // none
			case 2:
				if _, err := s.call(procAuthPolkit, nil); err != nil {
					return err
				}
			default:
				return ErrAuthentication
			}
		}
		args := binary.BigEndian.AppendUint32(nil, 1) // the name is there
		args = xdrString(args, uri)
		args = binary.BigEndian.AppendUint32(args, 0) // flags
		_, err = s.call(procConnectOpen, args)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// Broken tells whether the connection can only be closed.
func (s *Conn) Broken() bool { return s.broken != nil }

// Close closes the connection; a stream on it ends in the middle.
func (s *Conn) Close() error {
	if s.broken == nil {
		// Politeness: the server closes all the same.
		s.watch.Reset(time.Second)
		defer s.watch.Stop()
		if s.send(procConnectClose, typeCall, s.next(), statusOK, nil) == nil {
			s.w.Flush()
		}
	}
	s.broken = net.ErrClosed
	return s.c.Close()
}

// guard runs f, which reads and writes; when ctx ends it closes the connection,
// so that f comes back.
func (s *Conn) guard(ctx context.Context, f func() error) error {
	if s.broken != nil {
		return s.broken
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { s.c.Close() })
	s.extend()
	err := f()
	s.watch.Stop()
	if !stop() {
		s.broken = context.Cause(ctx)
		return s.broken
	}
	if s.stalled.Load() {
		s.broken = fmt.Errorf("%w (for %s)", ErrStalled, s.Stall)
		return s.broken
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) && err != io.EOF {
			s.broken = err
		}
	}
	return err
}

func (s *Conn) next() uint32 {
	s.serial++
	return s.serial
}

// extend gives the server time until something moves again.
func (s *Conn) extend() { s.watch.Reset(s.Stall) }

func (s *Conn) send(procedure, kind, serial, status uint32, payload []byte) error {
	s.extend()
	if _, err := s.w.Write(header(procedure, kind, serial, status, len(payload))); err != nil {
		return err
	}
	_, err := s.w.Write(payload)
	return err
}

// receive reads the next packet of a serial, as large as it comes; what belongs
// to others is dropped.
func (s *Conn) receive(serial uint32) (packet, error) {
	if err := s.w.Flush(); err != nil {
		return packet{}, err
	}
	if len(s.early) > 0 && s.early[0].serial == serial && s.replied {
		p := s.early[0]
		s.early = s.early[1:]
		return p, nil
	}
	for {
		s.extend()
		p, err := readPacket(s.r, s.buf)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return p, err
		}
		if p.program == program && p.serial == serial {
			if p.status == statusError {
				return p, decodeError(p.payload)
			}
			return p, nil
		}
	}
}

func (s *Conn) call(procedure uint32, args []byte) ([]byte, error) {
	serial := s.next()
	if err := s.send(procedure, typeCall, serial, statusOK, args); err != nil {
		return nil, err
	}
	s.early, s.replied = nil, false
	defer func() { s.replied = true }()
	for {
		p, err := s.receive(serial)
		if err != nil || p.kind == typeReply {
			return p.payload, err
		}
		// libvirtd begins to send a stream before it says that there is one.
		if len(s.early) == maxEarly || p.kind != typeStream && p.kind != typeStreamHole {
			return nil, fmt.Errorf("libvirt answered call %d with a packet of type %d, expected a reply", procedure, p.kind)
		}
		p.payload = bytes.Clone(p.payload)
		s.early = append(s.early, p)
	}
}

// maxEarly bounds what is kept of a stream whose reply has not come.
const maxEarly = 64

// begin starts a stream over bytes [off, off+n) of a volume.
func (s *Conn) begin(procedure uint32, v Volume, off, n int64) (serial uint32, err error) {
	args := xdrString(xdrString(xdrString(nil, v.Pool), v.Name), v.Key)
	args = binary.BigEndian.AppendUint64(args, uint64(off))
	args = binary.BigEndian.AppendUint64(args, uint64(n))
	args = binary.BigEndian.AppendUint32(args, 1) // sparse
	_, err = s.call(procedure, args)
	return s.serial, err
}
