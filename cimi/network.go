package cimi

// Network is a set of segments, over each of which one protocol is spoken (5.16.1).
type Network struct {
	Common
	State           string                `cimi:"state,ro"`
	NetworkType     string                `cimi:"networkType,until=1"`
	MTU             *int64                `cimi:"mtu,until=1"`
	ClassOfService  string                `cimi:"classOfService,until=1"`
	NetworkPorts    *Ref[Collection]      `cimi:"networkPorts,of=NetworkPort,ro,until=1"`
	ForwardingGroup *Ref[ForwardingGroup] `cimi:"forwardingGroup,until=1"`
	Segments        *Ref[Collection]      `cimi:"segments,of=ProtocolSegment,since=2,ro"`
	Services        *Ref[Collection]      `cimi:"services,of=NetworkService,since=2,ro"`
	Subnetworks     *Ref[Collection]      `cimi:"subnetworks,of=Network,since=2,ro"`
	Meters          *Ref[Collection]      `cimi:"meters,of=Meter,ro"`
	EventLog        *Ref[EventLog]        `cimi:"eventLog,ro"`
}

func (*Network) TypeName() string { return "Network" }

// NetworkTemplate says how to create a Network (5.16.3).
type NetworkTemplate struct {
	Common
	InitialState        string                         `cimi:"initialState"`
	NetworkConfig       *Ref[NetworkConfiguration]     `cimi:"networkConfig,until=1"`
	ForwardingGroup     *Ref[ForwardingGroup]          `cimi:"forwardingGroup,until=1"`
	Segments            []Ref[ProtocolSegment]         `cimi:"segments,item=segment,since=2"`
	SegmentTemplates    []Ref[ProtocolSegmentTemplate] `cimi:"segmentTemplates,item=segmentTemplate,since=2"`
	Services            []Ref[NetworkService]          `cimi:"services,item=service,since=2"`
	ServiceTemplates    []Ref[NetworkServiceTemplate]  `cimi:"serviceTemplates,item=serviceTemplate,since=2"`
	Subnetworks         []Ref[Network]                 `cimi:"subnetworks,item=subnetwork,since=2"`
	SubnetworkTemplates []Ref[NetworkTemplate]         `cimi:"subnetworkTemplates,item=subnetworkTemplate,since=2"`
	MeterTemplates      []Ref[MeterTemplate]           `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate    *Ref[EventLogTemplate]         `cimi:"eventLogTemplate"`
}

func (*NetworkTemplate) TypeName() string { return "NetworkTemplate" }

// ProtocolSegment is a channel of a Network: Ethernet, IPv4 or IPv6 (5.16.5).
type ProtocolSegment struct {
	Common
	State            string            `cimi:"state,ro"`
	Protocol         string            `cimi:"protocol"`
	NoDefaultRouting *bool             `cimi:"noDefaultRouting"`
	Endpoints        *Ref[Collection]  `cimi:"endpoints,of=ProtocolEndpoint,ro"`
	Parameters       map[string]string `cimi:"parameters"`
	Meters           *Ref[Collection]  `cimi:"meters,of=Meter,ro"`
	EventLog         *Ref[EventLog]    `cimi:"eventLog,ro"`
}

func (*ProtocolSegment) TypeName() string { return "ProtocolSegment" }

// ProtocolSegmentTemplate says how to create a ProtocolSegment (5.16.7).
type ProtocolSegmentTemplate struct {
	Common
	Network           *Ref[Network]                   `cimi:"network"`
	InitialState      string                          `cimi:"initialState"`
	Protocol          string                          `cimi:"protocol"`
	NoDefaultRouting  *bool                           `cimi:"noDefaultRouting"`
	Endpoints         []Ref[ProtocolEndpoint]         `cimi:"endpoints,item=endpoint"`
	EndpointTemplates []Ref[ProtocolEndpointTemplate] `cimi:"endpointTemplates,item=endpointTemplate"`
	Parameters        map[string]string               `cimi:"parameters"`
	MeterTemplates    []Ref[MeterTemplate]            `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate  *Ref[EventLogTemplate]          `cimi:"eventLogTemplate"`
}

func (*ProtocolSegmentTemplate) TypeName() string { return "ProtocolSegmentTemplate" }

// ProtocolEndpoint is an address within a segment (5.16.9).
type ProtocolEndpoint struct {
	Common
	State    string `cimi:"state,ro"`
	Protocol string `cimi:"protocol"`
	Address  string `cimi:"address"`
	// Origin is STATIC or DYNAMIC.
	Origin     string                 `cimi:"origin"`
	Interface  *Ref[NetworkInterface] `cimi:"interface"`
	Parameters map[string]string      `cimi:"parameters"`
	Meters     *Ref[Collection]       `cimi:"meters,of=Meter,ro"`
	EventLog   *Ref[EventLog]         `cimi:"eventLog,ro"`
}

func (*ProtocolEndpoint) TypeName() string { return "ProtocolEndpoint" }

// ProtocolEndpointTemplate says how to create a ProtocolEndpoint (5.16.11).
type ProtocolEndpointTemplate struct {
	Common
	InitialState     string                 `cimi:"initialState"`
	Address          string                 `cimi:"address"`
	Origin           string                 `cimi:"origin"`
	Interface        *Ref[NetworkInterface] `cimi:"interface"`
	Parameters       map[string]string      `cimi:"parameters"`
	MeterTemplates   []Ref[MeterTemplate]   `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate *Ref[EventLogTemplate] `cimi:"eventLogTemplate"`
}

func (*ProtocolEndpointTemplate) TypeName() string { return "ProtocolEndpointTemplate" }

// NetworkInterface connects a Machine with endpoints (5.16.13).
type NetworkInterface struct {
	Common
	State     string           `cimi:"state,ro"`
	Endpoints *Ref[Collection] `cimi:"endpoints,of=ProtocolEndpoint,ro"`
	// Speed is in bits per second.
	Speed *int64 `cimi:"speed"`
	// MTU is in bytes.
	MTU      *int64           `cimi:"mtu"`
	Meters   *Ref[Collection] `cimi:"meters,of=Meter,ro"`
	EventLog *Ref[EventLog]   `cimi:"eventLog,ro"`
}

func (*NetworkInterface) TypeName() string { return "NetworkInterface" }

// NetworkInterfaceTemplate says how to create a NetworkInterface (5.16.15).
type NetworkInterfaceTemplate struct {
	Common
	InitialState string `cimi:"initialState"`
	// Endpoints is a collection by value: references to the endpoints, "#name"
	// for one of the same SystemTemplate. A reference to a Collection resource
	// is one entry.
	Endpoints        []Ref[ProtocolEndpoint] `cimi:"endpoints,item=endpoint"`
	Speed            *int64                  `cimi:"speed"`
	MTU              *int64                  `cimi:"mtu"`
	MeterTemplates   []Ref[MeterTemplate]    `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate *Ref[EventLogTemplate]  `cimi:"eventLogTemplate"`
}

func (*NetworkInterfaceTemplate) TypeName() string { return "NetworkInterfaceTemplate" }
