package stream

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Piece is data at an offset of a volume.
type Piece struct {
	Offset int64
	Data   []byte
}

// Upload writes pieces, ascending and apart from each other, into bytes
// [from, to) of a volume. What lies between them becomes a hole, which reads as
// zeros. When it returns without error libvirtd has written everything.
func (s *Conn) Upload(ctx context.Context, v Volume, from, to int64, pieces []Piece) error {
	return s.guard(ctx, func() error {
		serial, err := s.begin(procVolUpload, v, from, to-from)
		if err != nil {
			return err
		}
		pos := from
		skip := func(to int64) error {
			if to == pos {
				return nil
			}
			args := binary.BigEndian.AppendUint64(nil, uint64(to-pos))
			args = binary.BigEndian.AppendUint32(args, 0) // flags
			pos = to
			return s.send(procVolUpload, typeStreamHole, serial, statusContinue, args)
		}
		for _, p := range pieces {
			end := p.Offset + int64(len(p.Data))
			if p.Offset < pos || end > to {
				return fmt.Errorf("piece of %d bytes at %d within %d to %d", len(p.Data), p.Offset, pos, to)
			}
			if err := skip(p.Offset); err != nil {
				return err
			}
			for rest := p.Data; len(rest) > 0; {
				n := min(len(rest), maxPayload)
				if err := s.send(procVolUpload, typeStream, serial, statusContinue, rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			pos = end
		}
		if err := skip(to); err != nil {
			return err
		}
		return s.finish(procVolUpload, serial)
	})
}

// finish ends a stream and waits until the server has, too.
func (s *Conn) finish(procedure, serial uint32) error {
	if err := s.send(procedure, typeStream, serial, statusOK, nil); err != nil {
		return err
	}
	for {
		p, err := s.receive(serial)
		if err != nil {
			return err
		}
		if p.kind == typeStream && p.status == statusOK {
			return nil
		}
	}
}
