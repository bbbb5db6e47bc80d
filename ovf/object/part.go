package object

import "fmt"

// The limits of the protocol: at most maxParts parts of at most mostPart
// bytes. (Each but the last has 5 MiB or more, which firstPart keeps.)
const (
	maxParts = 10_000
	mostPart = 5 << 30
)

// firstPart is the size of the parts of what is not large, in bytes.
const firstPart = 8 << 20

// The parts of an upload whose length nobody knows grow with their number, so
// that small packages cost little memory and those of a terabyte fit.
var tiers = []struct {
	parts int
	size  int64
}{{2_000, firstPart}, {3_000, 32 << 20}, {3_000, 128 << 20}, {2_000, 512 << 20}}

// division says where the parts of an upload begin and end.
type division struct {
	size int64 // of each part where the length is known, else 0
}

// divide is the division of an object of at most length bytes; -1 is unknown.
func divide(length int64) (division, error) {
	if length < 0 {
		return division{}, nil
	}
	size := max(firstPart, (length+maxParts-1)/maxParts)
	size = (size + 1<<20 - 1) &^ (1<<20 - 1)
	if size > mostPart {
		return division{}, fmt.Errorf("%d bytes are more than an object can have", length)
	}
	return division{size}, nil
}

// part is the part, counted from 1, that holds the byte at off, with where it
// begins and ends. ok is false past what an object can have.
func (d division) part(off int64) (number int, start, end int64, ok bool) {
	if d.size > 0 {
		n := off / d.size
		return int(n) + 1, n * d.size, (n + 1) * d.size, n < maxParts
	}
	number = 1
	for _, t := range tiers {
		if whole := int64(t.parts) * t.size; off >= start+whole {
			start, number = start+whole, number+t.parts
			continue
		}
		n := (off - start) / t.size
		return number + int(n), start + n*t.size, start + (n+1)*t.size, true
	}
	return 0, 0, 0, false
}

// memory is what the parts on their way may take together; at least one is.
const memory = 64 << 20

// senders is how many parts of a size are sent at a time.
func senders(size int64) int { return int(min(max(memory/size, 1), 4)) }
