//go:build !purego

package grain

import "golang.org/x/sys/cpu"

var adlerVector = cpu.X86.HasAVX2

// adlerSums are, of blocks of 32 bytes at p, no more than adlerRun bytes, the
// sum of all bytes and the sum of each times the number of bytes from it to the end.
//
//go:noescape
func adlerSums(p *byte, blocks int) (sum, weighted uint64)
