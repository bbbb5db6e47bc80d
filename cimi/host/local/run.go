package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local/qemu"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Runner is a Host that runs its machines with QEMU, on QEMU's user-mode
// network: they reach out and are not reached. What a machine writes to its
// serial port is kept in DIR/run/MACHINE/serial.log. Machines outlive the
// Runner; the next one finds them again.
//
// The content digests of a machine's disks are void from its start on, and
// taken anew by the next export.
type Runner struct {
	*Host
	program string

	mu      sync.Mutex
	running map[string]*qemu.Machine // by machine id
	places  map[string]string        // System of each machine, as it was seen last; see find
	reads   int                      // how often all Systems were read for it
	watches sync.WaitGroup
	closing bool
	kvm     kvmTrust
}

var (
	_ host.Power   = (*Runner)(nil)
	_ host.Pauser  = (*Runner)(nil)
	_ host.Tracker = (*Runner)(nil)
)

// ErrNoEmulator: machines cannot be run here.
var ErrNoEmulator = errors.New("machines are not run here")

// Run takes h over and finds the machines that run. Where there is no QEMU the
// error wraps ErrNoEmulator; after any error h is as it was.
func Run(ctx context.Context, h *Host) (*Runner, error) {
	program, err := qemu.Program()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoEmulator, err)
	}
	r := &Runner{Host: h, program: program, running: map[string]*qemu.Machine{}}
	return r, r.attach(ctx)
}

// attach finds the machines that were started before, and settles those that
// have ended meanwhile.
func (r *Runner) attach(ctx context.Context) error {
	for s, err := range r.Host.Systems(ctx) {
		if err != nil {
			return err
		}
		for m := range s.AllMachines() {
			if m.State == host.Stopped || m.State == host.Failed {
				continue
			}
			vm, err := qemu.Attach(ctx, r.folder(m.ID))
			switch {
			case errors.Is(err, qemu.ErrEnded):
				if err := r.ended(ctx, m.ID, host.Stopped); err != nil {
					return err
				}
			case err != nil:
				return fmt.Errorf("machine %s: %w", m.Name, err)
			default:
				if r.watch(m.ID, vm); m.State == host.Started {
					r.watchKVM(m.ID, vm)
				}
			}
		}
	}
	return nil
}

func (r *Runner) folder(machine string) string { return filepath.Join(r.dir, "run", machine) }

// watch notes when a machine ends.
func (r *Runner) watch(machine string, vm *qemu.Machine) {
	r.mu.Lock()
	r.running[machine] = vm
	r.mu.Unlock()
	r.watches.Go(func() {
		<-vm.Done()
		r.mu.Lock()
		closing := r.closing
		if r.running[machine] == vm {
			delete(r.running, machine)
		}
		r.mu.Unlock()
		if closing {
			return // it may run on
		}
		state := host.Stopped
		if !vm.Orderly() {
			state = host.Failed
		}
		if err := r.ended(context.Background(), machine, state); err != nil {
			slog.Error("a machine has ended, and that could not be recorded", "machine", machine, "error", err)
		}
	})
}

func (r *Runner) vm(machine string) *qemu.Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[machine]
}

// Close leaves the machines running.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closing = true
	var errs []error
	for _, vm := range r.running {
		errs = append(errs, vm.Close())
	}
	r.mu.Unlock()
	r.watches.Wait()
	return errors.Join(append(errs, r.Host.Close())...)
}

// change changes the record of the System that holds a machine.
func (r *Runner) change(ctx context.Context, system, machine string, change func(*host.System, *host.Machine) error, more func(*sql.Tx) error) error {
	r.write.Lock()
	defer r.write.Unlock()
	err := transact(ctx, r.db, func(tx *sql.Tx) error {
		s, err := txRecord(ctx, tx, system)
		if err != nil {
			return err
		}
		for m := range s.AllMachines() {
			if m.ID == machine {
				err = change(s, m)
			}
		}
		if err != nil {
			return err
		}
		if more != nil {
			if err := more(tx); err != nil {
				return err
			}
		}
		return putRecord(ctx, tx, s)
	})
	if err == nil {
		r.changed(system)
	}
	return err
}

