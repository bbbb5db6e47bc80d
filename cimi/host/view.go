package host

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cimimove/cimimove/ovf"
)

// maxMachines bounds what a descriptor can ask for, ScaleOutSections included.
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
	// Finding is told of what the view cannot show; may be nil.
	Finding func(ovf.Finding)
}

// View is the System that a descriptor describes (DSP0263 Annex A), without
// disk content and before anybody changed anything. Import starts from it, and
// export edits only where a System differs from it. The error is a
// *ovf.DescriptorError: the descriptor has no content, or a number in it cannot
// be used.
func View(env *ovf.Envelope, opts ViewOptions) (*System, error) {
	cfg, err := env.Configuration(opts.Configuration)
	if err != nil {
		return nil, err
	}
	top, ok := env.Content()
	if !ok {
		return nil, &ovf.DescriptorError{Offset: -1, Clause: "7", Message: "the envelope has neither a VirtualSystem nor a VirtualSystemCollection"}
	}
	v := &viewer{env: env, cfg: cfg, opts: opts, used: map[string]int{}, networks: map[string]*Network{}, names: map[string]bool{}}
	if v.opts.NewID == nil {
		n := 0
		v.opts.NewID = func() string { n++; return strconv.Itoa(n) }
	}
	if v.opts.Finding == nil {
		v.opts.Finding = func(ovf.Finding) {}
	}
	return v.view(top)
}

type viewer struct {
	env      *ovf.Envelope
	cfg      string
	opts     ViewOptions
	root     *System
	machines int
	networks map[string]*Network // by ovf:name
	used     map[string]int      // how many disks of a diskId there are
	names    map[string]bool
}

func (v *viewer) view(top ovf.Content) (*System, error) {
	title := top.Title()
	if title == "" {
		title = "system"
	}
	v.root = &System{ID: v.opts.NewID(), OVFID: top.ID, Name: oneLine(title), Configuration: v.cfg, Collection: top.Collection}
	if a, ok := attributesOf(top); ok && a.SystemName != "" {
		v.root.Name = oneLine(a.SystemName)
	}
	for _, n := range v.env.Networks() {
		v.network(n.Name, n.Description)
	}
	if !top.Collection {
		if err := v.machine(v.root, top, nil, 0); err != nil {
			return nil, err
		}
	} else {
		v.root.Description = top.Annotation()
		if err := v.children(v.root, top); err != nil {
			return nil, err
		}
	}
	if err := v.looseDisks(); err != nil {
		return nil, err
	}
	// Names are given to Systems and Machines first (mapping.md, "Names").
	for n := range v.root.AllNetworks() {
		n.Name = v.unique(n.Name, "network "+n.OVFID)
	}
	for d := range v.root.AllDisks() {
		d.Name = v.unique(d.Name, "disk "+d.OVFID)
	}
	return v.root, nil
}

