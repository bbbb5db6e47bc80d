package disk

import "context"

// Stream calls write with the content of img's data blocks, ascending, from
// one goroutine; gaps are zeros. Blocks are read and digested in parallel.
func Stream(ctx context.Context, img Image, write func(p []byte, off int64) error, opts EncodeOptions) (Result, error) {
	size := img.Size()
	res := Result{Info: img.Info()}
	digester := NewDigester(size, opts.OnBlock)
	err := eachBlock(ctx, img, size, opts.Workers, opts.tellSum(digester), nil, func(b *block) error {
		res.DataBytes += int64(b.n)
		opts.Progress.tell(b.end(), size)
		return write(b.data, b.index*BlockSize)
	})
	if err == nil && !opts.NoDigest {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	if err == nil {
		opts.Progress.tell(size, size)
	}
	return res, err
}
