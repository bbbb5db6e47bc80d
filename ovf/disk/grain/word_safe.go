//go:build !(amd64 || arm64 || loong64 || ppc64le || riscv64) || purego

package grain

import "encoding/binary"

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }

func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

func load8(b []byte, i int) byte { return b[i] }

func store8(b []byte, i int, v byte) { b[i] = v }

func store64(b []byte, i int, v uint64) { binary.LittleEndian.PutUint64(b[i:], v) }

func copy16(b []byte, to, from int) {
	var word [16]byte
	copy(word[:], b[from:from+16])
	copy(b[to:to+16], word[:])
}

func move16(dst []byte, to int, src []byte, from int) { copy(dst[to:to+16], src[from:from+16]) }
