package cimi

import "strings"

// New makes an empty resource of a type name such as "Machine",
// "MachineCreate" or "MachineCollection". A name that is not modelled gives
// an *Unknown; see Known.
func New(typeName string) Resource {
	if item, ok := strings.CutSuffix(typeName, "Collection"); ok {
		return &Collection{Item: item}
	}
	if r := newKnown(typeName); r != nil {
		return r
	}
	u := &Unknown{Type: typeName}
	if typeName != "" {
		u.URI = TypeURI(typeName)
	}
	return u
}

// Known tells whether a type name is modelled.
func Known(typeName string) bool {
	return strings.HasSuffix(typeName, "Collection") || newKnown(typeName) != nil
}

// TypeNames lists the modelled types of 2.0, collections aside; see TypeNames1.
func TypeNames() []string {
	return []string{
		"CloudEntryPoint", "ResourceMetadata",
		"System", "SystemTemplate", "SystemCreate",
		"Machine", "Disk", "locatedVolume", "MachineTemplate", "MachineConfiguration", "MachineImage", "MachineCreate",
		"Credential", "CredentialTemplate", "CredentialCreate",
		"Volume", "VolumeTemplate", "VolumeConfiguration", "VolumeImage", "VolumeCreate",
		"Network", "NetworkTemplate", "NetworkCreate",
		"ProtocolSegment", "ProtocolSegmentTemplate", "ProtocolSegmentCreate",
		"ProtocolEndpoint", "ProtocolEndpointTemplate", "ProtocolEndpointCreate",
		"NetworkInterface", "NetworkInterfaceTemplate", "NetworkInterfaceCreate",
		"SystemService", "RecoverableMachine", "NetworkService", "NetworkServiceTemplate", "NetworkServiceCreate",
		"Meter", "Sample", "MeterTemplate", "MeterConfiguration", "MeterCreate",
		"EventLog", "EventLogTemplate", "EventLogCreate", "Event",
		"Job", "Action",
	}
}

func newKnown(typeName string) Resource {
	switch typeName {
	case "CloudEntryPoint":
		return new(CloudEntryPoint)
	case "ResourceMetadata":
		return new(ResourceMetadata)
	case "System":
		return new(System)
	case "SystemTemplate":
		return new(SystemTemplate)
	case "SystemCreate":
		return new(SystemCreate)
	case "Machine":
		return new(Machine)
	case "Disk":
		return new(Disk)
	case "locatedVolume":
		return new(LocatedVolume)
	case "MachineTemplate":
		return new(MachineTemplate)
	case "MachineConfiguration":
		return new(MachineConfiguration)
	case "MachineImage":
		return new(MachineImage)
	case "MachineCreate":
		return new(MachineCreate)
	case "Credential":
		return new(Credential)
	case "CredentialTemplate":
		return new(CredentialTemplate)
	case "CredentialCreate":
		return new(CredentialCreate)
	case "Volume":
		return new(Volume)
	case "VolumeTemplate":
		return new(VolumeTemplate)
	case "VolumeConfiguration":
		return new(VolumeConfiguration)
	case "VolumeImage":
		return new(VolumeImage)
	case "VolumeCreate":
		return new(VolumeCreate)
	case "Network":
		return new(Network)
	case "NetworkTemplate":
		return new(NetworkTemplate)
	case "NetworkCreate":
		return new(NetworkCreate)
	case "ProtocolSegment":
		return new(ProtocolSegment)
	case "ProtocolSegmentTemplate":
		return new(ProtocolSegmentTemplate)
	case "ProtocolSegmentCreate":
		return new(ProtocolSegmentCreate)
	case "ProtocolEndpoint":
		return new(ProtocolEndpoint)
	case "ProtocolEndpointTemplate":
		return new(ProtocolEndpointTemplate)
	case "ProtocolEndpointCreate":
		return new(ProtocolEndpointCreate)
	case "NetworkInterface":
		return new(NetworkInterface)
	case "NetworkInterfaceTemplate":
		return new(NetworkInterfaceTemplate)
	case "NetworkInterfaceCreate":
		return new(NetworkInterfaceCreate)
	case "RecoverableMachine":
		return new(RecoverableMachine)
	case "SystemService":
		return new(SystemService)
	case "NetworkService":
		return new(NetworkService)
	case "NetworkServiceTemplate":
		return new(NetworkServiceTemplate)
	case "NetworkServiceCreate":
		return new(NetworkServiceCreate)
	case "Meter":
		return new(Meter)
	case "Sample":
		return new(Sample)
	case "MeterTemplate":
		return new(MeterTemplate)
	case "MeterConfiguration":
		return new(MeterConfiguration)
	case "MeterCreate":
		return new(MeterCreate)
	case "EventLog":
		return new(EventLog)
	case "EventLogTemplate":
		return new(EventLogTemplate)
	case "EventLogCreate":
		return new(EventLogCreate)
	case "Event":
		return new(Event)
	case "Job":
		return new(Job)
	case "Action":
		return new(Action)
	}
	return newKnown1(typeName)
}
