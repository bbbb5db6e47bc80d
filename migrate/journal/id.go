package journal

import (
	"crypto/rand"
	"time"
)

// alphabet is Crockford's base 32 in lower case: no letter looks like a digit,
// and its order is that of the values.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID makes the id of a run: 9 characters of time in milliseconds and 3 of
// chance, so ids sort by age and fit a command line.
func NewID(now time.Time) string {
	var id [12]byte
	ms := now.UnixMilli()
	for i := 8; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	var chance [3]byte
	rand.Read(chance[:])
	for i, b := range chance {
		id[9+i] = alphabet[b&31]
	}
	return string(id[:])
}

// ValidID tells whether s can be the id of a run.
func ValidID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
