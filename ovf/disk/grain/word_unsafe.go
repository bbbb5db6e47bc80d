//go:build (amd64 || arm64 || loong64 || ppc64le || riscv64) && !purego

package grain

import "unsafe"

// This file holds the package's only unsafe code: little-endian loads and
// stores of whole words without bounds checks, for machines that allow
// unaligned access. Callers must have proven i >= 0 and i+size <= len(b).
// Building with the tag purego replaces it with word_safe.go, where the same
// accesses are checked; the tests and fuzz targets run with both.

func load32(b []byte, i int) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

func load64(b []byte, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

func load8(b []byte, i int) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

func store8(b []byte, i int, v byte) {
	*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)) = v
}

func store64(b []byte, i int, v uint64) {
	*(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i)) = v
}

// copy16 copies 16 bytes within b from index from to index to; the ranges
// may overlap as 16 bytes read whole and then written whole.
func copy16(b []byte, to, from int) {
	p := unsafe.Pointer(unsafe.SliceData(b))
	*(*[16]byte)(unsafe.Add(p, to)) = *(*[16]byte)(unsafe.Add(p, from))
}

// move16 copies 16 bytes of src to dst.
func move16(dst []byte, to int, src []byte, from int) {
	*(*[16]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(dst)), to)) =
		*(*[16]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(src)), from))
}
