package systemtemplate

import "github.com/cimimove/cimimove/ovf"

// View is what CIMI sees of a descriptor under one configuration: resources
// with unique names, and for each the element it is a view of. Elements are
// the zero value in a View that does not come from a descriptor.
type View struct {
	Version       ovf.Version
	Configuration string // the deployment option in force; empty when the package has none
	// Single: the content is one VirtualSystem; System wraps it and shares its name.
	Single bool
	System *System
	// Networks of the package, in order; then those that only Connections name.
	Networks []*Network
	// Disks are all Disk elements in order, those without a Volume included.
	Disks []*Disk
	// Volumes are components of the outermost System: shared disks, and disks
	// that no machine uses. Those of one machine stand in its Attachments.
	Volumes []*Volume
}

// System is a VirtualSystemCollection (DSP0263 Annex A).
type System struct {
	Name        string
	OVFID       string
	Description string
	Quantity    int // instances to make (ScaleOut); at least 1
	Children    []Child
	Startup     *Startup
	Properties  []Property
	Attributes  Attributes
	Content     ovf.Content
}

// Child is a component of a System: exactly one of the two is set.
type Child struct {
	Machine *Machine
	System  *System
}

// Machines are those directly in the System, in order.
func (s *System) Machines() []*Machine {
	var out []*Machine
	for _, c := range s.Children {
		if c.Machine != nil {
			out = append(out, c.Machine)
		}
	}
	return out
}

// Systems are those directly in the System, in order.
func (s *System) Systems() []*System {
	var out []*System
	for _, c := range s.Children {
		if c.System != nil {
			out = append(out, c.System)
		}
	}
	return out
}

// AllMachines are the machines of the whole tree, in order.
func (s *System) AllMachines() []*Machine {
	var out []*Machine
	for _, c := range s.Children {
		if c.Machine != nil {
			out = append(out, c.Machine)
		} else {
			out = append(out, c.System.AllMachines()...)
		}
	}
	return out
}

// Machine is a VirtualSystem.
type Machine struct {
	Name        string
	OVFID       string
	Description string
	Quantity    int // instances to make (ScaleOut); at least 1
	CPUs        int
	MemoryBytes int64  // 0 when none is described, -1 when it cannot be read
	CPUArch     string // in the words of DSP0263 T20; empty when unknown
	CPUSpeed    int64  // in megahertz, 0 when unknown
	// CPURange in processors and MemoryRange in bytes come from range markers
	// (DSP0243 8.4); nil without.
	CPURange, MemoryRange *Range
	// Attachments by controller, then address.
	Attachments []*Attachment
	NICs        []*NIC
	Startup     *Startup
	Properties  []Property
	// UserData is Base64 (DSP0263 5.14.3).
	UserData   string
	Attributes Attributes
	Content    ovf.Content
	Hardware   ovf.VirtualHardware // the section that was chosen
}

// Range bounds a quantity; a nil bound is open.
type Range struct{ Min, Max *int64 }

// Attachment puts a Volume on a controller of a machine.
type Attachment struct {
	OVFID  string // InstanceID of the Item
	Volume *Volume
	// Controller is the bus (scsi, sata, ide, …), empty when unknown; Bus its
	// number; Unit the address on it, -1 when unknown.
	Controller      string
	Bus, Unit       int
	InitialLocation string
	Item            ovf.Item
}

// Volume is a disk as one machine, or several where it is shared, has it.
type Volume struct {
	Name        string
	Description string
	Disk        *Disk
	// CapacityBytes is exact where it comes from a descriptor, -1 when unknown.
	CapacityBytes int64
	Bootable      bool
	// Local: it is storage of the machine's own (DSP0263 T20), which is made from
	// its MachineImage, so a machine has one at most. No descriptor says so.
	Local      bool
	Attributes Attributes
}

// Disk is a Disk or SharedDisk of the descriptor (DSP0243 9.1).
type Disk struct {
	OVFID         string // diskId
	CapacityBytes int64  // -1 when unknown
	// FileID and Href are those of the File with the content; for a delta
	// without one of its own, of the nearest parent. Empty for a blank disk.
	FileID, Href string
	Format       string
	Shared       bool
	ReadOnly     bool
	Parent       *Disk
	// Uses are the Items of the chosen hardware that name the disk. Elsewhere:
	// Items of hardware or configurations that were not chosen do.
	Uses      int
	Elsewhere bool
	Element   ovf.Disk
}

// Blank says that the disk has no content.
func (d *Disk) Blank() bool { return d.Href == "" && d.FileID == "" }

// NIC is a network card.
type NIC struct {
	OVFID     string // InstanceID of the Item
	Type      string // ResourceSubType
	MAC       string // empty when the host assigns it
	Disabled  bool
	Endpoints []*Endpoint // one per Connection, usually one
	Item      ovf.Item
}

// Endpoint connects a NIC with a Network.
type Endpoint struct {
	Name       string
	Network    *Network
	Address    string // MAC of the NIC; empty when dynamic
	Parameters map[string]string

	disabled bool
}

// Network is an entry of NetworkSection (DSP0243 9.2).
type Network struct {
	Name        string
	OVFID       string // ovf:name
	Description string
	Attributes  Attributes
	Element     ovf.Network
}

// Startup is an Item of StartupSection (DSP0243 9.7). Delays in seconds. It is
// also the value of the extension attribute ovfStartup.
type Startup struct {
	Order           int    `json:"order"`
	StartDelay      int    `json:"startDelay,omitempty"`
	StopDelay       int    `json:"stopDelay,omitempty"`
	StartAction     string `json:"startAction,omitempty"` // powerOn (the default), none
	StopAction      string `json:"stopAction,omitempty"`  // powerOff (the default), guestShutdown, none
	WaitingForGuest bool   `json:"waitingForGuest,omitempty"`
}

// Property is a property of a content element (DSP0243 9.5).
type Property struct {
	Key              string // as the OVF environment has it
	Value            string // under the configuration in force
	Password         bool
	UserConfigurable bool
	Element          ovf.Property
}

// Attributes are CIMI attributes without counterpart in OVF: the attribute
// cimimove:attributes of an element holds them as JSON (DSP0243 7.3 lets every
// element have foreign attributes).
type Attributes struct {
	Name            string            `json:"name,omitempty"`
	Description     string            `json:"description,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	CPUArch         string            `json:"cpuArch,omitempty"`
	CPUSpeed        int64             `json:"cpuSpeed,omitempty"` // in megahertz
	InitialLocation string            `json:"initialLocation,omitempty"`
	Parameters      map[string]string `json:"parameters,omitempty"`
	// System is that of a lone machine.
	System *Attributes `json:"system,omitempty"`
}
