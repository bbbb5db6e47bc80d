// Package grain compresses and inflates the grains of virtual disks: whole
// pieces of a disk, typically 64 KiB (VMDK grains) and up to 2 MiB (qcow2
// clusters), held in memory at both ends. It implements the deflate format of
// RFC 1951 and the zlib wrapping of RFC 1950, without preset dictionaries, and
// compresses into the Zstandard format of RFC 8878, at one level.
//
// It promises:
//
//   - any data compressed at any level inflates to the same bytes with every
//     conforming decoder, and the output depends on the input and the level
//     alone, never on what an encoder compressed before;
//   - inflating never writes past the destination nor reads past the source,
//     whatever the source holds, and allocates nothing that grows with it;
//   - corrupt, truncated and too-large streams are told apart: see Error.
//
// Having the whole source and a destination of fixed size is what makes this
// faster than a streaming codec: there is no window to slide, no state to
// suspend, and bounds are checked once per margin instead of once per symbol.
package grain
