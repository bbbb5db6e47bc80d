package libvirt

import (
	"context"
	"io"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/disk"
)

// incoming is the host.Store of one import.
type incoming struct {
	h      *Host
	id     string
	places map[string]place

	keeping sync.Mutex // one record of what has arrived at a time
	mu      sync.Mutex
	sizes   []int64
	sinks   []*volumeSink
	sinkOf  map[string]*volumeSink // by id of the disk
	arrival *ledger.Arrival        // what is kept of it; nil where nothing will be
}

// Disk ends the disks before: their content has come.
func (in *incoming) Disk(ctx context.Context, d *host.Disk) (disk.Sink, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.sinks {
		if s.begun() {
			if err := s.finish(); err != nil {
				return nil, err
			}
		}
	}
	at := in.places[d.ID]
	s := in.h.newSink(ctx, at, formatOf(at.volume))
	if in.arrival != nil {
		if was, going := in.arrival.Disks[d.OVFID]; going {
			s.kept = was.Kept.Block * disk.BlockSize
			if was.Kept.Done {
				s.kept = d.CapacityBytes
			}
		}
	}
	in.sinks = append(in.sinks, s)
	if in.sinkOf == nil {
		in.sinkOf = map[string]*volumeSink{}
	}
	in.sinkOf[d.ID] = s
	return s, nil
}

func (in *incoming) finish() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.sinks {
		if err := s.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (in *incoming) Digest(ctx context.Context, d *host.Disk, size int64) (disk.Digest, error) {
	if err := in.finish(); err != nil {
		return disk.Digest{}, err
	}
	at := in.places[d.ID]
	img, err := in.h.openPlace(ctx, at, formatOf(at.volume), d.CapacityBytes)
	if err != nil {
		return disk.Digest{}, err
	}
	defer img.Close()
	return disk.ContentDigest(ctx, img, size, nil)
}

func (in *incoming) File(ctx context.Context, name string) (io.WriteCloser, error) {
	in.mu.Lock()
	n := len(in.sizes)
	in.sizes = append(in.sizes, 0)
	in.mu.Unlock()
	w, err := in.h.ledger.CreateFile(ctx, in.id, n)
	return &measured{w, in, n}, err
}

// measured counts what is written of kept file n.
type measured struct {
	io.WriteCloser
	in *incoming
	n  int
}

func (m *measured) Write(p []byte) (int, error) {
	n, err := m.WriteCloser.Write(p)
	m.in.mu.Lock()
	m.in.sizes[m.n] += int64(n)
	m.in.mu.Unlock()
	return n, err
}
