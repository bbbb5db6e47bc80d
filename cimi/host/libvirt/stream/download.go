package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Download is a stream of a volume's bytes. It ends by Next's io.EOF; before,
// End ends it.
type Download struct {
	s      *Conn
	ctx    context.Context
	serial uint32
	left   int64
	ended  bool
}

// Download begins to read bytes [from, to) of a volume. ctx is that of the
// whole stream.
func (s *Conn) Download(ctx context.Context, v Volume, from, to int64) (*Download, error) {
	d := &Download{s: s, ctx: ctx, left: to - from}
	err := s.guard(ctx, func() (err error) {
		d.serial, err = s.begin(procVolDownload, v, from, to-from)
		return err
	})
	return d, err
}

// Next gives what comes next: bytes, which are good until the next call, or the
// length of a hole. At the end it is io.EOF; an end before that is
// io.ErrUnexpectedEOF.
func (d *Download) Next() (data []byte, hole int64, err error) {
	err = d.s.guard(d.ctx, func() error {
		p, err := d.s.receive(d.serial)
		if err != nil {
			return err
		}
		switch {
		case p.kind == typeStreamHole && len(p.payload) >= 8:
			hole = int64(binary.BigEndian.Uint64(p.payload))
			if hole < 0 {
				return fmt.Errorf("libvirt sent a hole of %d bytes", hole)
			}
		case p.kind == typeStream && p.status == statusContinue && len(p.payload) > 0:
			data = p.payload
		case p.kind == typeStream:
			d.ended = true
			if p.status == statusContinue {
				if err := d.s.finish(procVolDownload, d.serial); err != nil {
					return err
				}
			}
			if d.left > 0 {
				return fmt.Errorf("the volume ended %d bytes early: %w", d.left, io.ErrUnexpectedEOF)
			}
			return io.EOF
		default:
			return fmt.Errorf("libvirt sent a packet of type %d within a download", p.kind)
		}
		if d.left -= int64(len(data)) + hole; d.left < 0 {
			return fmt.Errorf("libvirt sent %d bytes more than were asked for", -d.left)
		}
		return nil
	})
	return data, hole, err
}

// End ends a stream in the middle and waits until the server has, too: the
// connection serves another one then. libvirtd may die of connections that are
// closed in the middle of a stream: its threads are not agreed on who frees it.
func (d *Download) End(ctx context.Context) error {
	if d.ended {
		return nil
	}
	d.ended = true
	return d.s.guard(ctx, func() error {
		if err := d.s.send(procVolDownload, typeStream, d.serial, statusError, nil); err != nil {
			return err
		}
		for {
			p, err := d.s.receive(d.serial) // what was on its way comes first
			var e *Error
			if errors.As(err, &e) || err == nil && p.kind == typeStream && p.status == statusOK {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}
