package disk_test

import (
	"io"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
)

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		n         int
		off, size int64
		want      int
		eof       bool
	}{
		{4, 0, 10, 4, false}, {4, 6, 10, 4, false}, {4, 7, 10, 3, true}, {4, 10, 10, 0, true}, {4, 11, 10, 0, true},
		{0, 3, 10, 0, false}, {0, 10, 10, 0, true}, {4, 0, 0, 0, true}, {4, 1<<63 - 1, 10, 0, true},
	} {
		p, err := disk.Within("x", make([]byte, c.n), c.off, c.size)
		if len(p) != c.want || (err == io.EOF) != c.eof || err != nil && err != io.EOF {
			t.Errorf("%d bytes at %d of %d: %d, %v; want %d, end %v", c.n, c.off, c.size, len(p), err, c.want, c.eof)
		}
	}
	if p, err := disk.Within("x", make([]byte, 4), -1, 10); len(p) != 0 || err == nil || !strings.Contains(err.Error(), "x: read at negative offset -1") {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}
