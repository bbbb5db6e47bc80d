package cimi

// CloudEntryPoint is the catalogue a consumer starts from (5.12).
type CloudEntryPoint struct {
	Common
	BaseURI                  string           `cimi:"baseURI,uri,fixed,mandatory,cmandatory"`
	Metadata                 *Ref[Collection] `cimi:"resourceMetadata,of=ResourceMetadata,ro"`
	Systems                  *Ref[Collection] `cimi:"systems,of=System,ro"`
	SystemTemplates          *Ref[Collection] `cimi:"systemTemplates,of=SystemTemplate,ro"`
	Machines                 *Ref[Collection] `cimi:"machines,of=Machine,ro"`
	MachineTemplates         *Ref[Collection] `cimi:"machineTemplates,of=MachineTemplate,ro"`
	MachineConfigs           *Ref[Collection] `cimi:"machineConfigs,of=MachineConfiguration,alias=machineConfigurations,ro"`
	MachineImages            *Ref[Collection] `cimi:"machineImages,of=MachineImage,ro"`
	Credentials              *Ref[Collection] `cimi:"credentials,of=Credential,ro"`
	CredentialTemplates      *Ref[Collection] `cimi:"credentialTemplates,of=CredentialTemplate,ro"`
	Volumes                  *Ref[Collection] `cimi:"volumes,of=Volume,ro"`
	VolumeTemplates          *Ref[Collection] `cimi:"volumeTemplates,of=VolumeTemplate,ro"`
	VolumeConfigs            *Ref[Collection] `cimi:"volumeConfigs,of=VolumeConfiguration,alias=volumeConfigurations,ro"`
	VolumeImages             *Ref[Collection] `cimi:"volumeImages,of=VolumeImage,ro"`
	Networks                 *Ref[Collection] `cimi:"networks,of=Network,ro"`
	NetworkTemplates         *Ref[Collection] `cimi:"networkTemplates,of=NetworkTemplate,ro"`
	NetworkConfigs           *Ref[Collection] `cimi:"networkConfigs,of=NetworkConfiguration,ro,until=1"`
	NetworkPorts             *Ref[Collection] `cimi:"networkPorts,of=NetworkPort,ro,until=1"`
	NetworkPortTemplates     *Ref[Collection] `cimi:"networkPortTemplates,of=NetworkPortTemplate,ro,until=1"`
	NetworkPortConfigs       *Ref[Collection] `cimi:"networkPortConfigs,of=NetworkPortConfiguration,ro,until=1"`
	Addresses                *Ref[Collection] `cimi:"addresses,of=Address,ro,until=1"`
	AddressTemplates         *Ref[Collection] `cimi:"addressTemplates,of=AddressTemplate,ro,until=1"`
	ForwardingGroups         *Ref[Collection] `cimi:"forwardingGroups,of=ForwardingGroup,ro,until=1"`
	ForwardingGroupTemplates *Ref[Collection] `cimi:"forwardingGroupTemplates,of=ForwardingGroupTemplate,ro,until=1"`
	Segments                 *Ref[Collection] `cimi:"segments,of=ProtocolSegment,since=2,ro"`
	SegmentTemplates         *Ref[Collection] `cimi:"segmentTemplates,of=ProtocolSegmentTemplate,since=2,ro"`
	Endpoints                *Ref[Collection] `cimi:"endpoints,of=ProtocolEndpoint,since=2,ro"`
	EndpointTemplates        *Ref[Collection] `cimi:"endpointTemplates,of=ProtocolEndpointTemplate,since=2,ro"`
	Interfaces               *Ref[Collection] `cimi:"interfaces,of=NetworkInterface,since=2,ro"`
	InterfaceTemplates       *Ref[Collection] `cimi:"interfaceTemplates,of=NetworkInterfaceTemplate,since=2,ro"`
	NetworkServices          *Ref[Collection] `cimi:"networkServices,of=NetworkService,since=2,ro"`
	NetworkServiceTemplates  *Ref[Collection] `cimi:"networkServiceTemplates,of=NetworkServiceTemplate,since=2,ro"`
	Jobs                     *Ref[Collection] `cimi:"jobs,of=Job,ro"`
	Meters                   *Ref[Collection] `cimi:"meters,of=Meter,ro"`
	MeterTemplates           *Ref[Collection] `cimi:"meterTemplates,of=MeterTemplate,ro"`
	MeterConfigs             *Ref[Collection] `cimi:"meterConfigs,of=MeterConfiguration,alias=meterConfigurations,ro"`
	EventLogs                *Ref[Collection] `cimi:"eventLogs,of=EventLog,ro"`
	EventLogTemplates        *Ref[Collection] `cimi:"eventLogTemplates,of=EventLogTemplate,ro"`
}

func (*CloudEntryPoint) TypeName() string { return "CloudEntryPoint" }
