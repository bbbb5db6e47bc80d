package host

import "time"

// System is a set of machines, disks and networks that belong together, with
// the descriptor it came from. It is a plain value: JSON of it is how hosts store it.
type System struct {
	ID          string     `json:"id"`
	OVFID       string     `json:"ovfId,omitempty"` // ovf:id of the VirtualSystem(Collection) it came from
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Created     time.Time  `json:"created"`
	Updated     time.Time  `json:"updated"`
	Machines    []*Machine `json:"machines,omitempty"`
	Disks       []*Disk    `json:"disks,omitempty"`
	Networks    []*Network `json:"networks,omitempty"`
	Systems     []*System  `json:"systems,omitempty"` // nested collections
	// Descriptor is the kept descriptor (root System only); files of the
	// package that are not disks are kept by the host under FileNames.
	Descriptor     []byte   `json:"descriptor,omitempty"`
	DescriptorName string   `json:"descriptorName,omitempty"`
	Configuration  string   `json:"configuration,omitempty"`
	FileNames      []string `json:"fileNames,omitempty"`
	// ManifestName and CertificateName are those files' names in the package;
	// empty where it had none.
	ManifestName    string `json:"manifestName,omitempty"`
	CertificateName string `json:"certificateName,omitempty"`
	// SystemType is the VirtualSystemType of the hardware sections chosen
	// (DSP0243 8.1); empty where the first was taken.
	SystemType string `json:"systemType,omitempty"`
	// Collection tells a VirtualSystemCollection from a single VirtualSystem.
	Collection bool `json:"collection,omitempty"`
	// Properties are values of OVF properties by environment key; password ones included, never shown.
	Properties map[string]string `json:"properties,omitempty"`
	// Passwords are the keys among them whose values are never shown (ovf:password).
	Passwords []string `json:"passwords,omitempty"`
	// Holder is set where this is no System but the place of a part that belongs
	// to none; see Maker.
	Holder string `json:"holder,omitempty"`
	// Of is the id of the machine or disk that an image was taken of, or what
	// else a Holder belongs to, as the Provider names it.
	Of string `json:"of,omitempty"`
	// Associated are resources of others that the System uses but does not own
	// (DSP0263 5.13.1), as the Provider names them: "machines/ID".
	Associated []string `json:"associated,omitempty"`
}

// PowerState of a machine.
type PowerState string

const (
	Stopped   PowerState = "STOPPED"
	Started   PowerState = "STARTED"
	Paused    PowerState = "PAUSED"
	Suspended PowerState = "SUSPENDED"
	// Failed is a machine that ended by itself, in error.
	Failed PowerState = "FAILED"
)

// Machine is a virtual machine.
type Machine struct {
	ID          string     `json:"id"`
	OVFID       string     `json:"ovfId,omitempty"`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	State       PowerState `json:"state"`
	CPUs        int        `json:"cpus"`
	CPUArch     string     `json:"cpuArch,omitempty"` // as DSP0263 T16 spells it: x86_64, …
	MemoryBytes int64      `json:"memoryBytes"`
	// Attachments in the order of controller and address; the boot disk is told by Boot.
	Attachments []Attachment `json:"attachments,omitempty"`
	NICs        []NIC        `json:"nics,omitempty"`
	// Instance counts the machines of one VirtualSystem from 0 (ScaleOutSection of OVF 2).
	Instance int `json:"instance,omitempty"`
	// StartOrder is OVF's (DSP0243 9.7), kept as the descriptor says.
	StartOrder int `json:"startOrder,omitempty"`
	// Created is zero for what was made together with the root; see Dates.
	Created time.Time `json:"created,omitzero"`
}

// Attachment puts a disk of the System on a controller of a machine.
type Attachment struct {
	DiskID     string `json:"diskId"`
	Controller string `json:"controller"` // ide, scsi, sata, nvme, virtio
	Bus        int    `json:"bus"`
	Unit       int    `json:"unit"`
	Boot       bool   `json:"boot,omitempty"`
	OVFID      string `json:"ovfId,omitempty"` // InstanceID of the Item
	// Location is where the guest was meant to see the disk first (T17, T18).
	Location string `json:"location,omitempty"`
}

// NIC is a network card.
type NIC struct {
	// ID tells the card from the others of its machine for as long as it is
	// there; empty is its position.
	ID       string `json:"id,omitempty"`
	OVFID    string `json:"ovfId,omitempty"` // InstanceID of the Item
	Name     string `json:"name,omitempty"`
	Network  string `json:"network"` // id of a Network of the System, or of the host
	MAC      string `json:"mac,omitempty"`
	Type     string `json:"type,omitempty"` // ResourceSubType
	Disabled bool   `json:"disabled,omitempty"`
	// Endpoint is the Provider's key of the ProtocolEndpoint that the card is
	// connected by, where it was made before the card.
	Endpoint string    `json:"endpoint,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// Disk is a virtual disk owned by a System.
type Disk struct {
	ID            string `json:"id"`
	OVFID         string `json:"ovfId,omitempty"` // diskId
	Name          string `json:"name"`
	CapacityBytes int64  `json:"capacityBytes"` // exact
	// Kilobytes is the capacity that was asked for, where the disk is larger than
	// that by less than a sector; 0 for one that has its size from elsewhere.
	Kilobytes int64 `json:"kilobytes,omitempty"`
	// ContentBytes is how much of it came from a File, from 0; 0 for a blank disk.
	ContentBytes int64 `json:"contentBytes,omitempty"`
	// ContentDigest is the content digest taken at import (hex), over ContentBytes; empty for a blank disk.
	ContentDigest string `json:"contentDigest,omitempty"`
	Format        string `json:"format,omitempty"` // OVF format URI of the descriptor
	Href          string `json:"href,omitempty"`
	Shared        bool   `json:"shared,omitempty"`
	Boot          bool   `json:"boot,omitempty"`
	Storage       string `json:"storage,omitempty"`
	// Local is storage of one machine (DSP0263 T17), which goes with it; others are Volumes.
	Local bool `json:"local,omitempty"`
	// Generation counts how often the content was replaced as a whole.
	Generation int `json:"generation,omitempty"`
	// Unproved: the content was changed in part and not proved since; see Patcher.
	Unproved bool `json:"unproved,omitempty"`
	// Tracked: what is written to it is kept track of now; see ChangeTracker.
	Tracked bool `json:"-"`
	// Created is zero for what was made together with the root; see Dates.
	Created time.Time `json:"created,omitzero"`
}

// Network is a network of a System; External ones are the host's own and are
// only associated with it (DSP0263 5.13.1).
type Network struct {
	ID          string `json:"id"`
	OVFID       string `json:"ovfId,omitempty"` // ovf:name
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	External    bool   `json:"external,omitempty"`
	// Created is zero for what was made together with the root; see Dates.
	Created time.Time `json:"created,omitzero"`
}
