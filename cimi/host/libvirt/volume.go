package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// prefix marks volumes that are ours.
const prefix = "cimimove-"

func diskVolume(id string) string { return prefix + "disk-" + id + ".raw" }

// volumeXML is what StorageVolCreateXML takes.
type volumeXML struct {
	XMLName    xml.Name `xml:"volume"`
	Name       string   `xml:"name"`
	Capacity   sizeXML  `xml:"capacity"`
	Allocation sizeXML  `xml:"allocation"`
	Format     struct {
		Type string `xml:"type,attr"`
	} `xml:"target>format"`
}

type sizeXML struct {
	Unit  string `xml:"unit,attr"`
	Bytes int64  `xml:",chardata"`
}

// createVolume makes a thin raw volume of size bytes.
func (h *Host) createVolume(pool, name string, size int64) (lv.StorageVol, error) {
	p, err := h.pool(pool)
	if err != nil {
		return lv.StorageVol{}, err
	}
	v := volumeXML{Name: name, Capacity: sizeXML{"bytes", size}, Allocation: sizeXML{"bytes", 0}}
	v.Format.Type = "raw"
	b, err := xml.Marshal(v)
	if err != nil {
		return lv.StorageVol{}, err
	}
	vol, err := h.conn.StorageVolCreateXML(p, string(b), 0)
	if is(err, lv.ErrStorageVolExist) {
		err = fmt.Errorf("volume %s of pool %s: %w", name, pool, host.ErrExists)
	}
	return vol, full(err)
}

func (h *Host) volume(pool, name string) (lv.StorageVol, error) {
	p, err := h.pool(pool)
	if err != nil {
		return lv.StorageVol{}, err
	}
	vol, err := h.conn.StorageVolLookupByName(p, name)
	if is(err, lv.ErrNoStorageVol) {
		err = fmt.Errorf("volume %s of pool %s: %w", name, pool, host.ErrNotFound)
	}
	return vol, err
}

// removeVolume removes a volume; that it is not there is no error.
func (h *Host) removeVolume(pool, name string) error {
	vol, err := h.volume(pool, name)
	if err == nil {
		err = settled(func() error { return h.conn.StorageVolDelete(vol, lv.StorageVolDeleteNormal) })
	}
	if errors.Is(err, host.ErrNotFound) || is(err, lv.ErrNoStorageVol) {
		return nil
	}
	return err
}

// upload writes p at off of a volume. The library's senders are given bytes in
// memory only: a reader that fails in the middle would leave the call waiting.
func (h *Host) upload(vol lv.StorageVol, p []byte, off int64) error {
	return full(settled(func() error {
		return h.conn.StorageVolUpload(vol, bytes.NewReader(p), uint64(off), uint64(len(p)), 0)
	}))
}

// settled calls f until libvirt has let go of the volume: it counts a volume as
// in use for a moment after an upload has been confirmed.
func settled(f func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := f()
		if !is(err, lv.ErrOperationInvalid) || !strings.Contains(err.Error(), "in use") || wait > 4*time.Second {
			return err
		}
		time.Sleep(wait)
	}
}

// volumeSink takes a disk's content into a volume, extent by extent; zeros are
// not sent.
type volumeSink struct {
	ctx        context.Context
	h          *Host
	pool, name string
	vol        lv.StorageVol
	size       int64

	sending sync.Mutex // libvirt takes one upload of a volume at a time
}

func (s *volumeSink) Begin(info disk.Info) (err error) {
	s.size = info.Size
	s.vol, err = s.h.createVolume(s.pool, s.name, info.Size)
	return err
}

// sendUnit is the grain in which zeros are looked for: finer ones would cost
// more in calls than they save in bytes.
const sendUnit = 64 << 10

func (s *volumeSink) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size-int64(len(p)) {
		return 0, fmt.Errorf("%s: %d bytes at %d exceed the disk's %d", s.name, len(p), off, s.size)
	}
	for at := 0; at < len(p); {
		n := min(sendUnit, len(p)-at)
		if disk.IsZero(p[at : at+n]) {
			at += n
			continue
		}
		end := at + n
		for end < len(p) && !disk.IsZero(p[end:min(len(p), end+sendUnit)]) {
			end = min(len(p), end+sendUnit)
		}
		if err := s.ctx.Err(); err != nil {
			return at, err
		}
		s.sending.Lock()
		err := s.h.upload(s.vol, p[at:end], off+int64(at))
		s.sending.Unlock()
		if err != nil {
			return at, err
		}
		at = end
	}
	return len(p), nil
}

// window is how much is read ahead at once, in bytes.
const window = 1 << 20

// volumeImage reads the first size bytes of a volume. Which of them are zero
// libvirt does not tell: Extents reads to find out.
type volumeImage struct {
	h    *Host
	vol  lv.StorageVol
	size int64

	mu     sync.Mutex
	ahead  []byte
	offset int64
}