// ended records that a machine has stopped, and what its disks' files look like now.
func (r *Runner) ended(ctx context.Context, machine string, state host.PowerState) error {
	s, m, err := r.find(ctx, machine)
	if errors.Is(err, host.ErrNotFound) {
		return nil // deleted
	}
	if err != nil {
		return err
	}
	stamps := map[string]map[string]stamp{} // by System: a disk may be another's
	for _, a := range m.Attachments {
		owner, d, err := r.diskOf(ctx, s, a.DiskID)
		if err != nil {
			return err
		}
		st, err := os.Stat(filepath.Join(r.dir, diskPath(d)))
		if err != nil {
			return err
		}
		if stamps[owner] == nil {
			stamps[owner] = map[string]stamp{}
		}
		stamps[owner][d.ID] = stampOf(st)
	}
	return r.change(ctx, s.ID, machine, func(_ *host.System, m *host.Machine) error {
		m.State = state
		return nil
	}, func(tx *sql.Tx) error {
		for owner, k := range stamps {
			if err := insertStamps(ctx, tx, owner, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// busy is an error where a machine of a System runs.
func (r *Runner) busy(ctx context.Context, id string) error {
	s, err := r.Host.record(ctx, id)
	if err != nil {
		return err
	}
	for m := range s.AllMachines() {
		if m.State != host.Stopped && m.State != host.Failed {
			return fmt.Errorf("machine %s is %s: %w", m.Name, m.State, host.ErrBusy)
		}
	}
	return nil
}

// Export measures the disks that machines have written to.
func (r *Runner) Export(ctx context.Context, id string, opts host.ExportOptions) (host.Export, error) {
	if opts.Live || host.FrozenSnapshot(opts.Frozen) != "" {
		return r.Host.export(ctx, id, opts, r.copyDisks)
	}
	if err := r.busy(ctx, id); err != nil {
		return nil, err
	}
	for _, k := range append([]string{id}, opts.Using...) {
		if err := r.measure(ctx, k); err != nil {
			return nil, err
		}
	}
	return r.Host.Export(ctx, id, opts)
}

// measure takes the digests that are void.
func (r *Runner) measure(ctx context.Context, id string) error {
	s, err := r.Host.record(ctx, id)
	if err != nil {
		return err
	}
	digests := map[string]disk.Digest{}
	for d := range s.AllDisks() {
		if d.ContentDigest != "" || d.ContentBytes == 0 || d.Unproved {
			continue
		}
		img, err := r.openDisk(d)
		if err != nil {
			return err
		}
		digest, err := disk.ContentDigest(ctx, img, min(d.ContentBytes, img.Size()), nil)
		if err = errors.Join(err, img.Close()); err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
		digests[d.ID] = digest
	}
	if len(digests) == 0 {
		return nil
	}
	r.write.Lock()
	defer r.write.Unlock()
	err = transact(ctx, r.db, func(tx *sql.Tx) error {
		s, err := txRecord(ctx, tx, id)
		if err != nil {
			return err
		}
		for d := range s.AllDisks() {
			if digest, ok := digests[d.ID]; ok {
				d.ContentBytes, d.ContentDigest = digest.Size, digest.String()
			}
		}
		return putRecord(ctx, tx, s)
	})
	if err == nil {
		r.changed(id)
	}
	return err
}

// Delete removes a System whose machines do not run, with what they wrote.
func (r *Runner) Delete(ctx context.Context, id string) error {
	if err := r.busy(ctx, id); err != nil {
		return err
	}
	s, err := r.Host.record(ctx, id)
	if err != nil {
		return err
	}
	if err := r.Host.Delete(ctx, id); err != nil {
		return err
	}
	var errs []error
	for m := range s.AllMachines() {
		errs = append(errs, os.RemoveAll(r.folder(m.ID)))
	}
	return errors.Join(errs...)
}
