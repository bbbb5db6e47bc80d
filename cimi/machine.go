package cimi

// Machine is a compute resource: processors and memory, and what hangs on them (5.14.1).
type Machine struct {
	Common
	State string `cimi:"state,ro"`
	CPU   *int64 `cimi:"cpu"`
	// Memory is in kibibytes.
	Memory  *int64           `cimi:"memory,measure=memory"`
	Disks   *Ref[Collection] `cimi:"disks,of=Disk,ro"`
	CPUArch string           `cimi:"cpuArch"`
	// CPUSpeed is in megahertz.
	CPUSpeed   *int64           `cimi:"cpuSpeed"`
	Volumes    *Ref[Collection] `cimi:"volumes,of=locatedVolume,ro"`
	Interfaces *Ref[Collection] `cimi:"interfaces,of=NetworkInterface,since=2,ro"`
	// NetworkInterfaces is 1.x's: entries are MachineNetworkInterfaces.
	NetworkInterfaces *Ref[Collection]   `cimi:"networkInterfaces,of=MachineNetworkInterface,ro,until=1"`
	LatestSnapshot    *Ref[MachineImage] `cimi:"latestSnapshot,ro"`
	Snapshots         *Ref[Collection]   `cimi:"snapshots,of=MachineImage,ro"`
	Meters            *Ref[Collection]   `cimi:"meters,of=Meter,ro"`
	EventLog          *Ref[EventLog]     `cimi:"eventLog,ro"`
}

func (*Machine) TypeName() string { return "Machine" }

// Disk is local storage of a Machine (T17). Capacity is in kilobytes.
type Disk struct {
	Common
	Capacity        *int64 `cimi:"capacity,measure=disk"`
	InitialLocation string `cimi:"initialLocation"`
}

func (*Disk) TypeName() string { return "Disk" }

// LocatedVolume is an entry of Machine.volumes: a Volume and where it appears (T18).
type LocatedVolume struct {
	Volume
	InitialLocation string `cimi:"initialLocation"`
}

func (*LocatedVolume) TypeName() string { return "locatedVolume" }

// MachineTemplate says how to create a Machine (5.14.3).
type MachineTemplate struct {
	Common
	InitialState       string                          `cimi:"initialState"`
	MachineConfig      *Ref[MachineConfiguration]      `cimi:"machineConfig"`
	MachineImage       *Ref[MachineImage]              `cimi:"machineImage"`
	Credential         *Ref[Credential]                `cimi:"credential"`
	Volumes            []TemplateVolume                `cimi:"volumes,item=volume"`
	VolumeTemplates    []TemplateVolumeTemplate        `cimi:"volumeTemplates,item=volumeTemplate"`
	InterfaceTemplates []Ref[NetworkInterfaceTemplate] `cimi:"interfaceTemplates,item=interfaceTemplate,since=2"`
	// NetworkInterfaces is 1.x's.
	NetworkInterfaces []TemplateInterface `cimi:"networkInterfaces,item=networkInterface,until=1"`
	// UserData is Base64 of what is injected into the Machine.
	UserData            string                 `cimi:"userData"`
	MeterTemplates      []Ref[MeterTemplate]   `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate    *Ref[EventLogTemplate] `cimi:"eventLogTemplate"`
	GenResourceMetadata *Ref[ResourceMetadata] `cimi:"genResourceMetadata,since=2"`
}

func (*MachineTemplate) TypeName() string { return "MachineTemplate" }

// TemplateVolume connects an existing Volume to the new Machine (T19).
type TemplateVolume struct {
	InitialLocation string           `cimi:"initialLocation,attr1"`
	Credential      *Ref[Credential] `cimi:"credential,since=2"`
	Volume          *Ref[Volume]     `cimi:"volume,inline1"`
	Extensions
}

// TemplateVolumeTemplate creates a Volume and connects it to the new Machine (T19).
type TemplateVolumeTemplate struct {
	InitialLocation string               `cimi:"initialLocation,attr1"`
	VolumeTemplate  *Ref[VolumeTemplate] `cimi:"volumeTemplate,inline1"`
	Extensions
}

// MachineConfiguration is the virtual hardware of Machines to be (5.14.5).
type MachineConfiguration struct {
	Common
	CPU *int64 `cimi:"cpu"`
	// Memory is in kibibytes.
	Memory  *int64              `cimi:"memory,measure=memory"`
	Disks   []DiskConfiguration `cimi:"disks,item=disk"`
	CPUArch string              `cimi:"cpuArch"`
	// CPUSpeed is in megahertz.
	CPUSpeed *int64       `cimi:"cpuSpeed"`
	VScope   []ValueScope `cimi:"vscope,item=valueScope,since=2"`
}

func (*MachineConfiguration) TypeName() string { return "MachineConfiguration" }

// DiskConfiguration is a disk of Machines to be (T20). Capacity is in kilobytes.
type DiskConfiguration struct {
	Capacity        *int64 `cimi:"capacity,measure=disk"`
	Format          string `cimi:"format"`
	InitialLocation string `cimi:"initialLocation"`
	Extensions
}

// MachineImage is content that Machines are made from (5.14.7).
type MachineImage struct {
	Common
	State string `cimi:"state,ro"`
	// Type is IMAGE, SNAPSHOT or PARTIAL_SNAPSHOT.
	Type          string             `cimi:"type"`
	ImageLocation string             `cimi:"imageLocation,uri"`
	RelatedImage  *Ref[MachineImage] `cimi:"relatedImage"`
}

func (*MachineImage) TypeName() string { return "MachineImage" }