func (h *Host) openVolume(pool, name string, size int64) (*volumeImage, error) {
	vol, err := h.volume(pool, name)
	if err != nil {
		return nil, err
	}
	_, capacity, _, err := h.conn.StorageVolGetInfo(vol)
	if is(err, lv.ErrNoStorageVol) {
		err = fmt.Errorf("volume %s of pool %s: %w", name, pool, host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if size < 0 {
		size = int64(capacity)
	}
	if int64(capacity) < size {
		return nil, &ovf.IntegrityError{Package: "pool " + pool, File: name, Reason: fmt.Sprintf("the volume has %d bytes, expected %d", capacity, size)}
	}
	return &volumeImage{h: h, vol: vol, size: size}, nil
}

func (m *volumeImage) Size() int64 { return m.size }
func (m *volumeImage) Info() disk.Info {
	return disk.Info{Format: disk.Raw, Size: m.size, Allocated: -1}
}
func (m *volumeImage) Close() error { return nil }

func (m *volumeImage) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	done := 0
	m.mu.Lock()
	defer m.mu.Unlock()
	for done < len(p) {
		pos := off + int64(done)
		if pos >= m.size {
			return done, io.EOF
		}
		if pos < m.offset || pos >= m.offset+int64(len(m.ahead)) {
			if err := m.fill(pos); err != nil {
				return done, err
			}
		}
		done += copy(p[done:], m.ahead[pos-m.offset:])
	}
	return done, nil
}

func (m *volumeImage) fill(pos int64) error {
	start := pos &^ (window - 1)
	n := min(window, m.size-start)
	// The writer given to the library must take everything: its call would not
	// come back from one that refuses.
	var b bytes.Buffer
	b.Grow(int(n))
	if err := m.h.conn.StorageVolDownload(m.vol, &b, uint64(start), uint64(n), 0); err != nil {
		return fmt.Errorf("volume %s: reading %d bytes at %d: %w", m.vol.Name, n, start, err)
	}
	if int64(b.Len()) != n {
		return fmt.Errorf("volume %s: %d bytes at %d came instead of %d: %w", m.vol.Name, b.Len(), start, n, io.ErrUnexpectedEOF)
	}
	m.ahead, m.offset = b.Bytes(), start
	return nil
}

func (m *volumeImage) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.size-n {
			yield(disk.Extent{}, fmt.Errorf("extents of %d bytes at %d: the disk has %d", n, off, m.size))
			return
		}
		buf := make([]byte, sendUnit)
		for end := off + n; off < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			k := min(sendUnit-off%sendUnit, end-off)
			if err := disk.ReadFull(m, buf[:k], off); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			if !yield(disk.Extent{Offset: off, Length: k, Zero: disk.IsZero(buf[:k])}, nil) {
				return
			}
			off += k
		}
	})
}

// shelf keeps the ledger's files as volumes of the pool.
type shelf struct{ h *Host }

func (s shelf) Create(_ context.Context, name string) (io.WriteCloser, error) {
	if err := s.Remove(context.Background(), name); err != nil {
		return nil, err
	}
	vol, err := s.h.createVolume(s.h.opts.Pool, prefix+name, 0)
	return &growing{h: s.h, vol: vol}, err
}

func (s shelf) Open(_ context.Context, name string) (ovf.MemberFile, error) {
	return s.h.openVolume(s.h.opts.Pool, prefix+name, -1)
}

func (s shelf) Remove(_ context.Context, name string) error {
	return s.h.removeVolume(s.h.opts.Pool, prefix+name)
}

func (s shelf) Names(context.Context) ([]string, error) {
	p, err := s.h.pool(s.h.opts.Pool)
	if err != nil {
		return nil, err
	}
	vols, _, err := s.h.conn.StoragePoolListAllVolumes(p, 1, 0)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, v := range vols {
		if name, ok := strings.CutPrefix(v.Name, prefix); ok && !strings.HasPrefix(name, "disk-") {
			out = append(out, name)
		}
	}
	return out, nil
}

// growing is a volume whose size is known when it has been written.
type growing struct {
	h    *Host
	vol  lv.StorageVol
	size int64
	buf  []byte
	err  error
}

func (g *growing) Write(p []byte) (int, error) {
	g.buf = append(g.buf, p...)
	if len(g.buf) >= window && g.err == nil {
		g.err = g.flush()
	}
	return len(p), g.err
}

func (g *growing) flush() error {
	if len(g.buf) == 0 {
		return nil
	}
	size := uint64(g.size) + uint64(len(g.buf))
	if err := settled(func() error { return g.h.conn.StorageVolResize(g.vol, size, 0) }); err != nil {
		return full(err)
	}
	if err := g.h.upload(g.vol, g.buf, g.size); err != nil {
		return err
	}
	g.size += int64(len(g.buf))
	g.buf = g.buf[:0]
	return nil
}

func (g *growing) Close() error {
	if g.err != nil {
		return g.err
	}
	return g.flush()
}
