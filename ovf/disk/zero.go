package disk

import (
	"bytes"
	"hash"
)

// IsZero reports whether p holds nothing but zeros.
func IsZero(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	// Comparing p with itself shifted by one runs at the speed of memory and
	// stops at the first byte that differs.
	return p[0] == 0 && bytes.Equal(p[:len(p)-1], p[1:])
}

// page is how finely zeros are told from data: the block size of most file
// systems, so that a hole can be left for it.
const page = 4096

// NonZero calls f for each run of p that is not zero, told apart in pages of
// 4 KiB counted from off, with the run's offset and bytes. It stops at the
// first error.
func NonZero(off int64, p []byte, f func(off int64, p []byte) error) error {
	for len(p) > 0 {
		n := pageEnd(off, p)
		if IsZero(p[:n]) {
			off, p = off+int64(n), p[n:]
			continue
		}
		run := n
		for run < len(p) {
			n = pageEnd(off+int64(run), p[run:])
			if IsZero(p[run : run+n]) {
				break
			}
			run += n
		}
		if err := f(off, p[:run]); err != nil {
			return err
		}
		off, p = off+int64(run), p[run:]
	}
	return nil
}

// pageEnd is how many bytes of p, which lies at off, are in off's page.
func pageEnd(off int64, p []byte) int {
	return min(len(p), page-int(off%page))
}

func writeZeros(h hash.Hash, n int64) {
	var zeros [page]byte
	for n > 0 {
		k := min(n, int64(len(zeros)))
		h.Write(zeros[:k])
		n -= k
	}
}
