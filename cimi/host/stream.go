package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/files"
)

// Streams is a Store with disks that take an image from front to back, as a
// hypervisor does that wants streamOptimized VMDKs. An image that is one passes
// byte by byte as it is, while its content is digested; others are re-encoded
// as they pass.
type Streams interface {
	Store
	// Stream gives what takes the image of d, whose size is that of the file in
	// bytes, -1 where only its end will tell; nil where Disk takes the content.
	// d.CapacityBytes is what the image's disk must have at most.
	Stream(ctx context.Context, d *Disk, size int64) (ImageWriter, error)
}

// ImageWriter takes an image. It counts when it was closed without error;
// Abort ends it otherwise, and does nothing after Close.
type ImageWriter interface {
	io.WriteCloser
	Abort(err error)
}

// Attesting is an ImageWriter of a place that takes a digest itself of what
// arrives there. It proves more than one of what was sent, so it is compared with
// the manifest where that has the same.
type Attesting interface {
	ImageWriter
	// Attests names the algorithm as manifests do; empty where nothing will be told.
	Attests(ctx context.Context) string
	// Sum is the digest in hex of all that was written; known after Close, and
	// empty where nothing is told after all.
	Sum(ctx context.Context) string
}

// stream passes an image on to the disks made from it. It is false, with
// nothing read, where the store does not take streams for them.
func (a *Arrival) stream(ctx context.Context, c *files.Content, disks []*Disk, source formats.Source, target *arriving, store Store) (res disk.Result, ok bool, err error) {
	s, ok := store.(Streams)
	if !ok {
		return res, false, nil
	}
	in := bufio.NewReaderSize(c.Reader, disk.HeaderSize) // larger reads pass it by
	c.Reader = in
	head, err := in.Peek(disk.HeaderSize)
	if err != nil && err != io.EOF {
		return res, true, err
	}
	size := int64(-1)
	virtual, whole := vmdk.StreamSize(head)
	for _, d := range disks {
		// A disk larger than its image needs an image of its own.
		whole = whole && (d.CapacityBytes == 0 || kibibytes(virtual) >= kibibytes(d.CapacityBytes))
	}
	if whole && !c.File.Compressed() {
		size = c.StoredSize
	}
	var out images
	for _, d := range disks {
		w, err := s.Stream(ctx, d, size)
		if err != nil || w == nil {
			out.abort(err)
			return res, err != nil || len(out) > 0, err
		}
		out = append(out, w)
	}
	attested := whole && !c.File.Compressed() && c.Entrust(out.attests(ctx))
	progress := func(done, total int64) {
		if a.opts.Progress != nil {
			a.opts.Progress(DiskProgress{Disk: disks[0].OVFID, Done: done, Total: total})
		}
	}
	if whole {
		if res, err = formats.Decode(ctx, io.TeeReader(in, out), source, virtual, target, disk.DecodeOptions{Progress: progress, Together: true}); err == nil && !res.HasDigest {
			err = fmt.Errorf("%s: its content is not in ascending order, so it has no digest in one pass: %w", source.Name, disk.ErrUnsupported)
		}
	} else {
		source.Begin = func(info *disk.Info) error {
			own := *info
			if err := target.Begin(own); err != nil {
				return err
			}
			info.Size = max(info.Size, disks[0].CapacityBytes)
			return nil
		}
		res, err = formats.Transcode(ctx, in, source, c.ImageSize(disks[0].CapacityBytes), out, disk.VMDK, disk.EncodeOptions{Progress: progress})
		res.Info.Size = res.Digest.Size
	}
	if err != nil {
		out.abort(err)
		return res, true, err
	}
	err = out.close()
	if err == nil && attested {
		err = out.attest(ctx, c)
	}
	return res, true, err
}

func kibibytes(n int64) int64 { return (n + 1023) >> 10 }

// images writes one image to several disks.
type images []ImageWriter

func (o images) Write(p []byte) (int, error) {
	for _, w := range o {
		if n, err := w.Write(p); err != nil {
			return n, &sinkError{err}
		}
	}
	return len(p), nil
}

// attests is the algorithm of which all places tell.
func (o images) attests(ctx context.Context) (algorithm string) {
	for i, w := range o {
		a, ok := w.(Attesting)
		if !ok {
			return ""
		}
		name := a.Attests(ctx)
		if i > 0 && name != algorithm {
			return ""
		}
		algorithm = name
	}
	return algorithm
}

// attest compares what all places have taken with the manifest; where one says
// nothing, the package proves itself.
func (o images) attest(ctx context.Context, c *files.Content) error {
	var sums []string
	for _, w := range o {
		sum := w.(Attesting).Sum(ctx)
		if sum == "" {
			return c.Prove()
		}
		sums = append(sums, sum)
	}
	return c.Attest(sums...)
}

func (o images) close() error {
	var errs []error
	for _, w := range o {
		if err := w.Close(); err != nil {
			errs = append(errs, &sinkError{err})
		}
	}
	return errors.Join(errs...)
}

func (o images) abort(err error) {
	for _, w := range o {
		w.Abort(err)
	}
}

// sinkError is one of the place that takes an image, not of the image.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// noSink takes nothing: the image itself goes where the content is wanted.
type noSink struct{ most int64 }

func (s noSink) Begin(info disk.Info) error {
	if s.most > 0 && kibibytes(info.Size) > kibibytes(s.most) {
		return fmt.Errorf("the image is of a disk of %d bytes, %d were made ready for it: correct the descriptor's capacity: %w", info.Size, s.most, ErrUnsupported)
	}
	return nil
}

func (s noSink) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
