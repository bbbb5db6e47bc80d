package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
	"github.com/cimimove/cimimove/ovf/disk"
)

// batchBytes is how much data is sent in one stream. It is kept until libvirtd
// has confirmed it, so that a lost connection costs no more than this, and it
// is the window in which content may come out of order without a stream of its
// own. libvirt reads its pool anew after each stream: a smaller batch would
// spend the time on that.
const batchBytes = 16 << 20

// upload takes the bytes of a volume, in any order, and sends them ascending,
// in batches; holes between them are told, not sent, and become zeros even
// where the volume is a device with something old on it. It holds two batches.
type upload struct {
	ctx  context.Context
	conn *connection
	vol  lv.StorageVol
	size int64 // of the volume

	mu      sync.Mutex
	pending []stream.Piece
	bytes   int
	sent    int64 // up to where the volume is written
	err     error

	sending sync.Mutex // a batch on its way; taken before mu is let go
}

func newUpload(ctx context.Context, conn *connection, vol lv.StorageVol, size int64) *upload {
	return &upload{ctx: ctx, conn: conn, vol: vol, size: size}
}

// zeroGrain is the grain in which zeros are looked for: finer ones would cost
// more in packets than they save in bytes.
const zeroGrain = 64 << 10

// WriteAt takes a copy of p.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > u.size-int64(len(p)) {
		return 0, fmt.Errorf("volume %s: %d bytes at %d exceed its %d", u.vol.Name, len(p), off, u.size)
	}
	for at := 0; at < len(p); {
		n := min(zeroGrain, len(p)-at)
		if disk.IsZero(p[at : at+n]) {
			at += n
			continue
		}
		end := at + n
		for end < len(p) && !disk.IsZero(p[end:min(len(p), end+zeroGrain)]) {
			end = min(len(p), end+zeroGrain)
		}
		if err := u.add(stream.Piece{Offset: off + int64(at), Data: slices.Clone(p[at:end])}); err != nil {
			return at, err
		}
		at = end
	}
	return len(p), nil
}

func (u *upload) add(p stream.Piece) error {
	u.mu.Lock()
	if u.err != nil {
		u.mu.Unlock()
		return u.err
	}
	u.pending = append(u.pending, p)
	if u.bytes += len(p.Data); u.bytes < batchBytes {
		u.mu.Unlock()
		return nil
	}
	u.dispatch()
	return nil
}

// dispatch sends what is pending on a goroutine of its own, one at a time. It is
// called with mu and lets it go.
func (u *upload) dispatch() {
	batch := u.pending
	u.pending, u.bytes = nil, 0
	u.mu.Unlock()
	u.sending.Lock()
	go func() {
		defer u.sending.Unlock()
		u.keep(u.send(batch))
	}()
}

func (u *upload) keep(err error) {
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.err = errors.Join(u.err, full(err))
	}
}

// send writes a batch. Pieces before what is written already go in
// streams without holes: a hole in a file cuts off what comes after it.
func (u *upload) send(batch []stream.Piece) error {
	slices.SortFunc(batch, func(a, b stream.Piece) int { return cmp.Compare(a.Offset, b.Offset) })
	var rest, late []stream.Piece
	for _, p := range batch {
		end := p.Offset + int64(len(p.Data))
		if p.Offset >= u.sent {
			rest = append(rest, p)
			continue
		}
		if end > u.sent {
			rest = append(rest, stream.Piece{Offset: u.sent, Data: p.Data[u.sent-p.Offset:]})
			p.Data = p.Data[:u.sent-p.Offset]
		}
		late = append(late, p)
	}
	for i := 0; i < len(late); {
		first, end := i, late[i].Offset
		for ; i < len(late) && late[i].Offset == end; i++ {
			end += int64(len(late[i].Data))
		}
		if err := u.stream(late[first].Offset, end, late[first:i]); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	last := rest[len(rest)-1]
	to := last.Offset + int64(len(last.Data))
	if err := u.stream(u.sent, to, rest); err != nil {
		return err
	}
	u.sent = to
	return nil
}

func (u *upload) stream(from, to int64, pieces []stream.Piece) error {
	err := settled(u.ctx, func() error { // another process that has died may have been at it
		return u.conn.streaming(u.ctx, func(s *stream.Conn) error { return s.Upload(u.ctx, named(u.vol), from, to, pieces) })
	})
	if err != nil {
		return fmt.Errorf("volume %s: writing at %d: %w", u.vol.Name, from, err)
	}
	return nil
}

// flush sends what is pending and waits until it is written.
func (u *upload) flush() error {
	u.mu.Lock()
	if len(u.pending) > 0 && u.err == nil {
		u.dispatch()
	} else {
		u.mu.Unlock()
	}
	u.sending.Lock() // after the last batch
	defer u.sending.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// settle sends what is pending, and zeros up to an offset where nothing comes
// before it, and returns when libvirt has written them.
func (u *upload) settle(to int64) error {
	if err := u.flush(); err != nil {
		return err
	}
	u.sending.Lock()
	defer u.sending.Unlock()
	if to = min(to, u.size); u.sent >= to {
		return nil
	}
	if err := u.stream(u.sent, to, nil); err != nil {
		u.keep(err)
		return full(err)
	}
	u.sent = to
	return nil
}

// finish writes the zeros at the end, too.
func (u *upload) finish() error { return u.settle(u.size) }

// Truncate is disk.File's: a volume has the size that it was made with.
func (u *upload) Truncate(size int64) error {
	if size > u.size {
		return fmt.Errorf("volume %s has %d bytes, not %d", u.vol.Name, u.size, size)
	}
	return nil
}
