package libvirt

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Systems lists what was imported here, with the state machines have now.
func (h *Host) Systems(ctx context.Context) iter.Seq2[*host.System, error] {
	return func(yield func(*host.System, error) bool) {
		all, err := h.ledger.All(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, e := range all {
			if err := h.states(e.System); !yield(e.System, err) || err != nil {
				return
			}
		}
	}
}

// System reads one System with the state its machines have now.
func (h *Host) System(ctx context.Context, id string) (*host.System, error) {
	e, err := h.ledger.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.System, h.states(e.System)
}

// Import uploads disks as they come and defines domains when all is there.
func (h *Host) Import(ctx context.Context, pkg ovf.Package, opts host.ImportOptions) (_ *host.System, err error) {
	arrival, err := host.PlanImport(ctx, pkg, opts, h.Capabilities())
	if err != nil {
		return nil, err
	}
	s := arrival.System
	at, err := h.site()
	if err != nil {
		return nil, err
	}
	note := at.note(s)
	// What libvirt would refuse after the upload is better refused before.
	for m := range s.AllMachines() {
		if _, err := at.domain(s, m, m.ID); err != nil {
			return nil, err
		}
		for _, n := range m.NICs {
			if name := networkName(s, n); name != "" && !at.Networks[name] && !strings.HasPrefix(name, "bridge:") && opts.Finding != nil {
				opts.Finding(ovf.Finding{ID: "LIBVIRT-NET-001", Severity: ovf.Warning, Object: "machine " + m.Name,
					Message: fmt.Sprintf("libvirt has no network %q: the card is not connected", name), Clause: "DSP0243 9.2"})
			}
		}
	}
	for _, p := range note.Pools {
		if _, err := h.pool(p); err != nil {
			return nil, err
		}
	}
	if err := h.ledger.Begin(ctx, s.ID, note); err != nil {
		return nil, err
	}
	in := &incoming{h: h, at: at, id: s.ID}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.undo(context.WithoutCancel(ctx), s.ID, note))
		}
	}()
	if err := arrival.Unpack(ctx, in); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for m := range s.AllMachines() {
		if err := h.define(at, s, m); err != nil {
			return nil, fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	e := &ledger.Entry{System: s, Manifest: arrival.Manifest(), Certificate: arrival.Certificate(), FileSizes: in.sizes}
	return s, h.ledger.Commit(context.WithoutCancel(ctx), e)
}

// site is the hypervisor as it is now.
func (h *Host) site() (site, error) {
	at := site{Type: "qemu", Pool: h.opts.Pool, Networks: map[string]bool{}, ConsoleDir: h.opts.ConsoleDir}
	if h.kvm {
		at.Type = "kvm"
	}
	nets, _, err := h.conn.ConnectListAllNetworks(1, 0)
	for _, n := range nets {
		at.Networks[n.Name] = true
	}
	return at, err
}

func (at site) note(s *host.System) ledger.Note {
	var n ledger.Note
	for m := range s.AllMachines() {
		n.Machines = append(n.Machines, m.ID)
	}
	for d := range s.AllDisks() {
		n.Disks = append(n.Disks, d.ID)
		n.Pools = append(n.Pools, at.pool(d))
	}
	return n
}

// define defines a machine's domain: under the machine's name where that is
// free, else with part of its id.
func (h *Host) define(at site, s *host.System, m *host.Machine) error {
	name := domainName(m.Name)
	if old, err := h.domain(m.ID); err == nil {
		name = old.Name
	} else if _, err := h.conn.DomainLookupByName(name); err == nil {
		name += "-" + m.ID[:8]
	}
	b, err := at.domain(s, m, name)
	if err != nil {
		return err
	}
	_, err = h.conn.DomainDefineXML(string(b))
	return err
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

// incoming is the host.Store of one import.
type incoming struct {
	h  *Host
	at site
	id string

	mu    sync.Mutex
	sizes []int64
}

func (in *incoming) Disk(ctx context.Context, d *host.Disk) (disk.Sink, error) {
	return &volumeSink{ctx: ctx, h: in.h, pool: in.at.pool(d), name: diskVolume(d.ID)}, nil
}

func (in *incoming) Digest(ctx context.Context, d *host.Disk, size int64) (disk.Digest, error) {
	img, err := in.h.openVolume(in.at.pool(d), diskVolume(d.ID), d.CapacityBytes)
	if err != nil {
		return disk.Digest{}, err
	}
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

// Export reads through libvirt; machines must be stopped.
func (h *Host) Export(ctx context.Context, id string, opts host.ExportOptions) (host.Export, error) {
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.stopped(ctx, id)
	if err != nil {
		return nil, err
	}
	k := holdings{h, e}
	changed := false
	for d := range e.System.AllDisks() {
		if d.ContentDigest != "" || d.ContentBytes == 0 {
			continue
		}
		// It has run since: what it holds now is measured now.
		img, err := k.Disk(ctx, d)
		if err != nil {
			return nil, err
		}
		digest, err := disk.ContentDigest(ctx, img, d.ContentBytes, nil)
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		d.ContentDigest, changed = digest.String(), true
	}
	if changed {
		if err := h.ledger.Replace(ctx, e); err != nil {
			return nil, err
		}
	}
	return host.BuildExport(ctx, e.System, k, h.Capabilities(), opts)
}

// stopped reads a System none of whose machines runs.
func (h *Host) stopped(ctx context.Context, id string) (*ledger.Entry, error) {
	e, err := h.ledger.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := h.states(e.System); err != nil {
		return nil, err
	}
	for m := range e.System.AllMachines() {
		if m.State != host.Stopped {
			return nil, fmt.Errorf("machine %s is %s: %w", m.Name, m.State, host.ErrBusy)
		}
	}
	return e, nil
}

type holdings struct {
	h *Host
	e *ledger.Entry
}

func (k holdings) Disk(_ context.Context, d *host.Disk) (disk.Image, error) {
	return k.h.openVolume(site{Pool: k.h.opts.Pool}.pool(d), diskVolume(d.ID), d.CapacityBytes)
}

func (k holdings) File(ctx context.Context, name string) (ovf.MemberFile, error) {
	return k.h.ledger.OpenFile(ctx, k.e, name)
}

// OpenDisk opens a volume for reading, as it is now.
func (h *Host) OpenDisk(ctx context.Context, diskID string) (disk.Image, error) {
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if d := e.System.Disk(diskID); d != nil {
			return holdings{h, e}.Disk(ctx, d)
		}
	}
	return nil, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
}

// Update changes the record, and defines anew the domains of machines that
// differ; their names in libvirt stay.
func (h *Host) Update(ctx context.Context, s *host.System) error {
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.ledger.Get(ctx, s.ID)
	if err != nil {
		return err
	}
	// The state is not the consumer's to write.
	want := *s
	if err := h.states(e.System); err != nil {
		return err
	}
	next, err := host.ApplyUpdate(e.System, &want)
	if err != nil {
		return err
	}
	at, err := h.site()
	if err != nil {
		return err
	}
	old := map[string][]byte{}
	for m := range e.System.AllMachines() {
		if old[m.ID], err = at.domain(e.System, m, m.ID); err != nil {
			return err
		}
	}
	for m := range next.AllMachines() {
		b, err := at.domain(next, m, m.ID)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, old[m.ID]) {
			if err := h.define(at, next, m); err != nil {
				return fmt.Errorf("machine %s: %w", m.Name, err)
			}
		}
	}
	next.Updated = time.Now().UTC()
	e.System = next
	return h.ledger.Replace(ctx, e)
}

// Delete removes a System with its domains and volumes.
func (h *Host) Delete(ctx context.Context, id string) error {
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.stopped(ctx, id)
	if err != nil {
		return err
	}
	note := site{Pool: h.opts.Pool}.note(e.System)
	if err := h.ledger.BeginRemove(ctx, id, note); err != nil {
		return err
	}
	return h.undo(context.WithoutCancel(ctx), id, note)
}

func (h *Host) domain(machineID string) (lv.Domain, error) {
	b, err := hex.DecodeString(machineID)
	if err != nil || len(b) != len(lv.UUID{}) {
		return lv.Domain{}, fmt.Errorf("machine %s: %w", machineID, host.ErrNotFound)
	}
	d, err := h.conn.DomainLookupByUUID(lv.UUID(b))
	if is(err, lv.ErrNoDomain) {
		err = fmt.Errorf("machine %s: %w", machineID, host.ErrNotFound)
	}
	return d, err
}

// undefine removes a domain; that it is not there is no error.
func (h *Host) undefine(machineID string) error {
	d, err := h.domain(machineID)
	if err == nil {
		err = h.conn.DomainUndefineFlags(d, lv.DomainUndefineNvram|lv.DomainUndefineManagedSave|lv.DomainUndefineSnapshotsMetadata)
	}
	if errors.Is(err, host.ErrNotFound) || is(err, lv.ErrNoDomain) {
		return nil
	}
	return err
}
