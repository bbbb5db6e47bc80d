package disk

// DecodeOptions are those of every format's Decode.
type DecodeOptions struct {
	// Name is what errors call the image.
	Name string
	// Workers is how many goroutines decompress and write; Processors when
	// not positive.
	Workers int
	// NoDigest leaves out the content digest, which otherwise is computed in
	// the same pass.
	NoDigest bool
	Progress Progress
	// Together digests blocks several at a time where the processor is faster at
	// that; it takes 16 MiB, and what is told of them comes later. Only decoding
	// of streamOptimized VMDKs heeds it.
	Together bool
	// OnBlock is told the digest of each block that was in the stream,
	// ascending; the others are zero. It is called only as long as the content
	// comes in ascending order, and not with NoDigest.
	OnBlock func(index int64, sum BlockSum)
	// OnContent is given the content in ascending order, in pieces that lie
	// within a block, from one goroutine; gaps are zeros. It may not keep p. An
	// error ends the conversion, and so does content that comes out of order
	// (ErrNotAscending). nil: order does not matter.
	OnContent func(p []byte, off int64) error
	// OnPlace is told, as the stream is read, that a block begins at this offset
	// of it: with the start of the stream up to the first place in front, what
	// comes from there on is a stream of its own, of this block and those behind
	// it. Only streamOptimized VMDKs with their tables behind the grains have
	// such places. It is not called before OnBlock was told of earlier blocks,
	// nor after: Decode reads ahead.
	OnPlace func(index, offset int64)
}

// LevelStored asks for no compression at all.
const LevelStored = -1

// EncodeOptions are those of every format's Encode.
type EncodeOptions struct {
	// Level is the compression level, 1 (fastest) to 9 (smallest); 0 is the
	// format's default and LevelStored no compression.
	Level int
	// Variant is the variant of the format to write, empty for its default: of
	// vhd, vhdx and vdi "dynamic" (default) or "fixed", of compressed qcow2
	// "zlib" (default) or "zstd".
	Variant string
	// Workers is how many goroutines compress; Processors when not positive.
	Workers int
	// NoDigest leaves out the content digest, which otherwise is computed in
	// the same pass.
	NoDigest bool
	// FileDigest asks package formats for the SHA-256 of what is written as
	// well: Result.FileDigest.
	FileDigest bool
	Progress   Progress
	// OnBlock is told the digest of each block read, ascending; the others are
	// zero. It is not called with NoDigest.
	OnBlock func(index int64, sum BlockSum)
}
