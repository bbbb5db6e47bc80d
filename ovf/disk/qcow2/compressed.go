package qcow2

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/grain"
)

// maxKept bounds the inflated clusters kept for reads smaller than a cluster.
const maxKept = 4

// clusterCache keeps the last clusters inflated for partial reads, and what
// inflating takes.
type clusterCache struct {
	mu   sync.Mutex
	kept []keptCluster // most recent last
	free []*inflater
}

type keptCluster struct {
	g    int64
	data []byte
}

// readCompressed reads from byte skip of the compressed cluster g.
func (m *Image) readCompressed(p []byte, g int64, c cluster, skip int64) error {
	cc := &m.clusters
	cc.mu.Lock()
	for _, k := range cc.kept {
		if k.g == g {
			copy(p, k.data[skip:])
			cc.mu.Unlock()
			return nil
		}
	}
	in := &inflater{}
	if n := len(cc.free); n > 0 {
		in, cc.free = cc.free[n-1], cc.free[:n-1]
	}
	cc.mu.Unlock()

	dst := p
	if int64(len(p)) < m.h.clusterSize() {
		dst = make([]byte, m.h.clusterSize())
	}
	err := m.inflate(in, dst, c)

	cc.mu.Lock()
	defer cc.mu.Unlock()
	if len(cc.free) < maxKept {
		cc.free = append(cc.free, in)
	}
	if err != nil || len(dst) == len(p) {
		return err
	}
	copy(p, dst[skip:])
	if len(cc.kept) >= maxKept {
		cc.kept = append(cc.kept[:0], cc.kept[1:]...)
	}
	cc.kept = append(cc.kept, keptCluster{g, dst})
	return nil
}

// inflater is what inflating a cluster takes, to be reused.
type inflater struct {
	src  []byte
	zstd *zstd.Decoder
}

// inflate fills dst with the compressed cluster c. What c.n counts beyond the
// compressed bytes is not looked at: it may belong to the next cluster.
func (m *Image) inflate(in *inflater, dst []byte, c cluster) error {
	if int64(cap(in.src)) < c.n {
		in.src = make([]byte, c.n)
	}
	src := in.src[:c.n]
	if err := disk.ReadFull(m.r, src, c.at); err != nil {
		return err
	}
	n, err := 0, error(nil)
	if m.h.compression == compressionZstd {
		n, err = in.inflateZstd(dst, src)
	} else {
		n, _, err = grain.Inflate(dst, src)
	}
	if err == nil && n < len(dst) {
		err = fmt.Errorf("it inflates to %d", n)
	}
	if err != nil {
		return &disk.CorruptError{Name: m.name, Format: disk.QCOW2, Offset: c.at, Expected: fmt.Sprintf("a compressed cluster of %d bytes", len(dst)), Err: err}
	}
	return nil
}

// inflateZstd decodes as much of src as fills dst.
func (in *inflater) inflateZstd(dst, src []byte) (int, error) {
	if in.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return 0, err
		}
		in.zstd = d
	}
	if err := in.zstd.Reset(bytes.NewReader(src)); err != nil {
		return 0, err
	}
	return io.ReadFull(in.zstd, dst)
}
