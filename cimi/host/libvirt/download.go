package libvirt

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	// window is the piece in which a volume is read and kept, in bytes.
	window = 1 << 20
	// keptWindows bounds what is kept: readers come a little out of order.
	keptWindows = 24
	// farAhead is how far a stream is read on instead of beginning another.
	farAhead = 16 * window
	// firstStretch is how much is asked for at a place that nobody read up to;
	// a reader that goes on is given twice as much each time, up to maxStretch.
	firstStretch, maxStretch = window, 256 << 20
)

// volumeFile reads a volume's bytes anywhere. Ascending reads share one stream;
// what libvirt calls a hole costs nothing.
type volumeFile struct {
	ctx  context.Context // of the opening, for as long as the file is open
	stop context.CancelFunc
	conn *connection
	vol  lv.StorageVol
	size int64

	mu      sync.Mutex
	kept    map[int64][]byte // by number of the window; nil is zeros
	order   []int64
	line    *stream.Conn
	down    *stream.Download
	pos     int64 // of down
	upTo    int64
	stretch int64
	rest    []byte // of what down gave
	hole    int64
	zeros   zeroMap
}

// openVolume opens a volume; f says how far its bytes go: a raw one has its
// capacity, of another format the file is read up to its end.
func (h *Host) openVolume(ctx context.Context, at place, f disk.Format) (*volumeFile, error) {
	vol, err := h.volume(ctx, at)
	if err != nil {
		return nil, err
	}
	return h.openVol(ctx, vol, f)
}

func (h *Host) openVol(ctx context.Context, vol lv.StorageVol, f disk.Format) (*volumeFile, error) {
	size, err := h.capacity(ctx, vol)
	if err == nil && f != disk.Raw {
		size, err = h.fileSize(ctx, vol)
	}
	if err != nil {
		return nil, err
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &volumeFile{ctx: own, stop: stop, conn: h.conn, vol: vol, size: size, kept: map[int64][]byte{}}, nil
}

// fileSize is the length of a volume that is a file with a format of its own:
// libvirt calls it physical.
func (h *Host) fileSize(ctx context.Context, vol lv.StorageVol) (n int64, err error) {
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		_, _, physical, err := l.StorageVolGetInfoFlags(vol, uint32(lv.StorageVolGetPhysical))
		n = int64(physical)
		return err
	})
	return n, err
}

func (v *volumeFile) name() string { return v.vol.Pool + "/" + v.vol.Name }

func (v *volumeFile) Size() int64 { return v.size }

// Close ends the stream.
func (v *volumeFile) Close() error {
	v.stop()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end(context.Background())
	if v.line != nil {
		v.line.Close()
	}
	v.line, v.kept = nil, map[int64][]byte{}
	return nil
}

// endTimeout bounds the wait for libvirtd to end a stream.
const endTimeout = 10 * time.Second

// end ends the stream, in the middle where it stands there.
func (v *volumeFile) end(ctx context.Context) {
	if v.down != nil && !v.line.Broken() {
		ctx, cancel := context.WithTimeout(ctx, endTimeout)
		defer cancel()
		_ = v.down.End(ctx) // the connection is broken then
	}
	v.down, v.rest, v.hole = nil, nil, 0
}

// drop ends the stream and closes its connection.
func (v *volumeFile) drop() {
	v.end(v.ctx)
	if v.line != nil {
		v.line.Close()
	}
	v.line = nil
}

func (v *volumeFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	done := 0
	for done < len(p) {
		pos := off + int64(done)
		if pos >= v.size {
			return done, io.EOF
		}
		b, err := v.window(pos / window)
		if err != nil {
			return done, fmt.Errorf("volume %s: reading at %d: %w", v.name(), pos, err)
		}
		at := pos % window
		n := int(min(int64(len(p)-done), window-at, v.size-pos))
		if b == nil {
			clear(p[done : done+n])
		} else {
			copy(p[done:done+n], b[at:])
		}
		done += n
	}
	return done, nil
}

// window gives one, nil for zeros.
func (v *volumeFile) window(index int64) ([]byte, error) {
	if b, ok := v.kept[index]; ok {
		return b, nil
	}
	var b []byte
	// Another process may be just making the volume: a record, most of the time.
	err := settled(v.ctx, func() error { return v.conn.patiently(v.ctx, func() error { return v.goTo(index, &b) }) })
	return b, err
}

// goTo reads on, or elsewhere, up to a window.
func (v *volumeFile) goTo(index int64, b *[]byte) error {
	if v.down == nil || index*window < v.pos || index*window-v.pos > farAhead || index*window >= v.upTo {
		if err := v.begin(index * window); err != nil {
			return err
		}
	}
	for {
		at := v.pos / window
		got, err := v.read()
		if err != nil {
			v.drop()
			return err
		}
		v.keep(at, got)
		if at == index {
			*b = got
			return nil
		}
	}
}

