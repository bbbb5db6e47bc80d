package libvirt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// known is a domain of this libvirtd.
type known struct {
	lv.Domain
	state host.PowerState
}

// domains are all domains by machine id.
func (h *Host) domains(ctx context.Context) (map[string]known, error) {
	out := map[string]known{}
	err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		all, _, err := l.ConnectListAllDomains(1, 0)
		if err != nil {
			return err
		}
		clear(out)
		for _, d := range all {
			state, err := stateOf(l, d)
			if is(err, lv.ErrNoDomain) {
				continue
			}
			if err != nil {
				return err
			}
			out[hex.EncodeToString(d.UUID[:])] = known{d, state}
		}
		return nil
	})
	return out, err
}

// states asks libvirt what each machine is doing. One whose domain was removed
// by somebody else is stopped.
func (h *Host) states(ctx context.Context, s *host.System) error {
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		for m := range s.AllMachines() {
			id, err := domainUUID(m.ID)
			if err != nil {
				return err
			}
			d, err := l.DomainLookupByUUID(id)
			if err == nil {
				m.State, err = stateOf(l, d)
			}
			if is(err, lv.ErrNoDomain) {
				m.State, err = host.Stopped, nil
			}
			if err != nil {
				return fmt.Errorf("machine %s: %w", m.Name, err)
			}
		}
		return nil
	})
}

func stateOf(l *lv.Libvirt, d lv.Domain) (host.PowerState, error) {
	state, _, err := l.DomainGetState(d, 0)
	switch lv.DomainState(state) {
	case lv.DomainShutoff, lv.DomainNostate:
		if saved, err := l.DomainHasManagedSaveImage(d, 0); err == nil && saved == 1 {
			return host.Suspended, nil
		}
		return host.Stopped, err
	case lv.DomainCrashed:
		return host.Failed, err
	case lv.DomainPaused:
		return host.Paused, err
	case lv.DomainPmsuspended:
		return host.Suspended, err
	}
	return host.Started, err // running, blocked, or on its way down
}

func domainUUID(machineID string) (lv.UUID, error) {
	b, err := hex.DecodeString(machineID)
	if err != nil || len(b) != len(lv.UUID{}) {
		return lv.UUID{}, fmt.Errorf("machine %s: %w", machineID, host.ErrNotFound)
	}
	return lv.UUID(b), nil
}

// onDomain runs f for a machine's domain.
func (h *Host) onDomain(ctx context.Context, machineID string, f func(*lv.Libvirt, lv.Domain) error) error {
	id, err := domainUUID(machineID)
	if err != nil {
		return err
	}
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		d, err := l.DomainLookupByUUID(id)
		if is(err, lv.ErrNoDomain) {
			return fmt.Errorf("machine %s: %w", machineID, host.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return f(l, d)
	})
}

func (h *Host) state(ctx context.Context, machineID string) (state host.PowerState, err error) {
	err = h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		var err error
		state, err = stateOf(l, d)
		return err
	})
	return state, err
}

