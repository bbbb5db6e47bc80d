package manifest

import (
	"fmt"
	"hash"
	"path"
	"strings"
	"sync"
)

// running digests one stored file by all the algorithms it needs.
type running struct {
	hashes map[Algorithm]hash.Hash
	whole  *whole // of which this file is the next chunk; nil otherwise
}

func (c *Checker) start(name string) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &running{hashes: map[Algorithm]hash.Hash{}}
	for _, a := range c.algorithms(name) {
		f.hashes[a] = a.New()
	}
	base, number, chunk := cutChunk(name)
	if !chunk {
		return f
	}
	algorithms := c.algorithms(base)
	if len(algorithms) == 0 {
		return f
	}
	w := c.whole[base]
	if w == nil {
		w = &whole{hashes: map[Algorithm]hash.Hash{}}
		for _, a := range algorithms {
			w.hashes[a] = a.New()
		}
		c.whole[base] = w
	}
	if number == w.next && !w.broken {
		f.whole = w
	} else {
		w.broken = true
	}
	return f
}

// parallelFrom is how many bytes are worth goroutines: a manifest that comes
// last is checked by every algorithm it may use, and each is slow.
const parallelFrom = 16 << 10

func (f *running) Write(p []byte) (int, error) {
	var all []hash.Hash
	for _, h := range f.hashes {
		all = append(all, h)
	}
	if f.whole != nil {
		for _, h := range f.whole.hashes {
			all = append(all, h)
		}
	}
	if len(all) < 2 || len(p) < parallelFrom {
		for _, h := range all {
			h.Write(p)
		}
		return len(p), nil
	}
	var wait sync.WaitGroup
	for _, h := range all[1:] {
		wait.Go(func() { h.Write(p) })
	}
	all[0].Write(p)
	wait.Wait()
	return len(p), nil
}

// digested says whether any digest is taken.
func (f *running) digested() bool { return len(f.hashes) > 0 || f.whole != nil }

func (f *running) endOfChunk() {
	if f.whole != nil {
		f.whole.next++
	}
}

func (f *running) digests() digests { return sums(f.hashes) }

// whole digests a chunked file across its chunks.
type whole struct {
	hashes map[Algorithm]hash.Hash
	next   int
	broken bool // a chunk came out of order
	relied bool // a chunk has no line of its own
}

func (w *whole) complete() bool   { return w.next > 0 && !w.broken }
func (w *whole) digests() digests { return sums(w.hashes) }

func sums(hashes map[Algorithm]hash.Hash) digests {
	d := digests{}
	for a, h := range hashes {
		d[a] = hexOf(h.Sum(nil))
	}
	return d
}

// wholeName is the name under which chunks of a file listed as name are kept.
func wholeName(name string) string {
	if strings.Contains(name, "://") {
		return name
	}
	return path.Clean(name)
}

// cutChunk splits the name of a chunk, name.000000000 (DSP0243 7.1).
func cutChunk(name string) (base string, number int, ok bool) {
	const digits = len("000000000")
	dot := len(name) - digits - 1
	if dot <= 0 || name[dot] != '.' {
		return "", 0, false
	}
	for _, d := range []byte(name[dot+1:]) {
		if d < '0' || d > '9' {
			return "", 0, false
		}
		number = number*10 + int(d-'0')
	}
	return name[:dot], number, true
}

// ChunkName is the stored name of a chunk of the file that References call
// href (DSP0243 7.1).
func ChunkName(href string, number int) string { return fmt.Sprintf("%s.%09d", href, number) }

// CutChunk splits the stored name of a chunk into the name of the whole and
// the number of the chunk, counted from 0.
func CutChunk(name string) (href string, number int, ok bool) { return cutChunk(name) }
