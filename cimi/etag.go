package cimi

import (
	"crypto/sha256"
	"encoding/hex"
)

// ETag identifies a representation of a resource, the operations left out,
// for If-Match (4.1.7.2). It has no quotes. A Provider in process compares it
// with UpdateOptions.IfMatch.
func ETag(r Resource) string {
	c := Clone(r)
	c.Base().Operations = nil
	b, err := MarshalJSON(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
