package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// states asks libvirt what each machine is doing. One whose domain was removed
// by somebody else is stopped.
func (h *Host) states(s *host.System) error {
	for m := range s.AllMachines() {
		d, err := h.domain(m.ID)
		if errors.Is(err, host.ErrNotFound) {
			m.State = host.Stopped
			continue
		}
		if err != nil {
			return err
		}
		if m.State, err = h.state(d); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	return nil
}

func (h *Host) state(d lv.Domain) (host.PowerState, error) {
	state, _, err := h.conn.DomainGetState(d, 0)
	switch lv.DomainState(state) {
	case lv.DomainShutoff, lv.DomainCrashed, lv.DomainNostate:
		return host.Stopped, err
	case lv.DomainPaused:
		return host.Paused, err
	case lv.DomainPmsuspended:
		return host.Suspended, err
	}
	return host.Started, err // running, blocked, or on its way down
}

// machine finds the System of a machine.
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

// Start starts a machine. The digests of its disks are void from then on; the
// next export takes them anew.
func (h *Host) Start(ctx context.Context, machineID string) error {
	h.write.Lock()
	defer h.write.Unlock()
	e, m, err := h.machine(ctx, machineID)
	if err != nil {
		return err
	}
	d, err := h.domain(machineID)
	if err != nil {
		return err
	}
	if state, err := h.state(d); err != nil || state == host.Started {
		return err
	}
	changed := false
	for _, a := range m.Attachments {
		if k := e.System.Disk(a.DiskID); k != nil && k.ContentDigest != "" {
			k.ContentDigest, changed = "", true
		}
	}
	if changed {
		if err := h.ledger.Replace(ctx, e); err != nil {
			return err
		}
	}
	err = h.conn.DomainCreate(d)
	if err == nil || !h.kvm || h.opts.DomainType != "" {
		return wrapMachine(m, err)
	}
	// Offered is not working: /dev/kvm may be there and refuse.
	at, siteErr := h.site()
	if siteErr != nil {
		return errors.Join(wrapMachine(m, err), siteErr)
	}
	at.Type = "qemu"
	if again := h.define(at, e.System, m); again != nil {
		return errors.Join(wrapMachine(m, err), again)
	}
	if again := h.conn.DomainCreate(d); again != nil {
		return errors.Join(wrapMachine(m, err), again)
	}
	h.kvm = false
	return nil
}

func wrapMachine(m *host.Machine, err error) error {
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return nil
}

// poll is how often Stop looks whether the machine has stopped.
const poll = 200 * time.Millisecond

// Stop asks the guest to shut down and waits until it has, or ctx ends; with
// force it takes the power away.
func (h *Host) Stop(ctx context.Context, machineID string, force bool) error {
	d, err := h.domain(machineID)
	if err != nil {
		return err
	}
	if state, err := h.state(d); err != nil || state == host.Stopped {
		return err
	}
	if force {
		err = h.conn.DomainDestroy(d)
		if is(err, lv.ErrOperationInvalid) {
			return nil // it stopped by itself
		}
		return err
	}
	if err := h.conn.DomainShutdown(d); err != nil && !is(err, lv.ErrOperationInvalid) {
		return err
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine %s has not shut down: %w", machineID, context.Cause(ctx))
		case <-tick.C:
		}
		if state, err := h.state(d); err != nil || state == host.Stopped {
			return err
		}
	}
}
