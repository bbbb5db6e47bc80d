package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/flatten"
)

// Arrival is a package on its way into a host: mapped, checked, not yet read.
// Its System has the ids it will have, so that a host can record what it is
// about to make before it makes it.
type Arrival struct {
	System *System

	pkg     ovf.Package    // its disks whole
	deltas  *flatten.Whole // pkg, where that took something
	opts    ImportOptions
	content map[string][]*Disk // by ovf:id of the File
	sources map[*Disk]ovf.Disk
	// parallel is how many contents may pass at the same time.
	parallel int
}

// MaxParallelDisks bounds how many disks of an import are written at a time,
// and with it the memory that an import takes.
const MaxParallelDisks = 16

// PlanImport maps the package and refuses, before anything is read, what could
// not be held: unknown configurations and properties, shared disks where the
// host has none, too little space. Delta disks are made whole on the way. What opts.Finding is told
// of stands in the descriptor. Where the descriptor's own digest is wrong, that
// is the error, whatever else its text would give.
func PlanImport(ctx context.Context, pkg ovf.Package, opts ImportOptions, caps Capabilities) (*Arrival, error) {
	a, err := planImport(ctx, pkg, opts, caps)
	if err != nil {
		return nil, Explain(ctx, pkg, err)
	}
	return a, nil
}

// Explain is the better explanation of an error in what a descriptor says: that
// the manifest has another digest for it, as far as the manifest has come. It
// starts reading the package.
func Explain(ctx context.Context, pkg ovf.Package, err error) error {
	var integrity *ovf.IntegrityError
	if _, unsound := pkg.Next(ctx); errors.As(unsound, &integrity) {
		return unsound
	}
	return err
}

