//go:build !purego

package lanes

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

var available = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// compress takes blocks of 64 bytes, one or more, of each message into state.
//
//go:noescape
func compress(state *[8][width]uint32, messages *[width]*byte, blocks int)

// initial is the hash value of FIPS 180-4 5.3.3.
var initial = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// together hashes up to width messages; lanes that are left over hash the first
// one again.
func together(messages [][]byte, sums [][sha256.Size]byte) {
	var state [8][width]uint32
	for i := range state {
		for lane := range state[i] {
			state[i][lane] = initial[i]
		}
	}
	var at [width]*byte
	for lane := range at {
		m := messages[0]
		if lane < len(messages) {
			m = messages[lane][:len(m)]
		}
		at[lane] = &m[0]
	}
	n := len(messages[0])
	compress(&state, &at, n/sha256.BlockSize)

	// The padding of whole blocks is a block of its own, the same for all.
	var end [sha256.BlockSize]byte
	end[0] = 0x80
	binary.BigEndian.PutUint64(end[56:], uint64(n)*8)
	for lane := range at {
		at[lane] = &end[0]
	}
	compress(&state, &at, 1)
	for lane := range messages {
		for i := range state {
			binary.BigEndian.PutUint32(sums[lane][4*i:], state[i][lane])
		}
	}
}
