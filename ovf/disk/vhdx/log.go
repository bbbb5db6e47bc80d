package vhdx

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	logSector      = 4 * kib
	logHeaderLen   = 64
	descriptorLen  = 32
	descriptorData = "desc"
	descriptorZero = "zero"

	// maxLog bounds the log that is looked at, which is written as a few MiB.
	maxLog = 64 * mib
)

// entry is one log entry ([MS-VHDX] 2.3.1).
type entry struct {
	sequence uint64
	tail     int64 // of its sequence: offset in the log
	length   int64
	flushed  int64 // the file was at least that long
	last     int64 // and must be
	patches  []patch
}

// patch is what an entry says of a part of the file.
type patch struct {
	at, n int64
	data  []byte // nil for zeros
}

// replay is r, of length bytes, as it is when the log's active sequence has
// been written ([MS-VHDX] 2.3.3).
func replay(r io.ReaderAt, length int64, h *header, name string) (io.ReaderAt, int64, error) {
	if h.logLen > maxLog {
		return nil, 0, unsupported(name, "a dirty log of %d bytes", h.logLen)
	}
	log := make([]byte, h.logLen)
	if err := disk.ReadFull(r, log, h.logAt); err != nil {
		return nil, 0, err
	}
	active := activeSequence(log, h.log)
	if active == nil {
		return nil, 0, corrupt(name, h.logAt, "a log that can be replayed, as the header says there is one", "none")
	}
	p := &patched{r: r, length: length}
	for _, e := range active {
		if e.flushed > length {
			return nil, 0, corrupt(name, h.logAt, fmt.Sprintf("the %d bytes that the log says were written", e.flushed), fmt.Sprintf("an image of %d", length))
		}
		p.patches = append(p.patches, e.patches...)
		p.size = max(p.size, e.last)
	}
	p.size = max(p.size, length)
	return p, p.size, nil
}

// activeSequence is the valid sequence of entries with the highest number: one
// that begins at the tail which its last entry names.
func activeSequence(log []byte, id guid) []*entry {
	var best []*entry
	// An entry is read once: sequences that begin within another are not better.
	entries := map[int64]*entry{}
	// Sound entries do not overlap, so that all are no longer than the log.
	bytesLeft, stepsLeft := int64(len(log)), maxSteps
	at := func(off int64) *entry {
		if e, ok := entries[off]; ok {
			return e
		}
		e := parseEntry(log, off, id, &bytesLeft)
		entries[off] = e
		return e
	}
	for start := int64(0); start < int64(len(log)); start += logSector {
		first := at(start)
		if first == nil {
			continue
		}
		seq, off := []*entry{first}, start
		for total := first.length; ; {
			last := seq[len(seq)-1]
			off = (off + last.length) % int64(len(log))
			next := at(off)
			if next == nil || next.sequence != last.sequence+1 || total+next.length > int64(len(log)) {
				break
			}
			total += next.length
			seq = append(seq, next)
			if stepsLeft--; stepsLeft < 0 {
				return nil
			}
		}
		// The last entry names the tail; what comes before it was written back.
		for len(seq) > 0 && seq[len(seq)-1].tail != start {
			seq = seq[:len(seq)-1]
		}
		if len(seq) > 0 && (best == nil || seq[len(seq)-1].sequence > best[len(best)-1].sequence) {
			best = seq
		}
	}
	return best
}

// maxSteps bounds the looking for the active sequence. Logs are written of one
// MiB, which takes less than a hundredth of it.
const maxSteps = 4 << 20

// parseEntry reads the entry at off, nil where there is no valid one.
// bytesLeft bounds what the entries looked at take in all.
func parseEntry(log []byte, off int64, id guid, bytesLeft *int64) *entry {
	le := binary.LittleEndian
	head := log[off : off+logSector]
	if string(head[:4]) != "loge" || guid(head[32:48]) != id {
		return nil
	}
	e := &entry{length: int64(le.Uint32(head[8:])), tail: int64(le.Uint32(head[12:])), sequence: le.Uint64(head[16:]),
		flushed: int64(le.Uint64(head[48:])), last: int64(le.Uint64(head[56:]))}
	n := int64(le.Uint32(head[24:]))
	if e.length == 0 || e.length%logSector != 0 || e.length > int64(len(log)) || e.tail%logSector != 0 || e.sequence == 0 ||
		e.flushed < 0 || e.last < 0 || e.last > maxSize*2 || logHeaderLen+n*descriptorLen > e.length {
		return nil
	}
	if *bytesLeft -= e.length; *bytesLeft < 0 {
		return nil
	}
	b := make([]byte, 0, e.length)
	b = append(b, log[off:min(int64(len(log)), off+e.length)]...)
	b = append(b, log[:e.length-int64(len(b))]...)
	if !sealed(b) {
		return nil
	}
	data := b[(logHeaderLen+n*descriptorLen+logSector-1)&^(logSector-1):]
	for i := range n {
		d := b[logHeaderLen+i*descriptorLen:]
		at := int64(le.Uint64(d[16:]))
		if le.Uint64(d[24:]) != e.sequence || at < 0 || at%logSector != 0 {
			return nil
		}
		switch string(d[:4]) {
		case descriptorZero:
			size := int64(le.Uint64(d[8:]))
			if size < 0 || size%logSector != 0 || size > maxSize*2 || at > maxSize*2 {
				return nil
			}
			e.patches = append(e.patches, patch{at: at, n: size})
		case descriptorData:
			// The sector's first eight and last four bytes are in the
			// descriptor, in place of which it holds the sequence number.
			if len(data) < logSector || string(data[:4]) != "data" || le.Uint32(data[4:]) != uint32(e.sequence>>32) ||
				le.Uint32(data[logSector-4:]) != uint32(e.sequence) {
				return nil
			}
			sector := make([]byte, logSector)
			copy(sector, data[:logSector])
			copy(sector, d[8:16])
			copy(sector[logSector-4:], d[4:8])
			e.patches = append(e.patches, patch{at: at, n: logSector, data: sector})
			data = data[logSector:]
		default:
			return nil
		}
	}
	return e
}

// patched is a file with later writes over it.
type patched struct {
	r       io.ReaderAt
	length  int64 // of r
	size    int64 // of the whole
	patches []patch
}

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	b, atEnd := disk.Within("vhdx", b, off, p.size)
	if len(b) == 0 {
		return 0, atEnd
	}
	have := max(0, min(int64(len(b)), p.length-off))
	clear(b[have:])
	if err := disk.ReadFull(p.r, b[:have], off); err != nil {
		return 0, err
	}
	end := off + int64(len(b))
	for _, w := range p.patches {
		from, to := max(off, w.at), min(end, w.at+w.n)
		if from >= to {
			continue
		}
		if w.data == nil {
			clear(b[from-off : to-off])
		} else {
			copy(b[from-off:to-off], w.data[from-w.at:])
		}
	}
	return len(b), atEnd
}
