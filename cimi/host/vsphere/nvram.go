package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// variables are those of a machine's firmware: what it boots from, and the keys
// of secure boot. Their file goes along with a machine of others (AC-13).
type variables struct {
	machine string // its name
	href    string
	key     string // in the lease; empty where they come from the datastore
	content []byte
}

// mostVariables bounds what is kept of them; a store has less than 1 MiB.
const mostVariables = 16 << 20

// variables fetches those of a machine that boots by UEFI: from the lease, where
// there is one that has them, else by the machine's layout from its datastore. A package
// without them is one all the same, so what fails is told.
func (k *holdings) variables(ctx context.Context, l *lease, vm *mo.VirtualMachine) {
	if vm.Config.Firmware != string(types.GuestOsDescriptorFirmwareTypeEfi) {
		return
	}
	v := variables{machine: unescaped(vm.Name), href: fmt.Sprintf("machine-%d.nvram", len(k.nvram)+1)}
	var err error
	if u := l.file("/nvram"); u != nil {
		v.key = u.Key
		v.content, err = l.read(ctx, u)
	} else {
		v.content, err = k.h.layoutFile(ctx, vm.Self, types.VirtualMachineFileLayoutExFileTypeNvram)
	}
	switch {
	case err != nil:
		k.findings = append(k.findings, ovf.Finding{ID: "VSPHERE-NVRAM-001", Severity: ovf.Warning, Object: "machine " + v.machine,
			Message: fmt.Sprintf("its firmware's variables stay behind (%v): it will boot with new ones, as from an empty store", err)})
	case len(v.content) > 0: // a machine that never ran has none
		k.nvram = append(k.nvram, v)
	}
}

// file is the first of the lease that is no disk and has a key with that end;
// without a lease there is none.
func (l *lease) file(end string) *types.HttpNfcLeaseDeviceUrl {
	if l == nil {
		return nil
	}
	for i, u := range l.info.DeviceUrl {
		if (u.Disk == nil || !*u.Disk) && strings.HasSuffix(u.Key, end) {
			return &l.info.DeviceUrl[i]
		}
	}
	return nil
}

// read fetches a small file of the lease.
func (l *lease) read(ctx context.Context, u *types.HttpNfcLeaseDeviceUrl) (out []byte, err error) {
	err = fetch.Retry(ctx, l.h.opts.Retry, u.Key, func(ctx context.Context) error {
		body, err := l.get(ctx, u)
		if err != nil {
			return err
		}
		defer body.Close()
		out, err = bounded(body)
		return err
	})
	return out, err
}

func bounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostVariables+1))
	if err == nil && len(b) > mostVariables {
		err = fmt.Errorf("it has more than %d bytes: %w", mostVariables, host.ErrUnsupported)
	}
	return b, err
}

// layoutFile reads the file of a machine that has that type in its layout; nil
// where it has none.
func (h *Host) layoutFile(ctx context.Context, vm types.ManagedObjectReference, kind types.VirtualMachineFileLayoutExFileType) ([]byte, error) {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(h.conn.Client).RetrieveOne(ctx, vm, []string{"layoutEx"}, &m); err != nil {
		return nil, explain(err)
	}
	if m.LayoutEx == nil {
		return nil, nil
	}
	for _, f := range m.LayoutEx.File {
		var p object.DatastorePath
		if f.Type == string(kind) && p.FromString(f.Name) {
			return h.datastoreFile(ctx, p)
		}
	}
	return nil, nil
}

// datastoreFile reads a small file of a datastore, past its lock where that lets
// it; nil where it is not there.
func (h *Host) datastoreFile(ctx context.Context, p object.DatastorePath) ([]byte, error) {
	f, err := h.openFile(ctx, p)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(io.NewSectionReader(f, 0, f.Size()))
}

// describeVariables puts the firmware's variables into the vCenter's descriptor
// of s, where it has not described them itself.
func (k *holdings) describeVariables(s *host.System, env *ovf.Envelope) error {
	listed, ids := map[string]string{}, map[string]bool{}
	for _, f := range env.Files() {
		listed[f.Href], ids[f.ID] = f.ID, true
	}
	machines := env.VirtualSystems()
	for _, v := range k.nvram {
		c, found := machineOf(machines, v.machine)
		if !found {
			return fmt.Errorf("system %s: the vCenter's descriptor has not the machine %s: %w", s.Name, v.machine, host.ErrUnsupported)
		}
		id, there := listed[v.href]
		if !there {
			id = strings.TrimSuffix(v.href, ".nvram") + "-nvram"
			for ids[id] {
				id += "-"
			}
			ids[id] = true
			if err := env.AddFile(ovf.File{ID: id, Href: v.href, Size: int64(len(v.content))}); err != nil {
				return err
			}
		}
		for _, hw := range c.Hardware() {
			if _, said := hw.Config("nvram"); said {
				continue
			}
			if err := hw.SetNVRAM(id); err != nil {
				return err
			}
		}
		s.FileNames = append(s.FileNames, v.href)
	}
	return nil
}

// machineOf is the machine of that name in a descriptor, or the only one there.
func machineOf(all []ovf.Content, name string) (ovf.Content, bool) {
	for _, c := range all {
		if len(all) == 1 || c.ID == name || c.Name == name {
			return c, true
		}
	}
	return ovf.Content{}, false
}

// inMemory is a kept file that was fetched whole.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
