package relay

import "testing"

// TestTaken: a disk that has passed whole is being ended, whatever way its parts
// came, unless another is on its way.
func TestTaken(t *testing.T) {
	const m = 1 << 20
	type part struct {
		file      string
		off, end  int64
		want      bool
		forgotten bool // begin with nothing
	}
	var k Taken
	for i, p := range []part{
		{"a", 0, 10 * m, false, true},
		{"a", 10 * m, 40 * m, true, false},
		{"b", 0, ahead, true, false}, // waits in a buffer
		{"b", ahead, ahead + 1, false, false},
		{"b", ahead + 1, 50 * m, true, false},
		// In pieces, and one twice.
		{"a", 30 * m, 40 * m, false, true},
		{"a", 0, 10 * m, false, false},
		{"a", 5 * m, 20 * m, false, false},
		{"a", 20 * m, 30 * m, true, false},
		// Where an earlier attempt broke off.
		{"a", 0, m / 2, false, true},
		{"a", 20 * m, 30 * m, false, false},
		{"a", 30 * m, 40 * m, true, false},
		// The tables at its end first.
		{"a", 39 * m, 40 * m, false, true},
		{"a", 0, 20 * m, false, false},
		// What is not of it.
		{"a", -m, 0, false, true},
		{"a", 40 * m, 50 * m, false, false},
	} {
		if p.forgotten {
			k = Taken{}
		}
		size := int64(40 * m)
		if p.file == "b" {
			size = 50 * m
		}
		k.Pass(p.file, p.off, p.end, size)
		if got := k.Ending(); got != p.want {
			t.Errorf("%d: %s %d–%d: ending %v", i, p.file, p.off, p.end, got)
		}
	}
}
