package relay

import "sync"

// ahead bounds what of a disk may wait in buffers between the source and a
// destination that has not asked for it yet, in bytes: chunks that are read
// ahead, and those of both ends of a connection.
const ahead = chunks*chunkSize + 12<<20

// Taken tells a destination that ends a disk which it has got from one to which
// bytes are owed. Its zero value is ready; it may be used concurrently.
type Taken struct {
	mu    sync.Mutex
	files map[string]*taken
}

// taken is what has passed of the stored file of one disk.
type taken struct {
	size  int64
	parts []span // ascending, apart from each other
}

// Pass notes that the bytes from off to end of a disk's stored file, or of a
// chunk of it, have passed, of size.
func (t *Taken) Pass(file string, off, end, size int64) {
	if off, end = max(0, off), min(end, size); off >= end {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.files[file]
	if d == nil {
		if t.files == nil {
			t.files = map[string]*taken{}
		}
		d = &taken{}
		t.files[file] = d
	}
	d.size = size
	d.add(off, end)
}

// add merges a part with those that it touches.
func (d *taken) add(off, end int64) {
	var kept []span
	for _, p := range d.parts {
		if p.offset+p.size < off || p.offset > end {
			kept = append(kept, p)
			continue
		}
		off, end = min(off, p.offset), max(end, p.offset+p.size)
	}
	at := 0
	for at < len(kept) && kept[at].offset < off {
		at++
	}
	kept = append(kept, span{})
	copy(kept[at+1:], kept[at:])
	kept[at] = span{off, end - off}
	d.parts = kept
}

// whole: the destination has got what it has asked for. One that goes on where
// an earlier attempt broke off takes the head, and then the rest from there.
func (d *taken) whole() bool {
	last := d.parts[len(d.parts)-1]
	if last.offset+last.size < d.size {
		return false
	}
	return d.parts[0].offset == 0 && (len(d.parts) == 1 || len(d.parts) == 2 && d.parts[0].size <= maxHead)
}

// Ending tells whether the destination has a disk to end and nothing to wait
// for meanwhile: at least one has passed whole, and no other is on its way.
func (t *Taken) Ending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := false
	for _, d := range t.files {
		last := d.parts[len(d.parts)-1]
		switch {
		case d.whole():
			ended = true
		case last.offset+last.size > ahead:
			return false
		}
	}
	return ended
}
