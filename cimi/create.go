package cimi

// The …Create requests (4.2.1.1, 5.5.12.1): name, description and properties
// of the new resource, and its template by reference, by value, or by
// reference with overrides. Templates, configurations and images are created
// from their own representation.

// SystemCreate asks for a System.
type SystemCreate struct {
	Common
	SystemTemplate *Ref[SystemTemplate] `cimi:"systemTemplate,cmandatory"`
}

func (*SystemCreate) TypeName() string { return "SystemCreate" }

// MachineCreate asks for a Machine.
type MachineCreate struct {
	Common
	MachineTemplate *Ref[MachineTemplate] `cimi:"machineTemplate,cmandatory"`
}

func (*MachineCreate) TypeName() string { return "MachineCreate" }

// CredentialCreate asks for a Credential.
type CredentialCreate struct {
	Common
	CredentialTemplate *Ref[CredentialTemplate] `cimi:"credentialTemplate,cmandatory"`
}

func (*CredentialCreate) TypeName() string { return "CredentialCreate" }

// VolumeCreate asks for a Volume. InitialLocation is the accessory attribute
// of Machine.volumes.
type VolumeCreate struct {
	Common
	VolumeTemplate  *Ref[VolumeTemplate] `cimi:"volumeTemplate,cmandatory"`
	InitialLocation string               `cimi:"initialLocation"`
}

func (*VolumeCreate) TypeName() string { return "VolumeCreate" }

// NetworkCreate asks for a Network.
type NetworkCreate struct {
	Common
	NetworkTemplate *Ref[NetworkTemplate] `cimi:"networkTemplate,cmandatory"`
}

func (*NetworkCreate) TypeName() string { return "NetworkCreate" }

// ProtocolSegmentCreate asks for a ProtocolSegment.
type ProtocolSegmentCreate struct {
	Common
	ProtocolSegmentTemplate *Ref[ProtocolSegmentTemplate] `cimi:"protocolSegmentTemplate,alias=segmentTemplate,cmandatory"`
}

func (*ProtocolSegmentCreate) TypeName() string { return "ProtocolSegmentCreate" }

// ProtocolEndpointCreate asks for a ProtocolEndpoint.
type ProtocolEndpointCreate struct {
	Common
	ProtocolEndpointTemplate *Ref[ProtocolEndpointTemplate] `cimi:"protocolEndpointTemplate,alias=endpointTemplate,cmandatory"`
}

func (*ProtocolEndpointCreate) TypeName() string { return "ProtocolEndpointCreate" }

// NetworkInterfaceCreate asks for a NetworkInterface.
type NetworkInterfaceCreate struct {
	Common
	NetworkInterfaceTemplate *Ref[NetworkInterfaceTemplate] `cimi:"networkInterfaceTemplate,alias=interfaceTemplate,cmandatory"`
}

func (*NetworkInterfaceCreate) TypeName() string { return "NetworkInterfaceCreate" }
