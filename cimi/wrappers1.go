package cimi

// The entries of 1.x collections that belong to a System, a Machine, a Volume
// or a Network: resources of their own that hold a reference. 2.0 has the
// resources themselves in these collections.

// SystemSystem is an entry of a System's systems in 1.x.
type SystemSystem struct {
	Common
	System *Ref[System] `cimi:"system"`
}

func (*SystemSystem) TypeName() string { return "SystemSystem" }

// SystemMachine is an entry of a System's machines in 1.x.
type SystemMachine struct {
	Common
	Machine *Ref[Machine] `cimi:"machine"`
}

func (*SystemMachine) TypeName() string { return "SystemMachine" }

// SystemCredential is an entry of a System's credentials in 1.x.
type SystemCredential struct {
	Common
	Credential *Ref[Credential] `cimi:"credential"`
}

func (*SystemCredential) TypeName() string { return "SystemCredential" }

// SystemVolume is an entry of a System's volumes in 1.x.
type SystemVolume struct {
	Common
	Volume *Ref[Volume] `cimi:"volume"`
}

func (*SystemVolume) TypeName() string { return "SystemVolume" }

// SystemNetwork is an entry of a System's networks in 1.x.
type SystemNetwork struct {
	Common
	Network *Ref[Network] `cimi:"network"`
}

func (*SystemNetwork) TypeName() string { return "SystemNetwork" }

// SystemNetworkPort is an entry of a System's networkPorts in 1.x.
type SystemNetworkPort struct {
	Common
	NetworkPort *Ref[NetworkPort] `cimi:"networkPort"`
}

func (*SystemNetworkPort) TypeName() string { return "SystemNetworkPort" }

// SystemAddress is an entry of a System's addresses in 1.x.
type SystemAddress struct {
	Common
	Address *Ref[Address] `cimi:"address"`
}

func (*SystemAddress) TypeName() string { return "SystemAddress" }

// SystemForwardingGroup is an entry of a System's forwardingGroups in 1.x.
type SystemForwardingGroup struct {
	Common
	ForwardingGroup *Ref[ForwardingGroup] `cimi:"forwardingGroup"`
}

func (*SystemForwardingGroup) TypeName() string { return "SystemForwardingGroup" }

// MachineVolume is an entry of Machine.volumes in 1.x.
type MachineVolume struct {
	Common
	InitialLocation string       `cimi:"initialLocation"`
	Volume          *Ref[Volume] `cimi:"volume"`
}

func (*MachineVolume) TypeName() string { return "MachineVolume" }

// MachineNetworkInterface is an interface of a Machine in 1.x.
type MachineNetworkInterface struct {
	Common
	Addresses   *Ref[Collection]  `cimi:"addresses,of=MachineNetworkInterfaceAddress"`
	Network     *Ref[Network]     `cimi:"network"`
	NetworkPort *Ref[NetworkPort] `cimi:"networkPort"`
	State       string            `cimi:"state,ro"`
	MACAddress  string            `cimi:"macAddress"`
	MTU         *int64            `cimi:"mtu"`
}

func (*MachineNetworkInterface) TypeName() string { return "MachineNetworkInterface" }

// MachineNetworkInterfaceAddress is an entry of an interface's addresses in 1.x.
type MachineNetworkInterfaceAddress struct {
	Common
	Address *Ref[Address] `cimi:"address"`
}

func (*MachineNetworkInterfaceAddress) TypeName() string { return "MachineNetworkInterfaceAddress" }

// MachineSnapshot is an entry of Machine.snapshots in 1.x; the schema spells its attribute shapshot.
type MachineSnapshot struct {
	Common
	Snapshot *Ref[MachineImage] `cimi:"snapshot,alias=shapshot"`
}

func (*MachineSnapshot) TypeName() string { return "MachineSnapshot" }

// VolumeVolumeImage is an entry of Volume.images in 1.x.
type VolumeVolumeImage struct {
	Common
	VolumeImage *Ref[VolumeImage] `cimi:"volumeImage"`
}

func (*VolumeVolumeImage) TypeName() string { return "VolumeVolumeImage" }

// NetworkNetworkPort is an entry of Network.networkPorts in 1.x.
type NetworkNetworkPort struct {
	Common
	NetworkPort *Ref[NetworkPort] `cimi:"networkPort"`
}

func (*NetworkNetworkPort) TypeName() string { return "NetworkNetworkPort" }

// ForwardingGroupNetwork is an entry of a ForwardingGroup's networks in 1.x.
type ForwardingGroupNetwork struct {
	Common
	Network *Ref[Network] `cimi:"network"`
}

func (*ForwardingGroupNetwork) TypeName() string { return "ForwardingGroupNetwork" }
