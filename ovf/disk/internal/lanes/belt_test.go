package lanes

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// TestBelt: however many messages are in it when one is waited for, each is done
// once, with the standard library's sum, and one that is added with every Step
// is done when those of all lanes have been added.
func TestBelt(t *testing.T) {
	if !available {
		t.Skip("this processor hashes one message at a time")
	}
	const length = 4 * width * sha256.BlockSize
	rng := rand.NewChaCha8([32]byte{1})
	for round := range 200 {
		belt := NewBelt[int](length)
		var messages [][]byte
		sums := map[int][sha256.Size]byte{}
		done := func(n int, sum [sha256.Size]byte) {
			if _, twice := sums[n]; twice {
				t.Fatalf("round %d: message %d is done twice", round, n)
			}
			sums[n] = sum
		}
		next := 0 // the first that is not done
		for range 3 * width {
			m := make([]byte, length)
			_, _ = rng.Read(m)
			belt.Add(m, len(messages))
			messages = append(messages, m)
			belt.Step(done)
			if rand.IntN(8) == 0 {
				belt.Finish(func(n int) bool { return n == next }, done)
				if _, ok := sums[next]; !ok {
					t.Fatalf("round %d: message %d is not done, of %d", round, next, len(messages))
				}
			}
			for ; ; next++ {
				if _, ok := sums[next]; !ok {
					break
				}
			}
			if len(messages)-next >= width || belt.Busy() != len(messages)-len(sums) {
				t.Fatalf("round %d: of %d messages %d are done, %d are busy", round, len(messages), len(sums), belt.Busy())
			}
		}
		for belt.Busy() > 0 {
			belt.Finish(func(int) bool { return true }, done)
		}
		for n, m := range messages {
			if sums[n] != sha256.Sum256(m) {
				t.Fatalf("round %d: message %d has another sum", round, n)
			}
		}
	}
}
