package local

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local/qemu"
)

// copyDisks copies the disks of machines that run with QEMU's own backup, which
// keeps what is overwritten meanwhile, and the others as files. Each machine's
// disks are as at one moment.
func (r *Runner) copyDisks(ctx context.Context, s *host.System, to map[string]*os.File) error {
	r.mu.Lock()
	running := maps.Clone(r.running)
	r.mu.Unlock()
	users := map[string][]*qemu.Machine{}
	for id, vm := range running {
		_, m, err := r.find(ctx, id)
		if err != nil {
			return err
		}
		for _, a := range m.Attachments {
			users[a.DiskID] = append(users[a.DiskID], vm)
		}
	}
	copies := map[*qemu.Machine][]qemu.Copy{}
	for d := range s.AllDisks() {
		switch vms := users[d.ID]; len(vms) {
		case 0:
			if err := r.copyDisk(ctx, d, to[d.ID]); err != nil {
				return noRoom("disk "+d.Name, d.CapacityBytes, err)
			}
		case 1:
			copies[vms[0]] = append(copies[vms[0]], qemu.Copy{From: filepath.Join(r.dir, diskPath(d)), To: to[d.ID].Name()})
		default:
			// One would keep what it overwrites itself, and not what the other does.
			return fmt.Errorf("disk %s: %d machines that run share it: %w", d.Name, len(vms), host.ErrBusy)
		}
	}
	for vm, c := range copies {
		if err := vm.CopyDisks(ctx, c); err != nil {
			return fmt.Errorf("system %s: a snapshot of its disks: %w", s.Name, err)
		}
	}
	return nil
}
