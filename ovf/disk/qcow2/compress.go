package qcow2

import (
	"context"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/grain"
	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

// compressor compresses clusters, for one worker, by one of these.
type compressor struct {
	deflate *grain.Encoder
	fast    *grain.ZstdEncoder
	zstd    *zstd.Encoder
}

func newCompressor(level int, useZstd bool) (*compressor, error) {
	if !useZstd {
		if level == 0 {
			level = grain.LevelDefault
		}
		return &compressor{deflate: grain.NewEncoder(level)}, nil
	}
	// By default the fastest: whoever asks for zstd is in a hurry.
	if level < slowerZstd {
		return &compressor{fast: grain.NewZstdEncoder()}, nil
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(writtenCluster), zstd.WithLowerEncoderMem(true))
	return &compressor{zstd: e}, err
}

// slowerZstd is the first level for which the zstd library has more than its
// fastest search.
const slowerZstd = 3

func (c *compressor) append(dst, src []byte) []byte {
	switch {
	case c.fast != nil:
		return c.fast.Append(dst, src)
	case c.zstd != nil:
		return c.zstd.EncodeAll(src, dst)
	}
	return c.deflate.Deflate(dst, src)
}

func (c *compressor) close() {
	if c.zstd != nil {
		c.zstd.Close()
	}
}

// packed is the work unit of compressing: the clusters of one block.
type packed struct {
	index int64
	n     int
	data  []byte
	out   []byte // compressed clusters, one after the other
	parts []part
	sum   disk.BlockSum
	carry int64
}

// part is a cluster that is not zero.
type part struct {
	off    int64  // of the disk
	packed []byte // empty where the cluster does not compress
	plain  []byte
	at     int64 // byte offset in the image
}

// compress writes the clusters of img, compressed where that makes them
// smaller.
func (w *writer) compress(ctx context.Context, img disk.Image, opts disk.EncodeOptions) (disk.Result, error) {
	size := img.Size()
	res := disk.Result{Info: img.Info()}
	digester := disk.NewDigester(size, opts.OnBlock)
	workers := inorder.Count(opts.Workers)
	// Those that no worker uses just now.
	compressors := make(chan *compressor, workers)
	for range workers {
		c, err := newCompressor(opts.Level, w.zstd)
		if err != nil {
			return res, err
		}
		defer c.close()
		compressors <- c
	}
	err := inorder.Pass[packed]{
		Workers: workers,
		New:     func() *packed { return &packed{data: disk.NewBuffer()} },
		Numbers: func(ctx context.Context) iter.Seq2[int64, error] { return disk.DataBlocks(ctx, img, size) },
		Work: func(_ context.Context, b *packed, index int64) error {
			b.index, b.n = index, int(min(disk.BlockSize, size-index*disk.BlockSize))
			if err := disk.ReadFull(img, b.data[:b.n], b.index*disk.BlockSize); err != nil {
				return err
			}
			if !opts.NoDigest {
				b.sum = disk.SumBlock(b.data[:b.n])
			}
			c := <-compressors
			defer func() { compressors <- c }()
			b.pack(c)
			return nil
		},
		Finish: func(b *packed) error {
			if err := w.place(b); err != nil {
				return err
			}
			return b.write(w.file)
		},
		Deliver: func(b *packed) error {
			res.DataBytes += b.carry
			if opts.Progress != nil {
				opts.Progress(b.index*disk.BlockSize+int64(b.n), size)
			}
			if opts.NoDigest {
				return nil
			}
			return digester.WriteBlock(b.index, b.sum)
		},
	}.Run(ctx)
	if err != nil {
		return res, err
	}
	if !opts.NoDigest {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	if opts.Progress != nil {
		opts.Progress(size, size)
	}
	return res, nil
}

// pack compresses the block's clusters that are not zero.
func (b *packed) pack(c *compressor) {
	clear(b.data[b.n:])
	b.out, b.parts, b.carry = b.out[:0], b.parts[:0], 0
	if cap(b.out) == 0 {
		b.out = make([]byte, 0, disk.BlockSize+64<<10)
	}
	type span struct{ from, to int }
	var spans [disk.BlockSize / writtenCluster]span
	for at := 0; at < b.n; at += writtenCluster {
		plain := b.data[at : at+writtenCluster]
		if disk.IsZero(plain) {
			continue
		}
		b.carry += int64(min(writtenCluster, b.n-at))
		start := len(b.out)
		b.out = c.append(b.out, plain)
		if len(b.out)-start >= writtenCluster {
			b.out = b.out[:start]
		}
		spans[len(b.parts)] = span{start, len(b.out)}
		b.parts = append(b.parts, part{off: b.index*disk.BlockSize + int64(at), plain: plain})
	}
	// The slices are taken when out has stopped moving.
	for i := range b.parts {
		b.parts[i].packed = b.out[spans[i].from:spans[i].to]
	}
}

// write writes the clusters; packed ones that lie one after the other in one
// go.
func (b *packed) write(file disk.File) error {
	for i := 0; i < len(b.parts); i++ {
		p := &b.parts[i]
		if len(p.packed) == 0 {
			if err := disk.WriteData(file, p.plain, p.at); err != nil {
				return err
			}
			continue
		}
		run := p.packed
		for i+1 < len(b.parts) && len(b.parts[i+1].packed) > 0 && b.parts[i+1].at == p.at+int64(len(run)) {
			i++
			run = run[:len(run)+len(b.parts[i].packed)]
		}
		if _, err := file.WriteAt(run, p.at); err != nil {
			return err
		}
	}
	return nil
}

// place finds the places of the block's clusters.
func (w *writer) place(b *packed) (err error) {
	for i := range b.parts {
		p := &b.parts[i]
		if len(p.packed) == 0 {
			p.at, err = w.placePlain(p.off)
		} else {
			p.at, err = w.placePacked(p.off, int64(len(p.packed)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// placePacked is the place of the n compressed bytes of the cluster at off of
// the disk: behind what came before, at any byte.
func (w *writer) placePacked(off, n int64) (int64, error) {
	if err := w.enter(off / writtenCluster / entriesInL2); err != nil {
		return 0, err
	}
	at := w.next
	w.next += n
	sectors := (at%512 + n + 511) / 512
	const offsetBits = 62 - (writtenBits - 8)
	w.put(off, compressedBit|uint64(sectors-1)<<offsetBits|uint64(at))
	// The sectors named count, which end in the same cluster as the bytes.
	for c := at / writtenCluster; c <= (at+n-1)/writtenCluster; c++ {
		if err := w.refs.add(c * writtenCluster); err != nil {
			return 0, err
		}
	}
	return at, nil
}
