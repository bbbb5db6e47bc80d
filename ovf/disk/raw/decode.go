package raw

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

type piece struct {
	index int64
	buf   []byte
	data  []byte
	zero  bool
	sum   disk.BlockSum
}

// Decode writes the raw disk of size bytes that r streams to sink, finding
// zeros on the way. A stream that is shorter or longer than size is corrupt;
// r is read to its end.
func Decode(ctx context.Context, r io.Reader, size int64, sink disk.Sink, opts disk.DecodeOptions) (disk.Result, error) {
	res := disk.Result{Info: disk.Info{Format: disk.Raw, Size: size, Allocated: -1}}
	if size < 0 {
		return res, fmt.Errorf("raw: a stream needs its size declared, got %d", size)
	}
	if err := sink.Begin(res.Info); err != nil {
		return res, err
	}
	corrupt := func(off int64, got string) error {
		return &disk.CorruptError{Name: opts.Name, Format: disk.Raw, Offset: off, Expected: fmt.Sprintf("%d bytes as declared", size), Got: got}
	}
	digester := disk.NewDigester(size, opts.OnBlock)
	err := inorder.Line[piece]{
		Workers: opts.Workers,
		New:     func() *piece { return &piece{buf: make([]byte, disk.BlockSize)} },
		Produce: func(ctx context.Context, next func() (*piece, error), submit func(*piece)) error {
			for off := int64(0); off < size; off += disk.BlockSize {
				p, err := next()
				if err != nil {
					return err
				}
				p.index, p.data = off/disk.BlockSize, p.buf[:min(disk.BlockSize, size-off)]
				n, err := io.ReadFull(r, p.data)
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					return corrupt(off+int64(n), "the end of the stream")
				}
				if err != nil {
					return err
				}
				submit(p)
			}
			var one [1]byte
			switch _, err := io.ReadFull(r, one[:]); {
			case err == nil:
				return corrupt(size, "more")
			case !errors.Is(err, io.EOF):
				return err
			}
			return nil
		},
		Work: func(_ context.Context, _ int, p *piece) error {
			if p.zero = disk.IsZero(p.data); p.zero {
				return nil
			}
			if !opts.NoDigest {
				p.sum = disk.SumBlock(p.data)
			}
			_, err := sink.WriteAt(p.data, p.index*disk.BlockSize)
			return err
		},
		Deliver: func(p *piece) error {
			done := p.index*disk.BlockSize + int64(len(p.data))
			res.StreamBytes = done
			if opts.Progress != nil {
				opts.Progress(done, size)
			}
			if p.zero {
				return nil
			}
			res.DataBytes += int64(len(p.data))
			if opts.OnContent != nil {
				if err := opts.OnContent(p.data, p.index*disk.BlockSize); err != nil {
					return err
				}
			}
			if opts.NoDigest {
				return nil
			}
			return digester.WriteBlock(p.index, p.sum)
		},
	}.Run(ctx)
	if err == nil && !opts.NoDigest {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	return res, err
}

// Encode writes the content of img, zeros included, to w. Level does not apply.
func Encode(ctx context.Context, img disk.Image, w io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	stream := &streamSink{w: w}
	res, err := disk.Stream(ctx, img, stream.write, opts)
	if err == nil {
		err = stream.zeros(img.Size())
	}
	res.StreamBytes = stream.off
	return res, err
}

// Stream is a sink of content in ascending order that writes a raw disk front to
// back, zeros in the gaps. Begin is the Sink's.
type Stream struct {
	out  streamSink
	size int64
}

// NewStream makes a Stream that writes to w.
func NewStream(w io.Writer) *Stream { return &Stream{out: streamSink{w: w}} }

func (s *Stream) Begin(info disk.Info) error {
	s.size = info.Size
	return nil
}

// Content writes p, which lies at off; see disk.DecodeOptions.OnContent.
func (s *Stream) Content(p []byte, off int64) error { return s.out.write(p, off) }

// WriteAt does nothing: the same content comes in order.
func (s *Stream) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// Finish writes the zeros at the end, and gives the length of the stream in
// bytes.
func (s *Stream) Finish() (int64, error) {
	err := s.out.zeros(s.size)
	return s.out.off, err
}

// streamSink turns ascending writes with gaps into a stream with zeros.
type streamSink struct {
	w     io.Writer
	off   int64
	zeroP []byte
}

func (s *streamSink) write(p []byte, off int64) error {
	if err := s.zeros(off); err != nil {
		return err
	}
	n, err := s.w.Write(p)
	s.off += int64(n)
	return err
}

func (s *streamSink) zeros(to int64) error {
	if s.zeroP == nil {
		s.zeroP = make([]byte, 256<<10)
	}
	for s.off < to {
		n, err := s.w.Write(s.zeroP[:min(int64(len(s.zeroP)), to-s.off)])
		s.off += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
