package libvirt

import (
	"bytes"
	"context"
	"fmt"
	"io"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	// variablesName is the file with the firmware's variables in the package of a
	// domain that others made.
	variablesName = "machine.nvram"
	// mostVariables bounds what is kept of them; a store has less than 1 MiB.
	mostVariables = 16 << 20
)

// variables puts the firmware's variables of a domain of others, which its
// description names, into what is exported of it. libvirt gives nothing but
// volumes: where they lie in no pool they stay behind, which is told.
func (k *holdings) variables(ctx context.Context, f *foreign) ([]ovf.Finding, error) {
	if f.nvram == "" {
		return nil, nil // a domain of BIOS, or one that has never run
	}
	s := k.e.System
	content, err := k.h.readPath(ctx, f.nvram)
	if err == nil && len(content) > mostVariables {
		err = fmt.Errorf("it has more than %d bytes: %w", mostVariables, host.ErrUnsupported)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return []ovf.Finding{{ID: "LIBVIRT-NVRAM-001", Severity: ovf.Warning, Object: "machine " + s.Name,
			Message: fmt.Sprintf("its firmware's variables stay behind (%s: %v): it will boot with new ones, as from an empty store", f.nvram, err),
			Hint:    "a pool of type dir over that folder (virsh pool-create-as) takes them along"}}, nil
	}
	env, err := ovf.Parse(bytes.Clone(s.Descriptor))
	if err != nil {
		return nil, err
	}
	if err := env.AddFile(ovf.File{ID: "nvram", Href: variablesName, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	for _, c := range env.VirtualSystems() {
		for _, hw := range c.Hardware() {
			if err := hw.SetNVRAM("nvram"); err != nil {
				return nil, err
			}
		}
	}
	k.nvram, s.Descriptor, s.FileNames = content, env.Bytes(), append(s.FileNames, variablesName)
	return nil, nil
}

// readPath reads the small volume that lies at a path of the hypervisor.
func (h *Host) readPath(ctx context.Context, path string) ([]byte, error) {
	var vol lv.StorageVol
	if err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vol, err = l.StorageVolLookupByPath(path)
		return err
	}); err != nil {
		return nil, err
	}
	file, err := h.openVol(ctx, vol, disk.Raw)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.NewSectionReader(file, 0, min(file.size, mostVariables+1)))
}

// inMemory is a kept file that was read whole.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