// begin opens a stream at the beginning of a window.
func (v *volumeFile) begin(at int64) error {
	if v.down != nil && at == v.upTo && v.pos == v.upTo {
		v.stretch = min(2*v.stretch, maxStretch)
	} else {
		v.stretch = firstStretch
	}
	v.end(v.ctx)
	if v.line != nil && v.line.Broken() {
		v.drop()
	}
	if v.line == nil {
		line, err := v.conn.stream(v.ctx)
		if err != nil {
			return err
		}
		v.line = line
	}
	v.pos, v.upTo, v.rest, v.hole = at, min(at+v.stretch, v.size), nil, 0
	down, err := v.line.Download(v.ctx, named(v.vol), v.pos, v.upTo)
	if err != nil {
		v.drop()
		return err
	}
	v.down = down
	return nil
}

// read reads the window that the stream stands at, and its end where it is the last.
func (v *volumeFile) read() ([]byte, error) {
	n := int(min(window, v.upTo-v.pos))
	var b []byte
	for done := 0; done < n; {
		if len(v.rest) == 0 && v.hole == 0 {
			var err error
			if v.rest, v.hole, err = v.down.Next(); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return nil, err
			}
			continue
		}
		k := n - done
		if v.hole > 0 {
			k = int(min(int64(k), v.hole))
			v.hole -= int64(k)
		} else {
			k = min(k, len(v.rest))
			if b == nil {
				b = make([]byte, window)
			}
			copy(b[done:], v.rest[:k])
			v.rest = v.rest[k:]
		}
		done += k
	}
	v.zeros.learn(v.pos/window, b)
	if v.pos += int64(n); v.pos == v.upTo {
		if _, _, err := v.down.Next(); err != io.EOF {
			if err == nil {
				err = fmt.Errorf("more came than was asked for")
			}
			return nil, err
		}
	}
	return b, nil
}

func (v *volumeFile) keep(index int64, b []byte) {
	if _, ok := v.kept[index]; !ok {
		v.order = append(v.order, index)
	}
	v.kept[index] = b
	if len(v.order) > keptWindows {
		delete(v.kept, v.order[0])
		v.order = v.order[1:]
	}
}

// zeroMap remembers which grains of the windows that were read are zero: libvirt
// tells holes only while one reads, and a map is asked for more than once.
type zeroMap struct {
	known map[int64]uint16 // by window: a bit for each grain of data
}

func (z *zeroMap) learn(index int64, b []byte) {
	if z.known == nil {
		z.known = map[int64]uint16{}
	}
	var data uint16
	for i := 0; b != nil && i < window/zeroGrain; i++ {
		if !disk.IsZero(b[i*zeroGrain : (i+1)*zeroGrain]) {
			data |= 1 << i
		}
	}
	z.known[index] = data
}

// rawVolume is a volume whose bytes are the disk.
type rawVolume struct{ *volumeFile }

func (r *rawVolume) Info() disk.Info {
	return disk.Info{Format: disk.Raw, Size: r.size, Allocated: -1}
}

// Extents reads what was not read before, to find out.
func (r *rawVolume) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > r.size-n {
			yield(disk.Extent{}, fmt.Errorf("extents of %d bytes at %d: the volume has %d", n, off, r.size))
			return
		}
		for end := off + n; off < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, context.Cause(ctx))
				return
			}
			k := min(zeroGrain-off%zeroGrain, end-off)
			data, err := r.data(off)
			if err != nil {
				yield(disk.Extent{}, err)
				return
			}
			if !yield(disk.Extent{Offset: off, Length: k, Zero: !data}, nil) {
				return
			}
			off += k
		}
	})
}

// data tells whether the grain at off has any.
func (r *rawVolume) data(off int64) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	index := off / window
	bits, ok := r.zeros.known[index]
	if !ok {
		if _, err := r.window(index); err != nil {
			return false, fmt.Errorf("volume %s: reading at %d: %w", r.name(), off, err)
		}
		bits = r.zeros.known[index]
	}
	return bits&(1<<(off%window/zeroGrain)) != 0, nil
}

// sizedImage is img cut to size, which it must have; a negative size is its own.
func sizedImage(img disk.Image, name string, size int64) (disk.Image, error) {
	switch {
	case size < 0 || size == img.Size():
		return img, nil
	case img.Size() < size:
		has := img.Size()
		img.Close()
		return nil, &ovf.IntegrityError{Package: "storage pool", File: name, Reason: fmt.Sprintf("the volume has %d bytes, expected %d", has, size)}
	}
	return &cutImage{img, size}, nil
}

// cutImage is the first size bytes of an image: volumes are made in whole blocks.
type cutImage struct {
	disk.Image
	size int64
}

func (c *cutImage) Size() int64 { return c.size }

func (c *cutImage) Info() disk.Info {
	info := c.Image.Info()
	info.Size = c.size
	return info
}

func (c *cutImage) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	if int64(len(p)) <= c.size-off {
		return c.Image.ReadAt(p, off)
	}
	n, err := c.Image.ReadAt(p[:c.size-off], off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

func (c *cutImage) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	if off > c.size-n {
		return func(yield func(disk.Extent, error) bool) {
			yield(disk.Extent{}, fmt.Errorf("extents of %d bytes at %d: the disk has %d", n, off, c.size))
		}
	}
	return c.Image.Extents(ctx, off, n)
}
