//go:build !purego

package lanes

import (
	"crypto/sha256"

	"golang.org/x/sys/cpu"
)

var available = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// compress takes blocks of 64 bytes, one or more, of each message into state.
//
//go:noescape
func compress(state *[8][width]uint32, messages *[width]*byte, blocks int)

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
	pad(&state, n)
	for lane := range messages {
		sums[lane] = sumOf(&state, lane)
	}
}
