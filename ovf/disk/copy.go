package disk

import (
	"context"
	"crypto/sha256"
)

// Result says what a conversion did.
type Result struct {
	// Info is the image read: with its exact virtual size, and Allocated as
	// far as known at the end.
	Info Info
	// DataBytes is how much logical content was carried as data, in bytes.
	DataBytes int64
	// StreamBytes is the length of the encoded stream read or written.
	StreamBytes int64
	// Kept is how many bytes of a stream had to be kept in a temporary file.
	Kept int64
	// Digest is the content digest of Info.Size bytes. HasDigest is false when
	// it was not asked for, or the content came out of order.
	Digest    Digest
	HasDigest bool
	// FileDigest is the SHA-256 of the bytes written, where it was asked for.
	FileDigest [sha256.Size]byte
}

// Copy writes the content of img to sink, data extents only, ascending, reads
// blocks in parallel, and computes the content digest in the same pass. Level does not
// apply.
func Copy(ctx context.Context, img Image, sink Sink, opts EncodeOptions) (Result, error) {
	info, size := img.Info(), img.Size()
	if err := sink.Begin(info); err != nil {
		return Result{}, err
	}
	res := Result{Info: info}
	digester := NewDigester(size, opts.OnBlock)
	err := eachBlock(ctx, img, size, opts.Workers, opts.tellSum(digester), func(b *block) error {
		_, err := sink.WriteAt(b.data, b.index*BlockSize)
		return err
	}, func(b *block) error {
		res.DataBytes += int64(b.n)
		opts.Progress.tell(b.end(), size)
		return nil
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
