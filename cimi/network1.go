package cimi

// The network model of 1.x: what 2.0 replaced by segments, endpoints and
// interfaces.

// Address is an IP address in 1.x.
type Address struct {
	Common
	IP             string        `cimi:"ip"`
	Hostname       string        `cimi:"hostname"`
	Allocation     string        `cimi:"allocation"`
	DefaultGateway string        `cimi:"defaultGateway"`
	DNS            []string      `cimi:"dns,item=dns"`
	Protocol       string        `cimi:"protocol"`
	Mask           string        `cimi:"mask"`
	Network        *Ref[Network] `cimi:"network"`
	Resource       *Ref[Unknown] `cimi:"resource"`
}

func (*Address) TypeName() string { return "Address" }

// AddressTemplate says how to create an Address.
type AddressTemplate struct {
	Common
	IP             string        `cimi:"ip"`
	Hostname       string        `cimi:"hostname"`
	Allocation     string        `cimi:"allocation"`
	DefaultGateway string        `cimi:"defaultGateway"`
	DNS            []string      `cimi:"dns,item=dns"`
	Protocol       string        `cimi:"protocol"`
	Mask           string        `cimi:"mask"`
	Network        *Ref[Network] `cimi:"network"`
}

func (*AddressTemplate) TypeName() string { return "AddressTemplate" }

// AddressCreate asks for an Address.
type AddressCreate struct {
	Common
	AddressTemplate *Ref[AddressTemplate] `cimi:"addressTemplate,cmandatory"`
}

func (*AddressCreate) TypeName() string { return "AddressCreate" }

// NetworkConfiguration is the configuration of Networks to be, in 1.x.
type NetworkConfiguration struct {
	Common
	NetworkType    string `cimi:"networkType"`
	MTU            *int64 `cimi:"mtu"`
	ClassOfService string `cimi:"classOfService"`
}

func (*NetworkConfiguration) TypeName() string { return "NetworkConfiguration" }

// NetworkPort connects to a Network in 1.x.
type NetworkPort struct {
	Common
	State          string           `cimi:"state,ro"`
	Network        *Ref[Network]    `cimi:"network"`
	PortType       string           `cimi:"portType"`
	ClassOfService string           `cimi:"classOfService"`
	Meters         *Ref[Collection] `cimi:"meters,of=Meter,ro"`
	EventLog       *Ref[EventLog]   `cimi:"eventLog,ro"`
}

func (*NetworkPort) TypeName() string { return "NetworkPort" }

// NetworkPortTemplate says how to create a NetworkPort.
type NetworkPortTemplate struct {
	Common
	Network           *Ref[Network]                  `cimi:"network"`
	NetworkPortConfig *Ref[NetworkPortConfiguration] `cimi:"networkPortConfig"`
	MeterTemplates    []Ref[MeterTemplate]           `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate  *Ref[EventLogTemplate]         `cimi:"eventLogTemplate"`
}

func (*NetworkPortTemplate) TypeName() string { return "NetworkPortTemplate" }

// NetworkPortConfiguration is the configuration of NetworkPorts to be.
type NetworkPortConfiguration struct {
	Common
	PortType       string `cimi:"portType"`
	ClassOfService string `cimi:"classOfService"`
}

func (*NetworkPortConfiguration) TypeName() string { return "NetworkPortConfiguration" }

// NetworkPortCreate asks for a NetworkPort.
type NetworkPortCreate struct {
	Common
	NetworkPortTemplate *Ref[NetworkPortTemplate] `cimi:"networkPortTemplate,cmandatory"`
}

func (*NetworkPortCreate) TypeName() string { return "NetworkPortCreate" }

// ForwardingGroup is Networks that route to each other, in 1.x.
type ForwardingGroup struct {
	Common
	Networks []Ref[Network] `cimi:"networks,item=network"`
}

func (*ForwardingGroup) TypeName() string { return "ForwardingGroup" }

// ForwardingGroupTemplate says how to create a ForwardingGroup.
type ForwardingGroupTemplate struct {
	Common
	Networks []Ref[Network] `cimi:"networks,item=network"`
}

func (*ForwardingGroupTemplate) TypeName() string { return "ForwardingGroupTemplate" }

// ForwardingGroupCreate asks for a ForwardingGroup.
type ForwardingGroupCreate struct {
	Common
	ForwardingGroupTemplate *Ref[ForwardingGroupTemplate] `cimi:"forwardingGroupTemplate,cmandatory"`
}

func (*ForwardingGroupCreate) TypeName() string { return "ForwardingGroupCreate" }

// TemplateInterface is an interface of a Machine to be, in a 1.x MachineTemplate.
type TemplateInterface struct {
	Addresses   []Ref[Address]    `cimi:"addresses,item=address"`
	Network     *Ref[Network]     `cimi:"network"`
	NetworkPort *Ref[NetworkPort] `cimi:"networkPort"`
	State       string            `cimi:"state"`
	MTU         *int64            `cimi:"mtu"`
	Extensions
}