func (v *viewer) children(s *System, collection ovf.Content) error {
	startup := map[string]ovf.StartupItem{}
	for _, it := range collection.Startup() {
		startup[it.ID] = it
	}
	for _, c := range collection.Children() {
		if c.Collection {
			k := &System{ID: v.opts.NewID(), OVFID: c.ID, Description: c.Annotation(), Collection: true}
			k.Name = v.unique(oneLine(c.Title()), "collection "+c.ID)
			s.Systems = append(s.Systems, k)
			if err := v.children(k, c); err != nil {
				return err
			}
			continue
		}
		count := 1
		if n, ok := collection.ScaleOut(c.ID, v.cfg); ok && n.Default > 0 {
			count = n.Default
		}
		for i := range count {
			var st *ovf.StartupItem
			if it, ok := startup[c.ID]; ok {
				st = &it
			}
			if err := v.machine(s, c, st, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *viewer) machine(s *System, c ovf.Content, startup *ovf.StartupItem, instance int) error {
	if v.machines++; v.machines > maxMachines {
		return &ovf.DescriptorError{Object: "VirtualSystem " + c.ID, Offset: -1, Message: fmt.Sprintf("more than %d machines", maxMachines)}
	}
	m := &Machine{ID: v.opts.NewID(), OVFID: c.ID, Instance: instance, State: Stopped, Description: c.Annotation()}
	title := oneLine(c.Title())
	if title == "" {
		title = "machine"
	}
	m.Name = v.unique(title, "VirtualSystem "+c.ID)
	if startup != nil {
		m.StartOrder = startup.Order
	}
	s.Machines = append(s.Machines, m)
	hw, ok := c.HardwareFor(v.supported())
	if !ok {
		v.find("MAP-CPU-001", ovf.Warning, c, "no virtual hardware: the machine has no processor, memory or devices", "DSP0243 8.1")
		return nil
	}
	if all := c.Hardware(); len(all) > 1 {
		v.find("MAP-HW-001", ovf.Info, c, fmt.Sprintf("%d hardware sections, chosen: %s", len(all), strings.Join(hw.SystemTypes, " ")), "DSP0243 8.1")
	}
	var err error
	if m.CPUs, err = hw.CPUs(v.cfg); err != nil {
		return about(c, err)
	}
	if m.MemoryBytes, err = hw.MemoryBytes(v.cfg); err != nil {
		return about(c, err)
	}
	if m.CPUs == 0 {
		v.find("MAP-CPU-001", ovf.Warning, c, "no processor", "DSP0243 8.3")
	}
	m.CPUArch = cpuArch(c, hw, v.cfg)
	if err := v.attach(s, m, hw); err != nil {
		return err
	}
	for _, it := range hw.NICs(v.cfg) {
		nic := NIC{OVFID: it.InstanceID, Name: it.ElementName, Type: it.ResourceSubType, MAC: it.Address, Disabled: !it.AutomaticAllocation}
		if len(it.Connection) > 0 {
			nic.Network = v.network(it.Connection[0], "").ID
		}
		m.NICs = append(m.NICs, nic)
	}
	return nil
}

// attach gives the machine its disks: each its own, but for shared ones.
func (v *viewer) attach(s *System, m *Machine, hw ovf.VirtualHardware) error {
	boot := false
	for _, drive := range hw.Disks(v.cfg) {
		if !drive.Disk.Exists() {
			continue
		}
		owner := s
		var d *Disk
		if drive.Disk.Shared {
			owner = v.root
			for _, k := range v.root.Disks {
				if k.OVFID == drive.Disk.ID && k.Shared {
					d = k
				}
			}
		}
		if d == nil {
			var err error
			if d, err = v.disk(drive.Disk); err != nil {
				return err
			}
			owner.Disks = append(owner.Disks, d)
		}
		a := Attachment{DiskID: d.ID, Controller: drive.Controller.Bus, Bus: drive.Controller.Number, Unit: max(drive.Unit, 0), OVFID: drive.InstanceID}
		if !boot && !drive.Disk.Blank() {
			boot, a.Boot, d.Boot = true, true, true
		}
		m.Attachments = append(m.Attachments, a)
	}
	return nil
}

func (v *viewer) disk(od ovf.Disk) (*Disk, error) {
	capacity, err := od.CapacityIn(v.cfg, v.opts.Properties)
	if err != nil {
		if od.Capacity != "" || od.Blank() {
			return nil, err
		}
		v.opts.Finding(ovf.Finding{ID: "DISK-SIZE-001", Severity: ovf.Warning, Object: "disk " + od.ID,
			Message: "the capacity is missing: the image's own counts", Clause: "DSP0243 9.1"})
	}
	d := &Disk{ID: v.opts.NewID(), OVFID: od.ID, Name: oneLine(od.ID), CapacityBytes: capacity, Format: od.Format, Shared: od.Shared}
	if f, ok := od.File(); ok {
		d.Href = f.Href
	}
	if v.used[od.ID]++; v.used[od.ID] > 1 {
		v.opts.Finding(ovf.Finding{ID: "MAP-DISK-001", Severity: ovf.Info, Object: "disk " + od.ID,
			Message: "several Items name it: each machine gets a copy of its own", Clause: "DSP0263 Table 19"})
	}
	return d, nil
}

// looseDisks are those that no Item names and no disk is a delta of: they
// become disks of the outermost System that nothing is attached to.
func (v *viewer) looseDisks() error {
	parents, asMedia := map[string]bool{}, map[string]bool{}
	for _, d := range v.env.Disks() {
		parents[d.ParentRef] = true
	}
	for _, c := range v.env.VirtualSystems() {
		hw, ok := c.HardwareFor(v.supported())
		if !ok {
			continue
		}
		for _, drive := range hw.Drives(v.cfg) {
			if drive.Class != "disk" && drive.Disk.Exists() {
				asMedia[drive.Disk.ID] = true
			}
		}
	}
	for _, od := range v.env.Disks() {
		if v.used[od.ID] > 0 || parents[od.ID] || asMedia[od.ID] {
			continue
		}
		d, err := v.disk(od)
		if err != nil {
			return err
		}
		v.root.Disks = append(v.root.Disks, d)
		v.opts.Finding(ovf.Finding{ID: "MAP-DISK-004", Severity: ovf.Info, Object: "disk " + od.ID,
			Message: "no machine uses it: it becomes an unattached volume", Clause: "DSP0263 Annex A"})
	}
	return nil
}

// network is the network of that ovf:name, made when it is new.
func (v *viewer) network(name, description string) *Network {
	if n, ok := v.networks[name]; ok {
		return n
	}
	n := &Network{ID: v.opts.NewID(), OVFID: name, Name: oneLine(name), Description: description}
	if n.Name == "" {
		n.Name = "network"
	}
	v.networks[name] = n
	v.root.Networks = append(v.root.Networks, n)
	return n
}

func (v *viewer) supported() func(string) bool {
	if len(v.opts.SystemTypes) == 0 {
		return nil
	}
	return func(t string) bool {
		for _, s := range v.opts.SystemTypes {
			if s == t {
				return true
			}
		}
		return false
	}
}

// unique gives a name that nothing else has: later ones get -2, -3 (MAP-NAME-001).
func (v *viewer) unique(name, object string) string {
	if !v.names[name] {
		v.names[name] = true
		return name
	}
	for i := 2; ; i++ {
		if n := fmt.Sprintf("%s-%d", name, i); !v.names[n] {
			v.names[n] = true
			v.opts.Finding(ovf.Finding{ID: "MAP-NAME-001", Severity: ovf.Info, Object: object,
				Message: fmt.Sprintf("the name %q is taken: it is called %q", name, n), Clause: "DSP0263 5.13.4"})
			return n
		}
	}
}

func (v *viewer) find(id string, sev ovf.Severity, c ovf.Content, message, clause string) {
	v.opts.Finding(ovf.Finding{ID: id, Severity: sev, Object: "VirtualSystem " + c.ID, Message: message, Clause: clause})
}

// about says which virtual system an error of its hardware is about.
func about(c ovf.Content, err error) error {
	var de *ovf.DescriptorError
	if errors.As(err, &de) && de == err {
		de.Object = "VirtualSystem " + c.ID + ": " + de.Object
		return de
	}
	return fmt.Errorf("VirtualSystem %s: %w", c.ID, err)
}

// oneLine makes a text a name: one line of at most 255 bytes.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 255 {
		s = s[:255]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}
