package ova

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/ovf/manifest"
)

// fileDigest is the digest of one file of a Layout, taken as the file passes
// in ascending order, whoever reads, and completed by reading where asked for.
type fileDigest struct {
	file LayoutFile
	len  int // of a digest in hex

	mu        sync.Mutex
	h         hash.Hash
	next      int64         // bytes digested
	sum       string        // in hex, once known
	computing chan struct{} // closed when compute is over; nil when none runs
}

func newFileDigest(f LayoutFile, a manifest.Algorithm) *fileDigest {
	d := &fileDigest{file: f, len: a.HexLen(), h: a.New()}
	d.finish()
	return d
}

func (d *fileDigest) finish() {
	if d.sum == "" && d.next == d.file.Size {
		d.sum = hex.EncodeToString(d.h.Sum(nil))
	}
}

// passed is told what was read at off.
func (d *fileDigest) passed(p []byte, off int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sum != "" || d.computing != nil || off > d.next || off+int64(len(p)) <= d.next {
		return
	}
	p = p[d.next-off:]
	d.h.Write(p)
	d.next += int64(len(p))
	d.finish()
}

func (d *fileDigest) known() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sum
}

func (d *fileDigest) set(sum string) error {
	sum = strings.ToLower(sum)
	if b, err := hex.DecodeString(sum); err != nil || 2*len(b) != d.len {
		return fmt.Errorf("%s: %q is not a digest of %d hex digits", d.file.Name, shorten(sum), d.len)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sum != "" && d.sum != sum {
		return fmt.Errorf("%s: digest is %s, not %s", d.file.Name, d.sum, sum)
	}
	d.sum = sum
	return nil
}

// compute gives the digest, reading what has not passed. Of several callers
// one reads and the others wait.
func (d *fileDigest) compute(ctx context.Context) (string, error) {
	for {
		d.mu.Lock()
		if d.sum != "" {
			defer d.mu.Unlock()
			return d.sum, nil
		}
		running := d.computing
		if running == nil {
			d.computing = make(chan struct{})
			d.mu.Unlock()
			return d.readRest(ctx)
		}
		d.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// readRest digests from where passed stopped; meanwhile passed does nothing.
func (d *fileDigest) readRest(ctx context.Context) (string, error) {
	next := d.next
	var failed error
	buf := make([]byte, min(1<<20, max(d.file.Size-next, 1)))
	for next < d.file.Size && failed == nil {
		if failed = ctx.Err(); failed != nil {
			break
		}
		p := buf[:min(int64(len(buf)), d.file.Size-next)]
		n, err := d.file.Content.ReadAt(p, next)
		d.h.Write(p[:n])
		next += int64(n)
		if n < len(p) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			failed = fmt.Errorf("%s: at byte %d of %d: %w", d.file.Name, next, d.file.Size, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = next
	d.finish()
	close(d.computing)
	d.computing = nil
	return d.sum, failed
}
