package libvirt

import (
	"context"
	"errors"
	"sync"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
)

// volumeSink takes a disk's content into a volume of its own.
type volumeSink struct {
	ctx    context.Context
	h      *Host
	at     place
	format disk.Format
	// kept is how many bytes the volume holds already, in an import that goes on
	// with another; negative where the volume is still to be made.
	kept int64

	mu    sync.Mutex
	up    *upload
	qcow2 *qcow2.Sink
	done  bool
}

var _ disk.Sink = (*volumeSink)(nil)

func (h *Host) newSink(ctx context.Context, at place, f disk.Format) *volumeSink {
	return &volumeSink{ctx: ctx, h: h, at: at, format: f, kept: -1}
}

func (s *volumeSink) Begin(info disk.Info) error {
	size := info.Size
	if s.format == disk.QCOW2 {
		var err error
		if size, err = qcow2.SinkSize(size); err != nil {
			return err
		}
	}
	// An empty image would have tables of its own; libvirt sees what a file is
	// when it looks next.
	open := func() (lv.StorageVol, error) { return s.h.createVolume(s.ctx, s.at, size, disk.Raw) }
	if s.kept >= 0 {
		open = func() (lv.StorageVol, error) { return s.h.volume(s.ctx, s.at) }
	}
	vol, err := open()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.up = newUpload(s.ctx, s.h.conn, vol, size)
	s.up.sent = min(max(s.kept, 0), size)
	s.mu.Unlock()
	if s.format == disk.Raw {
		return nil
	}
	s.qcow2 = qcow2.NewSink(s.up)
	return s.qcow2.Begin(info)
}

func (s *volumeSink) WriteAt(p []byte, off int64) (int, error) {
	if s.qcow2 != nil {
		return s.qcow2.WriteAt(p, off)
	}
	return s.up.WriteAt(p, off)
}

// settle returns when libvirt has written everything before an offset.
func (s *volumeSink) settle(to int64) error {
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	return up.settle(to)
}

// begun tells whether there is a volume.
func (s *volumeSink) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up != nil
}

// finish makes the volume whole; a second call does nothing.
func (s *volumeSink) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up == nil || s.done {
		return nil
	}
	s.done = true
	if s.qcow2 == nil {
		return s.up.finish()
	}
	// The tables lie before the data and are written last, so that what is
	// half there is no image.
	if err := s.up.finish(); err != nil {
		return err
	}
	if err := s.qcow2.Finish(); err != nil {
		return err
	}
	return s.up.flush()
}

// openPlace opens the content of a volume of ours as a disk of size bytes.
func (h *Host) openPlace(ctx context.Context, at place, f disk.Format, size int64) (disk.Image, error) {
	file, err := h.openVolume(ctx, at, f)
	if err != nil {
		return nil, err
	}
	return openContent(file, f, size)
}

// openContent reads a volume's bytes as what they are.
func openContent(file *volumeFile, f disk.Format, size int64) (disk.Image, error) {
	if f == disk.QCOW2 {
		img, err := qcow2.Open(file, file.size, file.name())
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return sizedImage(disk.Owning(img, file), file.name(), size)
	}
	return sizedImage(&rawVolume{volumeFile: file}, file.name(), size)
}
