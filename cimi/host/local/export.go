package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Export freezes a System. It opens every file it needs, so that deleting the
// System does not disturb it; a disk whose file is changed makes reading fail.
func (h *Host) Export(ctx context.Context, id string, opts host.ExportOptions) (host.Export, error) {
	return h.export(ctx, id, opts, h.copyDisks)
}

func (h *Host) export(ctx context.Context, id string, opts host.ExportOptions, copies copier) (host.Export, error) {
	if name := host.FrozenSnapshot(opts.Frozen); name != "" {
		return h.openSnapshot(ctx, name, opts)
	}
	s, err := h.System(ctx, id)
	if err != nil {
		return nil, err
	}
	using := opts.Using
	if opts.Frozen != nil {
		using = host.FrozenUsing(opts.Frozen)
	}
	var others []*host.System
	for _, id := range using {
		o, err := h.record(ctx, id)
		if err != nil {
			return nil, err
		}
		others = append(others, o)
	}
	if len(others) > 0 {
		if s, err = host.Borrow(s, others); err != nil {
			return nil, err
		}
	}
	if opts.Descriptor != nil {
		if s, err = host.Redescribe(s, opts.Descriptor, h.Capabilities()); err != nil {
			return nil, err
		}
	}
	if opts.Live && opts.Frozen == nil {
		return h.exportLive(ctx, s, opts, copies)
	}
	if err := host.Proved(s); err != nil {
		return nil, err
	}
	return host.BuildExport(ctx, s, holdings{h, s}, h.Capabilities(), opts)
}

type holdings struct {
	h *Host
	s *host.System
}

func (k holdings) Disk(ctx context.Context, d *host.Disk) (disk.Image, error) {
	return k.h.openSound(ctx, d)
}

func (k holdings) File(_ context.Context, name string) (ovf.MemberFile, error) {
	i := slices.Index(k.s.FileNames, name)
	if i < 0 {
		return nil, fmt.Errorf("file %s: %w", name, host.ErrNotFound)
	}
	f, err := os.Open(filepath.Join(k.h.dir, filesPath(k.s.ID), strconv.Itoa(i)))
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return keptFile{io.NewSectionReader(f, 0, st.Size()), f}, nil
}

type keptFile struct {
	*io.SectionReader
	io.Closer
}
