package cimi

// System is Machines, Volumes, Networks and more that are operated as one (5.13.1).
type System struct {
	Common
	State            string           `cimi:"state,ro"`
	Systems          *Ref[Collection] `cimi:"systems,of=System,ro"`
	Machines         *Ref[Collection] `cimi:"machines,of=Machine,ro"`
	Credentials      *Ref[Collection] `cimi:"credentials,of=Credential,ro"`
	Volumes          *Ref[Collection] `cimi:"volumes,of=Volume,ro"`
	Networks         *Ref[Collection] `cimi:"networks,of=Network,ro"`
	NetworkServices  *Ref[Collection] `cimi:"networkServices,of=NetworkService,since=2,ro"`
	Services         *Ref[Collection] `cimi:"services,of=SystemService,since=2,ro"`
	NetworkPorts     *Ref[Collection] `cimi:"networkPorts,of=NetworkPort,ro,until=1"`
	Addresses        *Ref[Collection] `cimi:"addresses,of=Address,ro,until=1"`
	ForwardingGroups *Ref[Collection] `cimi:"forwardingGroups,of=ForwardingGroup,ro,until=1"`
	Meters           *Ref[Collection] `cimi:"meters,of=Meter,ro"`
	EventLog         *Ref[EventLog]   `cimi:"eventLog,ro"`
}

func (*System) TypeName() string { return "System" }

// SystemTemplate describes the components of a System to be (5.13.4). A
// reference "#name" in a descriptor means the component of that name.
type SystemTemplate struct {
	Common
	ComponentDescriptors []ComponentDescriptor  `cimi:"componentDescriptors,item=componentDescriptor"`
	ServiceDescriptors   []ServiceDescriptor    `cimi:"serviceDescriptors,item=serviceDescriptor,since=2"`
	MeterTemplates       []Ref[MeterTemplate]   `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate     *Ref[EventLogTemplate] `cimi:"eventLogTemplate"`
	ImportImage          string                 `cimi:"importImage,uri"`
	GenResourceMetadata  *Ref[ResourceMetadata] `cimi:"genResourceMetadata,since=2"`
}

func (*SystemTemplate) TypeName() string { return "SystemTemplate" }

// ComponentDescriptor is one component, or Quantity of them (T14). Exactly one
// of the references is set: a template, or an existing resource.
type ComponentDescriptor struct {
	Name        string            `cimi:"name"`
	Description string            `cimi:"description"`
	Properties  map[string]string `cimi:"properties"`
	// Type is the type URI of the component, such as TypeURI("Machine").
	Type string `cimi:"type,std"`

	SystemTemplate           *Ref[SystemTemplate]           `cimi:"systemTemplate"`
	MachineTemplate          *Ref[MachineTemplate]          `cimi:"machineTemplate"`
	VolumeTemplate           *Ref[VolumeTemplate]           `cimi:"volumeTemplate"`
	NetworkTemplate          *Ref[NetworkTemplate]          `cimi:"networkTemplate"`
	CredentialTemplate       *Ref[CredentialTemplate]       `cimi:"credentialTemplate"`
	ProtocolSegmentTemplate  *Ref[ProtocolSegmentTemplate]  `cimi:"protocolSegmentTemplate,since=2"`
	ProtocolEndpointTemplate *Ref[ProtocolEndpointTemplate] `cimi:"protocolEndpointTemplate,since=2"`
	NetworkInterfaceTemplate *Ref[NetworkInterfaceTemplate] `cimi:"networkInterfaceTemplate,since=2"`
	NetworkServiceTemplate   *Ref[NetworkServiceTemplate]   `cimi:"networkServiceTemplate,since=2"`
	MeterTemplate            *Ref[MeterTemplate]            `cimi:"meterTemplate"`
	EventLogTemplate         *Ref[EventLogTemplate]         `cimi:"eventLogTemplate"`
	AddressTemplate          *Ref[AddressTemplate]          `cimi:"addressTemplate,until=1"`
	NetworkPortTemplate      *Ref[NetworkPortTemplate]      `cimi:"networkPortTemplate,until=1"`
	ForwardingGroupTemplate  *Ref[ForwardingGroupTemplate]  `cimi:"forwardingGroupTemplate,until=1"`

	System           *Ref[System]           `cimi:"system,since=2"`
	Machine          *Ref[Machine]          `cimi:"machine,since=2"`
	Volume           *Ref[Volume]           `cimi:"volume,since=2"`
	Network          *Ref[Network]          `cimi:"network,since=2"`
	Credential       *Ref[Credential]       `cimi:"credential,since=2"`
	ProtocolSegment  *Ref[ProtocolSegment]  `cimi:"protocolSegment,since=2"`
	ProtocolEndpoint *Ref[ProtocolEndpoint] `cimi:"protocolEndpoint,since=2"`
	NetworkInterface *Ref[NetworkInterface] `cimi:"networkInterface,since=2"`
	NetworkService   *Ref[NetworkService]   `cimi:"networkService,since=2"`

	// Quantity is the number of components to make; absent means 1.
	Quantity *int64 `cimi:"quantity"`
	Extensions
}

// ServiceDescriptor asks for a service of the System (T14, 5.13.6).
type ServiceDescriptor struct {
	Name        string            `cimi:"name"`
	Description string            `cimi:"description"`
	Properties  map[string]string `cimi:"properties"`
	ServiceType string            `cimi:"serviceType"`
	Parameters  map[string]string `cimi:"parameters"`
	Extensions
}
