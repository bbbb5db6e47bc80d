package host

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// maxMachines bounds what a descriptor can ask for, its quantities included.
const maxMachines = 20000

// ViewOptions choose among what a descriptor offers; the zero value takes its defaults.
type ViewOptions struct {
	Configuration string
	// SystemTypes are the VirtualSystemTypes the host runs (DSP0243 8.1);
	// empty takes the first hardware section.
	SystemTypes []string
	// Properties are values by environment key, for capacities that name one.
	Properties map[string]string
	// NewID makes the ids of the parts; nil numbers them, the same every time.
	NewID func() string
	// Finding is told of what the view does not show; may be nil.
	Finding func(ovf.Finding)
}

// View is the System that a descriptor describes (DSP0263 Annex A), without
// disk content and before anybody changed anything: package systemtemplate's
// View with each quantity spelt out. Import starts from it, and export edits
// only where a System differs from it.
func View(env *ovf.Envelope, opts ViewOptions) (*System, error) {
	v, err := view(env, opts)
	if err != nil {
		return nil, err
	}
	return v.root, nil
}

// viewer makes a System and remembers what each part of it is a view of, in
// the order of All, AllMachines and so on; nil for the second and later
// instances of a quantity.
type viewer struct {
	opts     ViewOptions
	of       *systemtemplate.View
	root     *System
	systems  []*systemtemplate.System
	machines []*systemtemplate.Machine
	networks map[*systemtemplate.Network]*Network
	volumes  map[*Disk]*systemtemplate.Volume
	shared   map[*systemtemplate.Volume]*Disk
}

func view(env *ovf.Envelope, opts ViewOptions) (*viewer, error) {
	of, findings, err := systemtemplate.Read(env, systemtemplate.Options{Configuration: opts.Configuration, Supports: opts.SystemTypes, Properties: opts.Properties})
	if err != nil {
		return nil, refused(err)
	}
	if opts.Finding != nil {
		for _, f := range findings {
			opts.Finding(f)
		}
	}
	v := &viewer{opts: opts, of: of, networks: map[*systemtemplate.Network]*Network{}, volumes: map[*Disk]*systemtemplate.Volume{},
		shared: map[*systemtemplate.Volume]*Disk{}}
	if v.opts.NewID == nil {
		n := 0
		v.opts.NewID = func() string { n++; return strconv.Itoa(n) }
	}
	return v, v.read()
}

// refused makes what OVF cannot say an ErrUnsupported.
func refused(err error) error {
	var r *systemtemplate.RefusedError
	if errors.As(err, &r) {
		return fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return err
}

func (v *viewer) read() error {
	v.root = &System{ID: v.opts.NewID(), Configuration: v.of.Configuration, Collection: !v.of.Single}
	for _, n := range v.of.Networks {
		own := &Network{ID: v.opts.NewID(), OVFID: n.OVFID, Name: oneLine(n.Name, "network"), Description: n.Description}
		v.networks[n] = own
		v.root.Networks = append(v.root.Networks, own)
	}
	for _, x := range v.of.Volumes {
		d, err := v.disk(x, "")
		if err != nil {
			return err
		}
		v.shared[x] = d
		v.root.Disks = append(v.root.Disks, d)
	}
	return v.system(v.root, v.of.System, "", true)
}

// system fills s; number is what a quantity appends to names. Only the first
// instance is what an edit goes to.
func (v *viewer) system(s *System, of *systemtemplate.System, number string, first bool) error {
	s.OVFID, s.Name, s.Description = of.OVFID, oneLine(of.Name, "system")+number, of.Description
	if first {
		v.systems = append(v.systems, of)
	} else {
		v.systems = append(v.systems, nil)
	}
	for _, m := range of.Machines() {
		for i := range m.Quantity {
			if err := v.machine(s, m, i, first); err != nil {
				return err
			}
		}
	}
	for _, k := range of.Systems() {
		for i := range k.Quantity {
			inner := &System{ID: v.opts.NewID(), Collection: true}
			s.Systems = append(s.Systems, inner)
			if err := v.system(inner, k, instance(k.Quantity, i), first && i == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// instance is the number that tells the instances of a quantity apart (5.13.4).
func instance(quantity, i int) string {
	if quantity <= 1 {
		return ""
	}
	return strconv.Itoa(i + 1)
}

func (v *viewer) machine(s *System, of *systemtemplate.Machine, i int, first bool) error {
	if len(v.machines) == maxMachines {
		return &ovf.DescriptorError{Object: "machine " + of.Name, Offset: -1, Message: fmt.Sprintf("more than %d machines", maxMachines)}
	}
	number := instance(of.Quantity, i)
	m := &Machine{ID: v.opts.NewID(), OVFID: of.OVFID, Instance: i, Name: oneLine(of.Name, "machine") + number, Description: of.Description,
		State: Stopped, CPUs: of.CPUs, MemoryBytes: max(of.MemoryBytes, 0), CPUArch: of.CPUArch}
	if of.Startup != nil {
		m.StartOrder = of.Startup.Order
	}
	if first && i == 0 {
		v.machines = append(v.machines, of)
	} else {
		v.machines = append(v.machines, nil)
	}
	for _, a := range of.Attachments {
		d, shared := v.shared[a.Volume]
		if !shared {
			var err error
			if d, err = v.disk(a.Volume, number); err != nil {
				return err
			}
			s.Disks = append(s.Disks, d)
		}
		m.Attachments = append(m.Attachments, Attachment{DiskID: d.ID, OVFID: a.OVFID, Controller: a.Controller, Bus: a.Bus,
			Unit: max(a.Unit, 0), Boot: a.Volume.Bootable})
	}
	for _, n := range of.NICs {
		nic := NIC{OVFID: n.OVFID, Name: n.Item.ElementName, Type: n.Type, MAC: n.MAC, Disabled: n.Disabled}
		if len(n.Endpoints) > 0 && n.Endpoints[0].Network != nil {
			nic.Network = v.networks[n.Endpoints[0].Network].ID
		}
		m.NICs = append(m.NICs, nic)
	}
	s.Machines = append(s.Machines, m)
	return nil
}

// disk makes a disk of its own of a Volume. A capacity that is not known is 0,
// and the image decides; a blank disk needs one.
func (v *viewer) disk(x *systemtemplate.Volume, number string) (*Disk, error) {
	if x.CapacityBytes < 0 && x.Disk.Blank() {
		_, err := x.Disk.Element.CapacityIn(v.of.Configuration, v.opts.Properties)
		return nil, err
	}
	d := &Disk{ID: v.opts.NewID(), OVFID: x.Disk.OVFID, Name: oneLine(x.Name, "disk") + number, CapacityBytes: max(x.CapacityBytes, 0),
		Format: cmp.Or(x.Disk.Element.ContentFormat(), x.Disk.Format), Href: x.Disk.Href, Shared: x.Disk.Shared, Boot: x.Bootable}
	v.volumes[d] = x
	return d, nil
}

// oneLine makes a text a name: one line of at most 255 bytes, or else.
func oneLine(s, or string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 255 {
		s = s[:255]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	if s == "" {
		return or
	}
	return s
}
