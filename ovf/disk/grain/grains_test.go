package grain

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const grainSize = 65536

// realGrains cuts 64 KiB grains out of /usr as a file system would hold it:
// regular files in order of their names, each starting on a 4 KiB boundary,
// a sample of evenly spaced grains of all that. Grains of zeros are left out,
// as a converter leaves them out.
var realGrains = sync.OnceValue(func() [][]byte {
	type file struct {
		path  string
		start int64
		size  int64
	}
	var files []file
	var end int64
	filepath.WalkDir("/usr", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Size() > 0 && info.Size() < 64<<20 {
			files = append(files, file{path, end, info.Size()})
			end += (info.Size() + 4095) &^ 4095
		}
		return nil
	})
	const sample = 512
	if end < sample*grainSize {
		return nil
	}
	var grains [][]byte
	at := 0
	for i := range int64(sample) {
		start := end / grainSize * i / sample * grainSize
		g := make([]byte, grainSize)
		for files[at].start+files[at].size <= start {
			at++
		}
		for j := at; j < len(files) && files[j].start < start+grainSize; j++ {
			r, err := os.Open(files[j].path)
			if err != nil {
				continue
			}
			if skip := start - files[j].start; skip > 0 {
				r.ReadAt(g, skip)
			} else {
				r.ReadAt(g[-skip:], 0)
			}
			r.Close()
		}
		if bytes.Count(g, []byte{0}) < grainSize {
			grains = append(grains, g)
		}
	}
	return grains
})

// madeGrains are generated to resemble what disks hold, in parts that real
// ones mix: prose, programs, tables, and what does not compress.
var madeGrains = sync.OnceValue(func() [][]byte {
	var grains [][]byte
	for i := range 64 {
		grains = append(grains, madeGrain(int64(i), grainSize))
	}
	return grains
})

func madeGrain(seed int64, size int) []byte {
	r := rand.New(rand.NewSource(seed))
	var b bytes.Buffer
	words := make([]string, 400)
	for i := range words {
		words[i] = strings.Map(func(c rune) rune {
			return rune("etaoinshrdlucmfwypvbgkjqxz"[int(float64(26)*r.Float64()*r.Float64())])
		}, strings.Repeat("x", 1+r.Intn(9)))
	}
	var code [64][]byte
	for i := range code {
		code[i] = make([]byte, 2+r.Intn(6))
		r.Read(code[i])
	}
	for b.Len() < size {
		part := 1024 << r.Intn(4)
		switch stop := b.Len() + part; (seed + int64(r.Intn(3))) % 8 {
		case 0, 1, 2:
			for b.Len() < stop {
				b.WriteString(words[int(400*r.Float64()*r.Float64())])
				b.WriteString([]string{" ", " ", " ", ", ", ".\n"}[r.Intn(5)])
			}
		case 3, 4, 5:
			for b.Len() < stop {
				b.Write(code[int(64*r.Float64()*r.Float64())])
				if r.Intn(3) == 0 {
					b.WriteByte(byte(r.Intn(256)))
				}
				if r.Intn(40) == 0 {
					b.Write(make([]byte, r.Intn(24)))
				}
			}
		case 6:
			for n := r.Intn(1 << 20); b.Len() < stop; n += 16 + r.Intn(64) {
				fmt.Fprintf(&b, "%08x %08x\x00\x00", n, r.Intn(4096))
			}
		case 7:
			noise := make([]byte, part)
			r.Read(noise)
			b.Write(noise)
		}
	}
	return b.Bytes()[:size:size]
}
