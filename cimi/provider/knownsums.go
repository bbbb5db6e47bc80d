package provider

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/scratch"
)

// knownSums are the sums of blocks of disks that were read for somebody, for as
// long as nothing else writes to the disks: whoever proves a delta need not have
// them read again. They live in temporary files, and no longer than the process.
type knownSums struct {
	mu     sync.Mutex
	byDisk map[string]*diskSums
}

const (
	// sumsIdle is how long those of a disk are kept that nobody asks for.
	sumsIdle = time.Hour
	// mostSummed is how many disks there are sums of at the most.
	mostSummed = 64
)

type diskSums struct {
	mu      sync.Mutex
	version string // of the image that they are of; empty while it is written to
	known   []byte // a bit for each block
	file    *scratch.File
	used    time.Time // mu of knownSums is held for it
}

// of gives those of a disk that is in a version now; nil where there are none and
// none are wanted, or no more can be kept.
func (k *knownSums) of(key, version string, blocks int64, wanted bool) *diskSums {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, s := range k.byDisk {
		if time.Since(s.used) > sumsIdle {
			k.dropLocked(id)
		}
	}
	s := k.byDisk[key]
	if s != nil && !s.is(version, blocks) {
		k.dropLocked(key)
		s = nil
	}
	if s == nil && wanted && version != "" && len(k.byDisk) < mostSummed {
		file, err := scratch.Create("", "sums of disks")
		if err != nil {
			return nil // they are computed again, then
		}
		if k.byDisk == nil {
			k.byDisk = map[string]*diskSums{}
		}
		s = &diskSums{version: version, known: make([]byte, (blocks+7)/8), file: file}
		k.byDisk[key] = s
	}
	if s != nil {
		s.used = time.Now()
	}
	return s
}

// drop forgets those of a disk.
func (k *knownSums) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropLocked(key)
}

func (k *knownSums) dropLocked(key string) {
	if s := k.byDisk[key]; s != nil {
		delete(k.byDisk, key)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.version = "" // who still has it finds nothing in it
		_ = s.file.Close()
	}
}

func (k *knownSums) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.byDisk {
		k.dropLocked(key)
	}
}

func (s *diskSums) is(version string, blocks int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version == version && int64(len(s.known)) == (blocks+7)/8
}

// get is the sum of a block, where it is known of a version.
func (s *diskSums) get(version string, block int64) (sum disk.BlockSum, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version == "" || s.version != version || s.known[block/8]&(1<<(block%8)) == 0 {
		return sum, false, nil
	}
	_, err = s.file.ReadAt(sum[:], block*int64(len(sum)))
	return sum, err == nil, err
}

// put keeps sums of blocks from first on that were read of a version.
func (s *diskSums) put(version string, first int64, sums []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version == "" || s.version != version {
		return
	}
	if _, err := s.file.WriteAt(sums, first*cimi.BlockSumLen); err != nil {
		return // they are computed again, then
	}
	for i := first; i < first+int64(len(sums))/cimi.BlockSumLen; i++ {
		s.known[i/8] |= 1 << (i % 8)
	}
}

// writing forgets the sums of what is about to be written, and all until written
// says which version of the disk that has made. A disk that somebody else has
// written to meanwhile has none.
func (s *diskSums) writing(version string, blocks []host.Block) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version == "" || s.version != version {
		return false
	}
	s.version = ""
	for _, b := range blocks {
		for i := b.Offset / cimi.BlockUnit; i <= (b.Offset+b.Length-1)/cimi.BlockUnit; i++ {
			s.known[i/8] &^= 1 << (i % 8)
		}
	}
	return true
}

func (s *diskSums) written(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// open gives the sums of an image, known ones as they are known; nil where none
// can be kept of it. The image is closed with them, or on error.
func (k *knownSums) open(ctx context.Context, key string, img disk.Image) (cimi.Content, error) {
	version := imageVersion(img)
	s := k.of(key, version, (img.Size()+cimi.BlockUnit-1)/cimi.BlockUnit, true)
	if s == nil {
		return nil, nil
	}
	sums, err := disk.NewUnitSums(ctx, img, cimi.BlockUnit, cimi.BlockSumLen)
	if err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return rememberedSums{blockSums{UnitSums: sums, img: img, version: etagOf(version)}, s, version}, nil
}

// rememberedSums computes what is not known, and keeps it.
type rememberedSums struct {
	blockSums
	of *diskSums
	at string
}

func (r rememberedSums) ReadAt(p []byte, off int64) (n int, err error) {
	size := r.Size()
	if off < 0 || off >= size {
		return r.blockSums.ReadAt(p, off)
	}
	end := min(off+int64(len(p)), size)
	first, last := off/cimi.BlockSumLen, (end+cimi.BlockSumLen-1)/cimi.BlockSumLen
	all := make([]byte, (last-first)*cimi.BlockSumLen)
	place := func(i int64) []byte { return all[(i-first)*cimi.BlockSumLen:] }
	compute := func(from, to int64) error {
		if from == to {
			return nil
		}
		b := place(from)[:(to-from)*cimi.BlockSumLen]
		if _, err := r.blockSums.ReadAt(b, from*cimi.BlockSumLen); err != nil && err != io.EOF {
			return err
		}
		r.of.put(r.at, from, b)
		return nil
	}
	from := first
	for i := first; i < last; i++ {
		sum, ok, err := r.of.get(r.at, i)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		if err := compute(from, i); err != nil {
			return 0, err
		}
		copy(place(i), sum[:])
		from = i + 1
	}
	if err := compute(from, last); err != nil {
		return 0, err
	}
	n = copy(p, all[off-first*cimi.BlockSumLen:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
