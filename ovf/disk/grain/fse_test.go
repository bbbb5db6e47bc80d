package grain

import (
	"math/rand"
	"testing"
)

// Codes and extra bits of all lengths, against the baselines of RFC 8878.
func TestLengthCodes(t *testing.T) {
	litLen := []uint32{16: 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}
	matchLen := []uint32{32: 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539}
	for i := range uint32(16) {
		litLen[i] = i
	}
	for i := range uint32(32) {
		matchLen[i] = i + 3
	}
	for n := range uint32(65537) {
		c := litLenCode(n)
		if base := litLen[c.code()]; base+c.extra() != n || c.extra() >= 1<<c.bits() || c.bits() != uint32(litLenExtra[c.code()]) {
			t.Fatalf("%d literals: code %d, %d extra bits: %d", n, c.code(), c.bits(), c.extra())
		}
		c = matchLenCode(n)
		if base := matchLen[c.code()]; base+c.extra() != n+zstdMinMatch || c.extra() >= 1<<c.bits() || c.bits() != uint32(matchLenExtra[c.code()]) {
			t.Fatalf("a match of %d: code %d, %d extra bits: %d", n+zstdMinMatch, c.code(), c.bits(), c.extra())
		}
	}
}

// Whatever the counts, cells are shared out in full, each symbol has one, and
// a state that codes a symbol is one that decodes to it.
func TestFseTable(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for range 3000 {
		freq := make([]uint32, 2+r.Intn(numMatchLenCodes-1))
		distinct, total := 0, uint32(0)
		for sym := range freq {
			switch r.Intn(5) {
			case 0, 1:
				freq[sym] = 1 + uint32(r.Intn(3))
			case 2:
				freq[sym] = 1 + uint32(r.ExpFloat64()*r.ExpFloat64()*500)
			}
		}
		freq[0]++
		freq[len(freq)-1]++
		for _, n := range freq {
			total += n
			if n > 0 {
				distinct++
			}
		}
		var table fseTable
		table.normalize(freq, total, fseLog(total, distinct, maxFseLog-uint(r.Intn(2))))
		sum := 0
		for sym, n := range freq {
			sum += int(table.norm[sym])
			if (n > 0) != (table.norm[sym] > 0) {
				t.Fatalf("%d: symbol %d has %d cells", freq, sym, table.norm[sym])
			}
		}
		if sum != 1<<table.log || table.symbols != len(freq) {
			t.Fatalf("%d: %d cells of %d, %d symbols", freq, sum, 1<<table.log, table.symbols)
		}
		table.build()
		owner := map[uint32]int{}
		for sym := range freq {
			for i := range table.norm[sym] {
				owner[uint32(table.next[int(table.first[sym])+int(i)])] = sym
			}
		}
		for state := uint32(1 << table.log); state < 2<<table.log; state++ {
			for sym, n := range freq {
				if n == 0 {
					continue
				}
				w := bitWriter{dst: make([]byte, 16)}
				if got := owner[table.put(&w, state, uint32(sym))]; got != sym {
					t.Fatalf("%d: state %d coding %d gives one of %d", freq, state, sym, got)
				}
			}
		}
	}
}
