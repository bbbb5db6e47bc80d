package manifest

import (
	"encoding"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
)

// ReaderFrom is Reader for a file of which a part has passed before: r gives
// what comes behind it.
func (c *Checker) ReaderFrom(name string, size int64, from ovf.Passed, r io.Reader) (*Reader, error) {
	out := c.Reader(name, size, r)
	if from.Offset == 0 {
		return out, nil
	}
	out.read, out.resumed = from.Offset, true
	if out.file.whole != nil {
		return nil, fmt.Errorf("%s: %s: the digest of a chunk does not go on", c.pkg, name)
	}
	for a, h := range out.file.hashes {
		state, ok := h.(encoding.BinaryUnmarshaler)
		if !ok || from.Hashes[string(a)] == nil {
			return nil, fmt.Errorf("%s: %s: no %s of the first %d bytes is known", c.pkg, name, a, from.Offset)
		}
		if err := state.UnmarshalBinary(from.Hashes[string(a)]); err != nil {
			return nil, fmt.Errorf("%s: %s: the %s of its first %d bytes: %w", c.pkg, name, a, from.Offset, err)
		}
	}
	return out, nil
}

// Passed is how far the file has come; see ovf.Passage.
func (r *Reader) Passed() (ovf.Passed, bool) {
	p := ovf.Passed{Offset: r.read, Hashes: map[string][]byte{}}
	if r.file.whole != nil || r.entrusted != nil {
		return p, false
	}
	for a, h := range r.file.hashes {
		state, ok := h.(encoding.BinaryMarshaler)
		if !ok {
			return p, false
		}
		b, err := state.MarshalBinary()
		if err != nil {
			return p, false
		}
		p.Hashes[string(a)] = b
	}
	return p, true
}

// Advance is how far a file has come when b has passed behind p.
func Advance(p ovf.Passed, b []byte) (ovf.Passed, error) {
	out := ovf.Passed{Offset: p.Offset + int64(len(b)), Hashes: map[string][]byte{}}
	for name, state := range p.Hashes {
		a := Algorithm(name)
		if !a.Valid() {
			return out, fmt.Errorf("unknown digest algorithm %q", name)
		}
		h := a.New()
		kept, ok := h.(encoding.BinaryUnmarshaler)
		if !ok {
			return out, fmt.Errorf("the state of %s cannot be kept", name)
		}
		if err := kept.UnmarshalBinary(state); err != nil {
			return out, fmt.Errorf("the state of %s: %w", name, err)
		}
		h.Write(b)
		next, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return out, err
		}
		out.Hashes[name] = next
	}
	return out, nil
}