func planImport(ctx context.Context, pkg ovf.Package, opts ImportOptions, caps Capabilities) (*Arrival, error) {
	if opts.Finding == nil {
		opts.Finding = func(ovf.Finding) {}
	}
	env := pkg.Envelope()
	if err := understood(pkg); err != nil {
		return nil, err
	}
	if err := checkProperties(env, opts.Properties); err != nil {
		return nil, err
	}
	whole, err := wholeDisks(ctx, pkg, opts.Finding)
	if err != nil {
		return nil, err
	}
	if whole != nil {
		pkg, env = whole, whole.Envelope()
	}
	sys, err := View(env, ViewOptions{Configuration: opts.Configuration, SystemTypes: caps.VirtualSystemTypes,
		Properties: propertyValues(opts.Properties), NewID: NewID, Finding: opts.Finding})
	if err != nil {
		return nil, inPackage(pkg, err)
	}
	a := &Arrival{System: sys, pkg: pkg, deltas: whole, opts: opts, content: map[string][]*Disk{}, sources: map[*Disk]ovf.Disk{}}
	if a.parallel = 1; caps.ParallelDisks {
		a.parallel = min(max(1, opts.ParallelDisks), MaxParallelDisks)
	}
	if opts.ID != "" {
		sys.ID = opts.ID
	}
	sys.Holder, sys.Of = opts.Holder, opts.Of
	sys.Created = time.Now().UTC()
	sys.Updated = sys.Created
	sys.Descriptor, sys.DescriptorName = env.Bytes(), pkg.Descriptor()
	sys.Properties = maps.Clone(opts.Properties)
	for _, key := range slices.Sorted(maps.Keys(opts.Properties)) {
		if prop, _ := property(env, key); prop.Password {
			sys.Passwords = append(sys.Passwords, key)
		}
	}
	if err := a.rename(); err != nil {
		return nil, err
	}
	if err := a.mapTargets(); err != nil {
		return nil, err
	}
	if err := a.checkDisks(ctx, caps); err != nil {
		return nil, err
	}
	if err := a.checkFormats(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func inPackage(pkg ovf.Package, err error) error {
	if de, ok := err.(*ovf.DescriptorError); ok && de.Package == "" {
		de.Package = pkg.Name()
	}
	return err
}

// rename gives the System the name asked for, and a lone machine with it: they
// share theirs (DSP0263 4.3).
func (a *Arrival) rename() error {
	if a.opts.Name == "" {
		return nil
	}
	name := oneLine(a.opts.Name, "")
	if name == "" {
		return fmt.Errorf("the name %q: %w", a.opts.Name, ErrUnsupported)
	}
	a.System.Name = name
	if !a.System.Collection && len(a.System.Machines) == 1 {
		a.System.Machines[0].Name = name
	}
	return nil
}

// mapTargets applies the maps of networks, storage and MAC addresses.
func (a *Arrival) mapTargets() error {
	known := map[string]bool{}
	for n := range a.System.AllNetworks() {
		known[n.OVFID] = true
		if target, ok := lookup(a.opts.Networks, n.OVFID); ok {
			n.Name, n.External = target, true
		}
	}
	for name := range a.opts.Networks {
		if name != "*" && !known[name] {
			return fmt.Errorf("%s: network %q is not in the package: %w", a.pkg.Name(), name, ErrUnsupported)
		}
	}
	disks := map[string]bool{}
	for d := range a.System.AllDisks() {
		disks[d.OVFID] = true
		if target, ok := lookup(a.opts.Storage, d.OVFID); ok {
			d.Storage = target
		}
	}
	for id := range a.opts.Storage {
		if id != "*" && !disks[id] {
			return fmt.Errorf("%s: disk %q is not in the package: %w", a.pkg.Name(), id, ErrUnsupported)
		}
	}
	for m := range a.System.AllMachines() {
		for i := range m.NICs {
			switch a.opts.MAC {
			case "", "keep":
			case "strip":
				m.NICs[i].MAC = ""
			case "regenerate":
				m.NICs[i].MAC = newMAC()
			default:
				return fmt.Errorf("MAC policy %q is none of keep, regenerate, strip: %w", a.opts.MAC, ErrUnsupported)
			}
		}
	}
	return nil
}

func lookup(m map[string]string, key string) (string, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	v, ok := m["*"]
	return v, ok
}

// checkDisks finds the content of every disk, and whether there is room.
func (a *Arrival) checkDisks(ctx context.Context, caps Capabilities) error {
	env := a.pkg.Envelope()
	var need int64
	byHref := map[string][]*Disk{}
	for d := range a.System.AllDisks() {
		od, _ := env.Disk(d.OVFID)
		if d.Shared && !caps.SharedDisks {
			return fmt.Errorf("%s: disk %s is shared by machines: %w (MAP-DISK-003)", a.pkg.Name(), od.ID, ErrUnsupported)
		}
		if _, err := od.CapacityBytes(); err != nil && d.CapacityBytes == 0 && (od.Blank() || strings.TrimSpace(od.Capacity) != "") {
			return inPackage(a.pkg, err) // where nothing is said, the image knows
		}
		d.CapacityBytes = wholeSectors(d.CapacityBytes)
		if od.Blank() {
			continue
		}
		f, ok := od.File()
		if !ok {
			return &ovf.DescriptorError{Package: a.pkg.Name(), Object: "disk " + od.ID, Offset: -1, Clause: "9.1",
				Message: fmt.Sprintf("fileRef %q is the id of no File", od.FileRef)}
		}
		byHref[f.Href] = append(byHref[f.Href], d)
		a.sources[d] = od
		if od.PopulatedSize > 0 {
			need += min(od.PopulatedSize, d.CapacityBytes)
		}
	}
	// A file that is listed twice comes once, as one of the two.
	for _, f := range env.Files() {
		if disks := byHref[f.Href]; len(disks) > 0 {
			a.content[f.ID] = disks
		}
	}
	if caps.FreeBytes == nil || need == 0 {
		return nil
	}
	free, err := caps.FreeBytes(ctx)
	if err != nil {
		return err
	}
	if free >= 0 && need > free {
		return &NoSpaceError{Object: a.pkg.Name(), Need: need, Free: free}
	}
	return nil
}

// wholeSectors rounds up to 512 bytes, which no disk can be finer than.
func wholeSectors(n int64) int64 { return (n + 511) &^ 511 }

// NoSpaceError says what did not fit; it is an ErrNoSpace. Need and Free are
// in bytes, Need 0 and Free -1 where they are not known.
type NoSpaceError struct {
	Object     string
	Need, Free int64
	Err        error
}

func (e *NoSpaceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no space left", e.Object)
	if e.Need > 0 {
		fmt.Fprintf(&b, ": %d bytes are needed", e.Need)
	}
	if e.Free >= 0 {
		fmt.Fprintf(&b, ", %d are free", e.Free)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *NoSpaceError) Is(target error) bool { return target == ErrNoSpace }
func (e *NoSpaceError) Unwrap() error        { return e.Err }
