package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Bounds of what a consumer can ask for, so that no request asks for more than
// any machine could ever have.
const (
	maxCPUs     = 4096
	maxMemory   = 1 << 34 // KiB: 16 TiB
	maxCapacity = 1 << 40 // kB: 1 PB
)

// kilobytes is a capacity in bytes, in whole sectors (5.6).
func kilobytes(n int64) int64 { return (n*1000 + 511) &^ 511 }

// sized gives a disk the capacity that was asked for, or what its content needs.
func sized(d *host.Disk, kb, content int64) {
	d.CapacityBytes, d.Kilobytes = kilobytes(kb), kb
	if content > d.CapacityBytes {
		d.CapacityBytes, d.Kilobytes = content, 0
	}
}

// capacity is that of a disk in kilobytes: what was asked for, else rounded up
// (mapping.md).
func capacity(d *host.Disk) int64 {
	if d.Kilobytes > 0 && kilobytes(d.Kilobytes) == d.CapacityBytes {
		return d.Kilobytes
	}
	return roundUp(d.CapacityBytes, 1000)
}

// plan is what a request makes: parts of the host's, resources of the
// Provider's own, and what to do once they are there.
type plan struct {
	p     *Provider
	c     change
	fills map[string]fill // by the disk's id
	disks []*host.Disk    // of what is made: those that need a file
	made  []cimi.Resource // as Events tell of them
	// starts are the machines and the states they are to be in.
	starts []initial
	// overlays are what lies over what is made, by id.
	overlays map[string]cimi.Resource
	// root, inside and machines say what goes where, for finish.
	root, inside string
	machines     []*host.Machine
	// networks are those that are made in the same System.
	networks []*host.Network
	// subnetworks are made with the Network they are in.
	subnetworks []*host.Network
	// connected are the existing Volumes that its machines take.
	connected map[string]bool
	// close ends what fills read from, when all is made.
	close []func() error
}

// fill writes the content of a disk.
type fill struct {
	what string
	do   host.Fill
}

type initial struct {
	machine, state string
}

func (p *Provider) newPlan() *plan { return &plan{p: p, fills: map[string]fill{}} }

// fill is the host.Fill of all disks together.
func (pl *plan) fill(ctx context.Context, d *host.Disk, sink disk.Sink) error {
	f, ok := pl.fills[d.ID]
	if !ok {
		return nil
	}
	if err := f.do(ctx, d, sink); err != nil {
		return fmt.Errorf("disk %s from %s: %w", d.Name, f.what, err)
	}
	return nil
}

func (pl *plan) end() error {
	var errs []error
	for _, c := range pl.close {
		errs = append(errs, c())
	}
	pl.close = nil
	return errors.Join(errs...)
}

// place makes what is planned as Systems of the host's own, noted before they
// are made: what is there when the process dies is removed at the next start.
func (pl *plan) place(ctx context.Context, systems ...*host.System) (err error) {
	p := pl.p
	var noted []string
	for _, s := range systems {
		noted = append(noted, s.ID)
	}
	if err := p.db.change(func(tx *sql.Tx) error {
		for _, id := range noted {
			if _, err := tx.Exec("INSERT OR IGNORE INTO making(id) VALUES (?)", id); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	var there []string
	defer func() {
		if err != nil {
			err = errors.Join(err, p.unmake(context.WithoutCancel(ctx), there, noted))
		}
	}()
	for _, s := range systems {
		if err := p.maker().Make(ctx, s, pl.fill); err != nil {
			return err
		}
		there = append(there, s.ID)
	}
	return pl.settle(ctx, noted)
}

// settle commits the Provider's own part of a plan and starts what is to run;
// a machine that cannot be brought into its state fails the whole (5.14.2.1).
func (pl *plan) settle(ctx context.Context, noted []string) error {
	for _, s := range pl.starts {
		if err := pl.p.bring(ctx, s.machine, s.state); err != nil {
			return err
		}
	}
	for _, r := range pl.made {
		pl.c.modelEvent(pl.p, r, "create", "")
	}
	pl.c.write(func(tx *sql.Tx) error {
		for _, id := range noted {
			if _, err := tx.Exec("DELETE FROM making WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	return pl.p.commit(&pl.c)
}

// unmake removes Systems that a plan made before it failed.
func (p *Provider) unmake(ctx context.Context, there, noted []string) error {
	var errs []error
	for _, id := range there {
		if s, err := p.host.System(ctx, id); err == nil {
			errs = append(errs, p.halt(ctx, s))
		}
		if err := p.host.Delete(ctx, id); err != nil && !errors.Is(err, host.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 && errors.Join(errs...) != nil {
		return errors.Join(errs...) // still noted: removed at the next start
	}
	return p.db.change(func(tx *sql.Tx) error {
		for _, id := range noted {
			if _, err := tx.Exec("DELETE FROM making WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// halt stops what runs of a System that is to be removed.
func (p *Provider) halt(ctx context.Context, s *host.System) error {
	power, ok := p.host.(host.Power)
	if !ok {
		return nil
	}
	var errs []error
	for m := range s.AllMachines() {
		if m.State != host.Stopped {
			errs = append(errs, power.Stop(ctx, m.ID, true))
		}
	}
	return errors.Join(errs...)
}

// sweep removes what earlier processes were making when they died, and the
// packages of templates that are gone.
func (p *Provider) sweep(ctx context.Context) error {
	noted, err := texts(ctx, p.db.db, "SELECT id FROM making")
	if err != nil {
		return err
	}
	if len(noted) > 0 {
		if err := p.unmake(ctx, noted, noted); err != nil {
			return err
		}
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	var orphans []string
	for s := range w.all() {
		if s.Holder == host.HoldsTemplate {
			if n, err := p.db.count(ctx, "SELECT count(*) FROM resources WHERE id = ?", s.Of); err == nil && n == 0 {
				orphans = append(orphans, s.ID)
			}
		}
		if s.Holder != "" && s.Empty() {
			orphans = append(orphans, s.ID)
		}
	}
	done()
	for _, id := range orphans {
		if err := p.host.Delete(ctx, id); err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
	}
	return nil
}
