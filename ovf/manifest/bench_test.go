package manifest

import (
	"bytes"
	"testing"
)

// What checking costs per byte: with the manifest known, and before it is.
func BenchmarkReader(b *testing.B) {
	content := make([]byte, 4<<20)
	mf := Format([]Entry{entry(SHA256, "a", string(content))})
	for name, known := range map[string]bool{"manifest first": true, "manifest last": false} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				c := NewChecker("pkg", Verify)
				if known {
					if err := c.SetManifest("app.mf", mf); err != nil {
						b.Fatal(err)
					}
				}
				if err := c.Reader("a", int64(len(content)), bytes.NewReader(content)).Drain(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
