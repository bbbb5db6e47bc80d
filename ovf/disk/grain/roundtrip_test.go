package grain

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"io"
	"testing"
)

func checkStream(t *testing.T, what string, src, stream []byte) {
	t.Helper()
	r := stdflate.NewReader(bytes.NewReader(stream))
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%s: compress/flate inflates %d bytes to %d of %d, error %v", what, len(stream), len(got), len(src), err)
	}
	dst := make([]byte, len(src))
	n, consumed, err := Inflate(dst, stream)
	if err != nil || n != len(src) || consumed != len(stream) || !bytes.Equal(dst, src) {
		t.Fatalf("%s: %d bytes inflate to %d of %d, consumed %d, error %v", what, len(stream), n, len(src), consumed, err)
	}
	if len(stream) > StoredSize(len(src)) {
		t.Fatalf("%s: %d bytes for %d, stored takes %d", what, len(stream), len(src), StoredSize(len(src)))
	}
}

func TestDeflateGrains(t *testing.T) {
	for level := LevelStored; level <= LevelBest; level++ {
		e := NewEncoder(level)
		for i, g := range madeGrains() {
			checkStream(t, fmt.Sprintf("level %d, grain %d", level, i), g, e.Deflate(nil, g))
		}
	}
}
