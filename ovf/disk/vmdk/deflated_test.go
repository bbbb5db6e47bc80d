package vmdk_test

import (
	"bytes"
	"compress/zlib"
	"testing"
)

// deflated is a zlib stream of n equal bytes.
func deflated(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zlib.NewWriter(&b)
	if _, err := zw.Write(bytes.Repeat([]byte{7}, n)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