// machine finds the System of a machine that was made here.
func (h *Host) machine(ctx context.Context, id string) (*ledger.Entry, *host.Machine, error) {
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range all {
		for m := range e.System.AllMachines() {
			if m.ID == id {
				return e, m, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("machine %s: %w", id, host.ErrNotFound)
}

// Start starts a machine, or lets one go on that is paused or suspended. The
// digests of its disks are void from then on; the next export takes them anew.
func (h *Host) Start(ctx context.Context, machineID string) error {
	h.write.Lock()
	defer h.write.Unlock()
	state, err := h.state(ctx, machineID)
	switch {
	case err != nil || state == host.Started:
		return err
	case state == host.Paused:
		return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error { return l.DomainResume(d) })
	}
	e, m, err := h.machine(ctx, machineID)
	if errors.Is(err, host.ErrNotFound) {
		return h.create(ctx, machineID) // made by others
	}
	if err != nil {
		return err
	}
	changed := false
	for _, a := range m.Attachments {
		if k := e.System.Disk(a.DiskID); k != nil && k.Unproved {
			return fmt.Errorf("machine %s: disk %s: %w", m.Name, k.Name, host.ErrUnproved)
		}
		if k := e.System.Disk(a.DiskID); k != nil && (k.ContentDigest != "" || k.ContentBytes == 0) {
			// A blank disk may get content, too.
			k.ContentDigest, k.ContentBytes, changed = "", k.CapacityBytes, true
		}
	}
	if changed {
		if err := h.ledger.Replace(ctx, e); err != nil {
			return err
		}
	}
	err = h.create(ctx, machineID)
	if !h.kvm || h.opts.DomainType != "" {
		return wrapMachine(m, err)
	}
	if err == nil {
		stands, watchErr := h.standsStill(ctx, machineID)
		if watchErr != nil || !stands {
			return wrapMachine(m, watchErr)
		}
		err = h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error { return l.DomainDestroy(d) })
	}
	// Offered is not working: /dev/kvm may be there and refuse, or begin well and
	// not be able to go on.
	if again := h.emulate(ctx, e, machineID); again != nil {
		return wrapMachine(m, errors.Join(err, again))
	}
	h.kvm = false
	return nil
}

// kvmTrial is how long the first machine is watched on a hypervisor that is
// itself a virtual machine: one that its KVM cannot run stands still before its
// system is up.
const kvmTrial = 20 * time.Second

// standsStill tells whether a machine that was just started does not run on.
func (h *Host) standsStill(ctx context.Context, machineID string) (bool, error) {
	if !h.caps.doubt {
		return false, nil
	}
	for end := time.Now().Add(kvmTrial); time.Now().Before(end); {
		state, err := h.state(ctx, machineID)
		if err != nil || state == host.Paused || state == host.Failed {
			return err == nil, err
		}
		if state == host.Stopped {
			break
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(poll):
		}
	}
	h.caps.doubt = false
	return false, nil
}

// emulate defines a machine without KVM and starts it.
func (h *Host) emulate(ctx context.Context, e *ledger.Entry, machineID string) error {
	at, err := h.site(ctx)
	if err != nil {
		return err
	}
	at.Type = "qemu"
	machines, err := h.described(ctx, e.System, placesOf(e, h.opts.Pool))
	if err != nil {
		return err
	}
	for _, m := range machines {
		if m.ID == machineID {
			if err := h.settle(ctx, at, e, m); err != nil {
				return err
			}
		}
	}
	return h.create(ctx, machineID)
}

func (h *Host) create(ctx context.Context, machineID string) error {
	tries := 0
	return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		err := l.DomainCreate(d)
		if tries++; tries > 1 && is(err, lv.ErrOperationInvalid) {
			return nil // it was started before the connection was lost
		}
		return err
	})
}

func wrapMachine(m *host.Machine, err error) error {
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return nil
}

// Pause halts a machine, its memory kept.
func (h *Host) Pause(ctx context.Context, machineID string) error {
	return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		if state, err := stateOf(l, d); err != nil || state == host.Paused {
			return err
		}
		return l.DomainSuspend(d)
	})
}

// Suspend halts a machine and writes its memory to disk; Start goes on.
func (h *Host) Suspend(ctx context.Context, machineID string) error {
	return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		if state, err := stateOf(l, d); err != nil || state == host.Suspended {
			return err
		}
		return l.DomainManagedSave(d, 0)
	})
}

const (
	// poll is how often Stop looks whether the machine has stopped, and askAgain
	// how often it asks: a guest that is still booting does not hear it.
	poll     = 200 * time.Millisecond
	askAgain = 10 * time.Second
)

// Stop asks the guest to shut down and waits until it has, or ctx ends; with
// force it takes the power away.
func (h *Host) Stop(ctx context.Context, machineID string, force bool) error {
	state, err := h.state(ctx, machineID)
	if err != nil || state == host.Stopped {
		return err
	}
	if force || state == host.Failed || state == host.Suspended {
		return h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
			if state == host.Suspended {
				return l.DomainManagedSaveRemove(d, 0)
			}
			err := l.DomainDestroy(d)
			if is(err, lv.ErrOperationInvalid) {
				return nil // it stopped by itself
			}
			return err
		})
	}
	var asked time.Time
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if time.Since(asked) > askAgain {
			asked = time.Now()
			err := h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error { return l.DomainShutdown(d) })
			if err != nil && !is(err, lv.ErrOperationInvalid) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine %s has not shut down; force takes its power away: %w", machineID, context.Cause(ctx))
		case <-tick.C:
		}
		if state, err := h.state(ctx, machineID); err != nil || state == host.Stopped {
			return err
		}
	}
}

// undefine removes a domain, running or not; that it is not there is no error.
func (h *Host) undefine(ctx context.Context, machineID string) error {
	err := h.onDomain(ctx, machineID, func(l *lv.Libvirt, d lv.Domain) error {
		if state, err := stateOf(l, d); err == nil && (state == host.Started || state == host.Paused) {
			if err := l.DomainDestroy(d); err != nil && !is(err, lv.ErrOperationInvalid) {
				return err
			}
		}
		flags := lv.DomainUndefineNvram | lv.DomainUndefineManagedSave | lv.DomainUndefineSnapshotsMetadata
		if h.caps.backup { // an older libvirt does not know checkpoints
			flags |= lv.DomainUndefineCheckpointsMetadata
		}
		return l.DomainUndefineFlags(d, flags)
	})
	if errors.Is(err, host.ErrNotFound) || is(err, lv.ErrNoDomain) {
		return nil
	}
	return err
}
