package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Import makes the machines of a package under a lease and sends their disks as
// they come. The System is listed when the lease was completed.
func (h *Host) Import(ctx context.Context, pkg ovf.Package, opts host.ImportOptions) (_ *host.System, err error) {
	arrival, err := host.PlanImport(ctx, pkg, opts, h.Capabilities())
	if err != nil {
		return nil, err
	}
	s := arrival.System
	planned, err := h.plan(ctx, arrival.Package().Envelope(), s, opts.Finding)
	if err != nil {
		return nil, host.Explain(ctx, pkg, err)
	}
	note := planned.note()
	if err := h.ledger.Begin(ctx, s.ID, note); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
			defer cancel()
			err = errors.Join(err, h.undo(clean, s.ID, note))
		}
	}()
	in := &incoming{h: h, planned: planned, total: total(arrival.Package()), stored: storedSizes(arrival.Package()), finding: opts.Finding}
	if err := in.open(ctx, &note); err != nil {
		return nil, err
	}
	if err := in.unpack(arrival); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		return nil, errors.Join(err, in.lease.abort(clean))
	}
	e := &ledger.Entry{System: s, Manifest: arrival.Manifest(), Certificate: arrival.Certificate(), FileSizes: in.sizes, Places: planned.places()}
	if err := h.settle(ctx, e); err != nil {
		return nil, err
	}
	return s, h.ledger.Commit(context.WithoutCancel(ctx), e)
}

// note is what must be gone when the import does not end well.
func (p *planned) note() ledger.Note {
	var n ledger.Note
	if p.app != "" {
		n.Machines = append(n.Machines, p.app)
	}
	n.Machines = append(n.Machines, parts(p.system)...)
	for d := range p.system.AllDisks() {
		n.Disks = append(n.Disks, d.ID)
	}
	return n
}

// total is how many bytes of stored files are expected; 0 when nobody knows.
func total(pkg ovf.Package) int64 {
	var sum int64
	for _, f := range pkg.Envelope().Files() {
		sum += max(f.Size, 0)
	}
	return sum
}

// storedSizes are those of the files of a package that can be read anywhere, by
// href; of others only the end of a file tells.
func storedSizes(pkg ovf.Package) map[string]int64 {
	out := map[string]int64{}
	o, ok := pkg.(ovf.Opener)
	if !ok {
		return out
	}
	members := map[string]int64{}
	for _, m := range o.Members() {
		members[m.Name] = m.Size
	}
	for _, f := range pkg.Envelope().Files() {
		if name, ok := ovf.MatchMember(f.Href, func(n string) bool { _, ok := members[n]; return ok }); ok && f.ChunkSize == 0 && !f.Compressed() {
			out[f.Href] = members[name]
		}
	}
	return out
}

// settle notes where each disk is now, and what each machine's state is called,
// for which the digests of its disks hold.
func (h *Host) settle(ctx context.Context, e *ledger.Entry) error {
	e.Versions = map[string]string{}
	if e.Places == nil {
		e.Places = map[string]string{}
	}
	for m := range e.System.AllMachines() {
		vm, err := h.machine(ctx, m.ID)
		if err != nil {
			return err
		}
		if vm == nil {
			return fmt.Errorf("machine %s was made and is not there: %w", m.Name, host.ErrNotFound)
		}
		e.Versions[m.ID] = vm.Config.ChangeVersion
		for id, at := range places(vm, m, e.Places) {
			e.Places[id] = at.uuid()
		}
	}
	return nil
}

// incoming is the host.Store of one import.
type incoming struct {
	h       *Host
	planned *planned
	lease   *lease
	ctx     context.Context // ends with the lease
	total   int64           // bytes expected
	stored  map[string]int64
	sent    atomic.Int64
	finding func(ovf.Finding)

	mu    sync.Mutex
	sizes []int64
}

// open has the vCenter make the machines.
func (in *incoming) open(ctx context.Context, note *ledger.Note) error {
	l, err := in.h.place.pool.ImportVApp(ctx, in.planned.spec, in.h.place.folder, nil)
	if err != nil {
		return explain(err)
	}
	// Who undoes it need not wait until the lease expires.
	note.Leases = []string{l.Value}
	if err := in.h.ledger.Amend(ctx, in.planned.system.ID, *note); err != nil {
		return err
	}
	in.lease, in.ctx, err = in.h.open(ctx, l)
	if err != nil {
		return err
	}
	for key, d := range in.planned.disks {
		if d.Href == "" {
			continue // blank: the lease need not have it
		}
		if in.lease.device(key) == nil {
			var have []string
			for _, u := range in.lease.info.DeviceUrl {
				have = append(have, u.ImportKey)
			}
			err := fmt.Errorf("disk %s: the lease has no place for %s, it has %q", d.Name, key, have)
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
			defer cancel()
			return errors.Join(err, in.lease.abort(clean))
		}
	}
	return nil
}

