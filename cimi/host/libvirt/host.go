package libvirt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
)

// Systems lists what was imported here, then the domains that others made, then
// the hypervisor's networks, each in a place of its own.
func (h *Host) Systems(ctx context.Context) iter.Seq2[*host.System, error] {
	return func(yield func(*host.System, error) bool) {
		all, err := h.ledger.All(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		domains, err := h.domains(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, e := range all {
			for m := range e.System.AllMachines() {
				m.State = host.Stopped // one that somebody removed
				if d, ok := domains[m.ID]; ok {
					m.State = d.state
					delete(domains, m.ID)
				}
			}
			h.tracks(ctx, e.System, placesOf(e, h.opts.Pool))
			if !yield(e.System, nil) {
				return
			}
		}
		networks, err := h.networks(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, s := range append(h.foreign(ctx, domains), networks...) {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// System reads one System with the state its machines have now.
func (h *Host) System(ctx context.Context, id string) (*host.System, error) {
	e, err := h.entry(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.System, nil
}

// entry reads what is kept of a System, with the state that its machines have
// now; of a domain that others made, what its description says.
func (h *Host) entry(ctx context.Context, id string) (*ledger.Entry, error) {
	e, err := h.ledger.Get(ctx, id)
	if errors.Is(err, host.ErrNotFound) {
		f, foreignErr := h.foreignSystem(ctx, id)
		if foreignErr != nil {
			return nil, errors.Join(err, ignoreNotFound(foreignErr))
		}
		return &ledger.Entry{System: f.system, Places: f.encoded()}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := h.states(ctx, e.System); err != nil {
		return nil, err
	}
	h.tracks(ctx, e.System, placesOf(e, h.opts.Pool))
	return e, nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	return err
}

// Import uploads disks as they come and defines domains when all is there.
func (h *Host) Import(ctx context.Context, pkg ovf.Package, opts host.ImportOptions) (_ *host.System, err error) {
	arrival, err := host.PlanImport(ctx, pkg, opts, h.Capabilities())
	if err != nil {
		return nil, err
	}
	s := arrival.System
	s.Holder = opts.Holder
	at, err := h.site(ctx)
	if err != nil {
		return nil, err
	}
	in := &incoming{h: h, id: s.ID, places: map[string]place{}}
	defer func() {
		if in.arrival != nil {
			h.arriving.Give(in.arrival.Key)
		}
	}()
	if err := h.arrivedBefore(ctx, in, arrival, opts.Resume); err != nil {
		return nil, err
	}
	note := ledger.Note{}
	for d := range s.AllDisks() {
		where, _, err := h.wanted(ctx, d)
		if err != nil {
			return nil, err
		}
		in.places[d.ID] = where
		note.Disks, note.Pools = append(note.Disks, contentID(d)), append(note.Pools, where.pool)
	}
	if runs(s) {
		for m := range s.AllMachines() {
			note.Machines = append(note.Machines, m.ID)
		}
	}
	// What libvirt would refuse after the upload is better refused before.
	machines, err := h.machines(ctx, s, arrival.Package().Envelope(), in.places, opts.Finding)
	if err != nil {
		return nil, err
	}
	for _, m := range machines {
		if err := h.check(ctx, at, m, opts.Finding); err != nil {
			return nil, err
		}
	}
	if err := h.ledger.Begin(ctx, s.ID, note); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			clean := context.WithoutCancel(ctx)
			err = errors.Join(err, in.leave(clean, err), h.undo(clean, s.ID, note))
		}
	}()
	if err := arrival.Unpack(ctx, in); err != nil {
		return nil, err
	}
	if err := in.finish(); err != nil {
		return nil, err
	}
	e := &ledger.Entry{System: s, Manifest: arrival.Manifest(), Certificate: arrival.Certificate(), FileSizes: in.sizes, Places: encodePlaces(in.places)}
	for d := range s.AllDisks() {
		if err := h.dateDigest(ctx, e, d, in.places[d.ID]); err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	for _, m := range machines {
		if err := h.settle(ctx, at, e, m); err != nil {
			return nil, fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := h.ledger.Commit(context.WithoutCancel(ctx), e); err != nil || in.arrival == nil {
		return s, err
	}
	// Listed it is; what is kept counts no more, and is told from it by its record.
	return s, h.ledger.ForgetArrival(context.WithoutCancel(ctx), opts.Resume)
}

// site is the hypervisor as it is now.
func (h *Host) site(ctx context.Context) (site, error) {
	at := site{Type: "qemu", Networks: map[string]bool{}, ConsoleDir: h.opts.ConsoleDir, caps: h.caps}
	if h.kvm {
		at.Type = "kvm"
	}
	return at, h.conn.call(ctx, func(l *lv.Libvirt) error {
		nets, _, err := l.ConnectListAllNetworks(1, 0)
		for _, n := range nets {
			at.Networks[n.Name] = true
		}
		return err
	})
}

// machines are those of a System with what its descriptor says of them.
func (h *Host) machines(ctx context.Context, s *host.System, descriptor *ovf.Envelope, places map[string]place, finding func(ovf.Finding)) ([]*machine, error) {
	delays := map[string]time.Duration{}
	groups, err := host.StartPlan(s, s)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		for _, m := range g.Machines {
			delays[m.ID] = g.Delay
		}
	}
	var out []*machine
	if !runs(s) {
		return nil, nil
	}
	others, places, err := h.borrowed(ctx, s, places)
	if err != nil {
		return nil, err
	}
	for m := range s.AllMachines() {
		w, err := h.hardwareOf(s, m, descriptor, finding)
		if err != nil {
			return nil, err
		}
		out = append(out, &machine{system: s, Machine: m, hardware: w, startDelay: int(delays[m.ID].Seconds()), places: places, others: others, pool: h.opts.Pool, files: map[string]string{}})
	}
	return out, nil
}

// borrowed are the disks that machines of s use and other Systems hold, and the
// places with theirs.
func (h *Host) borrowed(ctx context.Context, s *host.System, places map[string]place) (map[string]*host.Disk, map[string]place, error) {
	missing := map[string]bool{}
	for m := range s.AllMachines() {
		for _, a := range m.Attachments {
			if s.Disk(a.DiskID) == nil {
				missing[a.DiskID] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil, places, nil
	}
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, nil, err
	}
	others, places := map[string]*host.Disk{}, maps.Clone(places)
	for _, e := range all {
		own := placesOf(e, h.opts.Pool)
		for d := range e.System.AllDisks() {
			if missing[d.ID] {
				others[d.ID], places[d.ID] = d, own[d.ID]
			}
		}
	}
	return others, places, nil
}

// runs tells a System whose machines are domains from a picture of one.
func runs(s *host.System) bool {
	switch s.Holder {
	case host.HoldsMachineImage, host.HoldsVolumeImage, host.HoldsTemplate:
		return false
	}
	return true
}

// check sees whether a domain can be made of a machine, and what it loses.
func (h *Host) check(ctx context.Context, at site, m *machine, finding func(ovf.Finding)) error {
	if _, err := at.domain(m, m.ID); err != nil {
		return err
	}
	if finding == nil {
		return nil
	}
	var owners map[string]string
	for _, n := range m.NICs {
		if name := networkName(m.system, n); !at.connects(name) {
			finding(ovf.Finding{ID: "LIBVIRT-NET-001", Severity: ovf.Warning, Object: "machine " + m.Name, Clause: "DSP0243 9.2",
				Message: fmt.Sprintf("libvirt has no network %q: the card is not connected", name),
				Hint:    "--net " + name + "=NETWORK, bridge:NAME or user; networks: " + strings.Join(sorted(at.Networks), ", ")})
		}
		if n.MAC == "" {
			continue
		}
		if owners == nil {
			owners = h.macOwners(ctx)
		}
		if owner := owners[strings.ToLower(n.MAC)]; owner != "" {
			finding(ovf.Finding{ID: "LIBVIRT-MAC-001", Severity: ovf.Warning, Object: "machine " + m.Name, Clause: "DSP0243 8.3",
				Message: fmt.Sprintf("address %s is taken by domain %s", n.MAC, owner), Hint: "--mac regenerate gives another"})
		}
	}
	return nil
}

// settle makes the domain of a machine whose disks are there.
func (h *Host) settle(ctx context.Context, at site, e *ledger.Entry, m *machine) error {
	for i, name := range e.System.FileNames {
		m.files[name] = prefix + ledger.FileName(e.System.ID, i)
	}
	var nvram []byte
	if m.NVRAM != "" {
		f, err := h.ledger.OpenFile(ctx, e, m.NVRAM)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
		if err == nil {
			nvram, err = io.ReadAll(io.NewSectionReader(f, 0, min(f.Size(), 64<<20)))
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
	}
	if err := h.prepare(ctx, m.Machine, &m.hardware, nvram); err != nil {
		return err
	}
	return h.define(ctx, at, m)
}

// define defines a machine's domain: under the machine's name where that is
// free, else with part of its id. Names are those of the whole libvirtd: another
// client may take one between the look and the definition.
func (h *Host) define(ctx context.Context, at site, m *machine) error {
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		id, err := domainUUID(m.ID)
		if err != nil {
			return err
		}
		defineAs := func(name string) error {
			b, err := at.domain(m, name)
			if err == nil {
				_, err = l.DomainDefineXML(string(b))
			}
			return err
		}
		taken := func(name string) bool {
			d, err := l.DomainLookupByName(name)
			return err == nil && d.UUID != id
		}
		if old, err := l.DomainLookupByUUID(id); err == nil {
			return defineAs(old.Name)
		}
		name := domainName(m.Name)
		other := name + "-" + m.ID[:8]
		if taken(name) {
			return defineAs(other)
		}
		if err = defineAs(name); err != nil && taken(name) {
			err = defineAs(other)
		}
		return err
	})
}

func domainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '-'
		}
		return r
	}, name)
	if name = strings.TrimSpace(name); name == "" || name == "." || name == ".." {
		return "machine"
	}
	return name
}

// Update changes the record, and defines anew the domains of machines that
// differ; their names in libvirt stay.
func (h *Host) Update(ctx context.Context, s *host.System) error {
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.ledger.Get(ctx, s.ID)
	if errors.Is(err, host.ErrNotFound) {
		if _, foreignErr := h.foreignSystem(ctx, s.ID); foreignErr == nil {
			return fmt.Errorf("system %s is a domain that was not made here: it is not changed: %w", s.Name, host.ErrUnsupported)
		}
	}
	if err != nil {
		return err
	}
	// The state is not the consumer's to write.
	want := *s
	if err := h.states(ctx, e.System); err != nil {
		return err
	}
	next, err := host.ApplyUpdate(e.System, &want)
	if err != nil {
		return err
	}
	next.Descriptor = e.System.Descriptor
	if err := h.redefine(ctx, e, next, placesOf(e, h.opts.Pool)); err != nil {
		return err
	}
	next.Updated = time.Now().UTC()
	e.System = next
	return h.ledger.Replace(ctx, e)
}

// redefine makes the domains of a System those of next, whose disks are at
// places: it defines those that differ, and removes those that are no more.
func (h *Host) redefine(ctx context.Context, e *ledger.Entry, next *host.System, places map[string]place) error {
	at, err := h.site(ctx)
	if err != nil {
		return err
	}
	was, err := h.described(ctx, e.System, placesOf(e, h.opts.Pool))
	if err != nil {
		return err
	}
	before := map[string][]byte{}
	for _, m := range was {
		if before[m.ID], err = at.domain(m, m.ID); err != nil {
			return err
		}
	}
	now, err := h.described(ctx, next, places)
	if err != nil {
		return err
	}
	for _, m := range now {
		after, err := at.domain(m, m.ID)
		if err != nil {
			return err
		}
		old, there := before[m.ID]
		delete(before, m.ID)
		if there && bytes.Equal(old, after) {
			continue
		}
		if err := h.settle(ctx, at, e, m); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	for id := range before {
		if err := h.undefine(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// described are the machines of a System that is here.
func (h *Host) described(ctx context.Context, s *host.System, places map[string]place) ([]*machine, error) {
	var env *ovf.Envelope
	if len(s.Descriptor) > 0 {
		var err error
		if env, err = ovf.Parse(bytes.Clone(s.Descriptor)); err != nil {
			return nil, fmt.Errorf("system %s: the kept descriptor: %w", s.Name, err)
		}
	}
	return h.machines(ctx, s, env, places, nil)
}

// Delete removes a System with its domains and volumes. A domain that others
// made is theirs to remove.
func (h *Host) Delete(ctx context.Context, id string) error {
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.stopped(ctx, id)
	if err != nil {
		return err
	}
	if h.isForeign(ctx, id) {
		return fmt.Errorf("system %s is a domain that was not made here: it is not removed; virsh undefine does: %w", e.System.Name, host.ErrUnsupported)
	}
	note := ledger.Note{}
	places := placesOf(e, h.opts.Pool)
	if runs(e.System) {
		for m := range e.System.AllMachines() {
			note.Machines = append(note.Machines, m.ID)
		}
	}
	for d := range e.System.AllDisks() {
		note.Disks, note.Pools = append(note.Disks, contentID(d)), append(note.Pools, places[d.ID].pool)
	}
	if err := h.ledger.BeginRemove(ctx, id, note); err != nil {
		return err
	}
	return h.undo(context.WithoutCancel(ctx), id, note)
}
