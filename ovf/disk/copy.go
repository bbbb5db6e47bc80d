package disk

import "context"

// CopyOptions are those of Copy.
type CopyOptions struct {
	// NoDigest leaves out the content digest, which otherwise is computed in
	// the same pass.
	NoDigest bool
	Progress Progress
	// OnBlock is told the digest of each block read, ascending; the others are
	// zero. It is not called with NoDigest.
	OnBlock func(index int64, sum BlockSum)
}

// Result says what a conversion did.
type Result struct {
	// Info is the image read: with its exact virtual size, and Allocated as
	// far as known at the end.
	Info Info
	// DataBytes is how much logical content was carried as data, in bytes.
	DataBytes int64
	// StreamBytes is the length of the encoded stream read or written.
	StreamBytes int64
	// Digest is the content digest of Info.Size bytes. HasDigest is false when
	// it was not asked for, or the content came out of order.
	Digest    Digest
	HasDigest bool
}

// Copy writes the content of img to sink, data extents only, blocks in
// parallel, and computes the content digest in the same pass.
func Copy(ctx context.Context, img Image, sink Sink, opts CopyOptions) (Result, error) {
	info, size := img.Info(), img.Size()
	if err := sink.Begin(info); err != nil {
		return Result{}, err
	}
	res := Result{Info: info}
	digester := NewDigester(size, opts.OnBlock)
	err := eachBlock(ctx, img, size, func(b *block) error {
		if !opts.NoDigest {
			b.sum = SumBlock(b.data)
		}
		_, err := sink.WriteAt(b.data, b.index*BlockSize)
		return err
	}, func(b *block) error {
		res.DataBytes += int64(b.n)
		opts.Progress.tell(b.end(), size)
		if opts.NoDigest {
			return nil
		}
		return digester.WriteBlock(b.index, b.sum)
	})
	if err != nil {
		return res, err
	}
	if !opts.NoDigest {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	opts.Progress.tell(size, size)
	return res, nil
}

// DecodeOptions are those of every format's Decode.
type DecodeOptions struct {
	// Name is what errors call the image.
	Name string
	// Workers is how many goroutines decompress and write; GOMAXPROCS when
	// not positive.
	Workers int
	// NoDigest leaves out the content digest, which otherwise is computed in
	// the same pass.
	NoDigest bool
	Progress Progress
	// OnBlock is told the digest of each block that was in the stream,
	// ascending; the others are zero. It is called only as long as the content
	// comes in ascending order, and not with NoDigest.
	OnBlock func(index int64, sum BlockSum)
}

// LevelStored asks for no compression at all.
const LevelStored = -1

// EncodeOptions are those of every format's Encode.
type EncodeOptions struct {
	// Level is the compression level, 1 (fastest) to 9 (smallest); 0 is the
	// format's default and LevelStored no compression.
	Level int
	// Workers is how many goroutines compress; GOMAXPROCS when not positive.
	Workers int
	// NoDigest leaves out the content digest, which otherwise is computed in
	// the same pass.
	NoDigest bool
	Progress Progress
	// OnBlock is told the digest of each block read, ascending; the others are
	// zero. It is not called with NoDigest.
	OnBlock func(index int64, sum BlockSum)
}
