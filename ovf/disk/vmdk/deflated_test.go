package vmdk_test

import (
	"bytes"
	"compress/zlib"
	"testing"
)

// deflated is a zlib stream of n equal bytes.
func deflated(t testing.TB, n int) []byte {
	t.Helper()
	return zlibOf(bytes.Repeat([]byte{7}, n))
}

func zlibOf(p []byte) []byte {
	var b bytes.Buffer
	zw := zlib.NewWriter(&b)
	_, _ = zw.Write(p) // a bytes.Buffer takes everything
	_ = zw.Close()
	return b.Bytes()
}
