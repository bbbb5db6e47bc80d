package lanes

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// TestSum: whatever the number and the length of messages, the sums are the
// standard library's.
func TestSum(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{})
	if !available {
		t.Log("this processor hashes one message at a time: nothing but the standard library is tested")
	}
	for _, n := range []int{0, 1, 63, 64, 65, 128, 4096, 1 << 20} {
		for _, count := range []int{0, 1, worth - 1, worth, width - 1, width, width + 1, 2*width + worth + 1} {
			if n == 1<<20 && count > width+1 {
				continue
			}
			messages, sums := make([][]byte, count), make([][sha256.Size]byte, count)
			for i := range messages {
				messages[i] = make([]byte, n)
				_, _ = rng.Read(messages[i])
			}
			Sum(messages, sums)
			for i, m := range messages {
				if sums[i] != sha256.Sum256(m) {
					t.Fatalf("message %d of %d, of %d bytes: another sum", i, count, n)
				}
			}
		}
	}
}

// BenchmarkSum beside the standard library, a block of the content digest each.
func BenchmarkSum(b *testing.B) {
	messages, sums := make([][]byte, width), make([][sha256.Size]byte, width)
	for i := range messages {
		messages[i] = make([]byte, 1<<20)
	}
	b.Run("together", func(b *testing.B) {
		b.SetBytes(width << 20)
		for b.Loop() {
			Sum(messages, sums)
		}
	})
	b.Run("alone", func(b *testing.B) {
		b.SetBytes(width << 20)
		for b.Loop() {
			for i, m := range messages {
				sums[i] = sha256.Sum256(m)
			}
		}
	})
}
