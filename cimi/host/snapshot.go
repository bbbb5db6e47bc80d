package host

import (
	"context"
	"fmt"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Uses counts who uses what a host keeps under a name, which is not removed
// meanwhile. The zero value has no uses.
type Uses struct {
	mu sync.Mutex
	n  map[string]int
}

// Enter begins a use, which lasts until leave is called; once is enough.
func (u *Uses) Enter(name string) (leave func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n == nil {
		u.n = map[string]int{}
	}
	u.n[name]++
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.n[name]--; u.n[name] == 0 {
			delete(u.n, name)
		}
	})
}

// In tells whether somebody uses what is kept under a name.
func (u *Uses) In(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n[name] > 0
}

// UsedExport is an export that uses something kept until it is closed.
type UsedExport struct {
	Export
	Leave func()
}

// Close closes the export and ends the use.
func (x *UsedExport) Close() error {
	err := x.Export.Close()
	x.Leave()
	return err
}

// DigestCopy notes in d what its copy for a Live export holds. One whose digest
// is known must still have it; one that was blank and is stays so.
func DigestCopy(ctx context.Context, d *Disk, img disk.Image) error {
	size := min(d.ContentBytes, img.Size())
	if size == 0 {
		if off, err := disk.FirstData(ctx, img, 0); err != nil || off < 0 {
			return err
		}
		size = img.Size()
	}
	now, err := disk.ContentDigest(ctx, img, size, nil)
	if err != nil {
		return err
	}
	if d.ContentDigest != "" && d.ContentDigest != now.String() {
		return &ovf.IntegrityError{Package: "disk " + d.Name, File: d.ID, Algorithm: "content", Expected: d.ContentDigest, Actual: now.String(),
			Reason: fmt.Sprintf("it was changed: the content digest is %s, at import it was %s", now, d.ContentDigest)}
	}
	d.ContentBytes, d.ContentDigest = size, now.String()
	return nil
}
