package libvirt

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// shelf keeps the ledger's files as volumes of the pool.
type shelf struct{ h *Host }

var _ ledger.Shelf = shelf{}

func (s shelf) at(name string) place { return place{s.h.opts.Pool, prefix + name} }

func (s shelf) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	return &shelved{ctx: ctx, h: s.h, at: s.at(name)}, nil
}

func (s shelf) Open(ctx context.Context, name string) (ovf.MemberFile, error) {
	f, err := s.h.openVolume(ctx, s.at(name), disk.Raw)
	if err != nil {
		return nil, err
	}
	return &shelfFile{volumeFile: f, SectionReader: io.NewSectionReader(f, 0, f.size)}, nil
}

// shelfFile is a volume as a file that is read from its start.
type shelfFile struct {
	*volumeFile
	*io.SectionReader
}

func (f *shelfFile) ReadAt(p []byte, off int64) (int, error) { return f.volumeFile.ReadAt(p, off) }
func (f *shelfFile) Size() int64                             { return f.size }

func (s shelf) Remove(ctx context.Context, name string) error {
	return s.h.removeVolume(ctx, s.at(name))
}

func (s shelf) Names(ctx context.Context) ([]string, error) {
	p, err := s.h.pool(ctx, s.h.opts.Pool)
	if err != nil {
		return nil, err
	}
	var vols []lv.StorageVol
	if err := s.h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vols, _, err = l.StoragePoolListAllVolumes(p, 1, 0)
		return err
	}); err != nil {
		return nil, err
	}
	var out []string
	for _, v := range vols {
		name, ok := strings.CutPrefix(v.Name, prefix)
		if kind, _, _ := strings.Cut(name, "-"); ok && !slices.Contains([]string{"disk", "media", "nvram", "copy"}, kind) {
			out = append(out, name)
		}
	}
	return out, nil
}

// shelved is a volume whose size is known when it has been written: most are
// small and are made then; a larger one grows, where the pool lets it.
type shelved struct {
	ctx  context.Context
	h    *Host
	at   place
	buf  []byte
	up   *upload
	size int64
	err  error
}

// growth is what a volume grows by, at least, in bytes.
const growth = 64 << 20

func (g *shelved) Write(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	g.buf = append(g.buf, p...)
	if len(g.buf) >= batchBytes {
		if g.err = g.grow(); g.err != nil {
			return 0, g.err
		}
	}
	return len(p), nil
}

func (g *shelved) grow() error {
	if g.up == nil {
		if err := g.h.removeVolume(g.ctx, g.at); err != nil {
			return err
		}
		vol, err := g.h.createVolume(g.ctx, g.at, growth, disk.Raw)
		if err != nil {
			return err
		}
		g.up = newUpload(g.ctx, g.h.conn, vol, growth)
	}
	if need := g.size + int64(len(g.buf)); need > g.up.size {
		if err := g.up.flush(); err != nil {
			return err
		}
		if err := g.resize(max(2*g.up.size, need)); err != nil {
			return err
		}
	}
	if _, err := g.up.WriteAt(g.buf, g.size); err != nil {
		return err
	}
	g.size += int64(len(g.buf))
	g.buf = g.buf[:0]
	return nil
}

func (g *shelved) resize(size int64) error {
	var flags lv.StorageVolResizeFlags
	if size < g.up.size {
		flags = lv.StorageVolResizeShrink
	}
	err := settled(g.ctx, func() error {
		return g.h.conn.call(g.ctx, func(l *lv.Libvirt) error { return l.StorageVolResize(g.up.vol, uint64(size), flags) })
	})
	if is(err, lv.ErrNoSupport) || is(err, lv.ErrOperationUnsupported) {
		return fmt.Errorf("pool %s cannot keep files of more than %d bytes beside disks: %w; choose a pool of type dir for records with ?pool=", g.at.pool, growth, host.ErrUnsupported)
	}
	if err != nil {
		return full(err)
	}
	g.up.size = size
	return nil
}

func (g *shelved) Close() error {
	if g.err != nil {
		return g.err
	}
	if g.up == nil {
		return g.h.put(g.ctx, g.at, g.buf)
	}
	if len(g.buf) > 0 {
		if err := g.grow(); err != nil {
			return err
		}
	}
	if err := g.up.flush(); err != nil {
		return err
	}
	if g.size < g.up.size {
		return g.resize(g.size)
	}
	return nil
}