// unpack reads the package and ends the lease with success.
func (in *incoming) unpack(arrival *host.Arrival) error {
	err := arrival.Unpack(in.ctx, in)
	if lost := in.lease.failure(); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	if err := in.ctx.Err(); err != nil {
		return context.Cause(in.ctx)
	}
	return in.lease.complete(in.ctx)
}

// told counts bytes sent, for the lease.
func (in *incoming) told(n int64) { in.lease.progress(in.sent.Add(n), in.total) }

// key is how the lease names a disk's device, empty for one that no machine has.
func (in *incoming) key(d *host.Disk) string {
	for key, x := range in.planned.disks {
		if x == d {
			return key
		}
	}
	return ""
}

// Stream takes a disk's image: to the host that runs its machine, or to the
// records where no machine has it.
func (in *incoming) Stream(ctx context.Context, d *host.Disk, size int64) (host.ImageWriter, error) {
	key := in.key(d)
	if key == "" {
		w, err := in.h.ledger.Shelf.Create(ctx, diskFile(in.planned.system.ID, d))
		return aborting{w}, err
	}
	return in.lease.put(ctx, in.lease.device(key), "disk "+d.Name, size, in.told)
}

// diskFile is the record file that holds the image of a disk that no machine has.
func diskFile(system string, d *host.Disk) string {
	return fmt.Sprintf("%s.disk.%s.%d.vmdk", system, d.ID, d.Generation)
}

// aborting is a file that counts only with its record.
type aborting struct{ io.WriteCloser }

func (a aborting) Abort(error) { a.Close() }

// Disk is asked for blank disks, which the vCenter makes as they are.
func (in *incoming) Disk(context.Context, *host.Disk) (disk.Sink, error) { return blank{}, nil }

type blank struct{}

func (blank) Begin(disk.Info) error { return nil }
func (blank) WriteAt(p []byte, _ int64) (int, error) {
	return 0, fmt.Errorf("%d bytes for a blank disk: %w", len(p), host.ErrUnsupported)
}

func (in *incoming) Digest(_ context.Context, d *host.Disk, _ int64) (disk.Digest, error) {
	return disk.Digest{}, fmt.Errorf("the content came out of order: %w", host.ErrUnsupported)
}

// File keeps a file of the package with the records; one that a device or the
// firmware reads goes to its machine too.
func (in *incoming) File(ctx context.Context, name string) (io.WriteCloser, error) {
	in.mu.Lock()
	n := len(in.sizes)
	in.sizes = append(in.sizes, 0)
	in.mu.Unlock()
	w, err := in.h.ledger.CreateFile(ctx, in.planned.system.ID, n)
	if err != nil {
		return nil, err
	}
	f := &kept{in: in, n: n, to: []io.WriteCloser{w}}
	for key, href := range in.planned.files {
		if href != name {
			continue
		}
		u := in.lease.device(key)
		if u == nil {
			if in.finding != nil {
				in.finding(ovf.Finding{ID: "VSPHERE-FILE-001", Severity: ovf.Warning, Object: "file " + name, Clause: "DSP0243 7.1",
					Message: "the vCenter takes no file for " + key + ": it is kept with the System, its machine is made without it"})
			}
			continue
		}
		size, known := in.stored[name]
		if !known {
			size = -1
		}
		up, err := in.lease.put(ctx, u, name, size, in.told)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		f.to = append(f.to, up)
	}
	return f, nil
}

// kept writes a file of the package to where it is kept and used, and counts.
type kept struct {
	in *incoming
	n  int
	to []io.WriteCloser
}

func (k *kept) Write(p []byte) (int, error) {
	for _, w := range k.to {
		if n, err := w.Write(p); err != nil {
			return n, err
		}
	}
	k.in.mu.Lock()
	k.in.sizes[k.n] += int64(len(p))
	k.in.mu.Unlock()
	return len(p), nil
}

func (k *kept) Close() error {
	var errs []error
	for _, w := range k.to {
		errs = append(errs, w.Close())
	}
	return errors.Join(errs...)
}

func diskFileOf(name, system string) bool { return strings.HasPrefix(name, system+".disk.") }
