package manifest_test

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("SHA1(a.ovf)= " + strings.Repeat("0f", 20) + "\r\nSHA2-256 (b c) = " + strings.Repeat("1e", 32) + "\n" + strings.Repeat("1e", 32) + " *d\n"))
	f.Add([]byte("SHA512(a(b)=c)=" + strings.Repeat("2d", 64)))
	for _, b := range ovftest.Seeds(f, 16<<10, ".mf") {
		f.Add(b)
	}
	for _, archive := range ovftest.Seeds(f, 1<<20, ".ova") {
		for r := tar.NewReader(bytes.NewReader(archive)); ; {
			h, err := r.Next()
			if err != nil {
				break
			}
			if strings.HasSuffix(h.Name, ".mf") {
				if b, err := io.ReadAll(r); err == nil {
					f.Add(b)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := manifest.Parse(b)
		if err != nil {
			return
		}
		for _, e := range m.Entries {
			if !e.Algorithm.Valid() || len(e.Digest) != e.Algorithm.HexLen() {
				t.Fatalf("entry %+v", e)
			}
		}
		written := manifest.Format(m.Entries)
		again, err := manifest.Parse(written)
		if err != nil {
			t.Fatalf("what we write is refused: %v\n%q", err, written)
		}
		if !bytes.Equal(manifest.Format(again.Entries), written) {
			t.Fatalf("not stable: %q", written)
		}
	})
}
