package cimi

// ResourceMetadata describes what a Provider makes of a type: constraints on
// attributes, extension attributes, capabilities, actions (5.11). The name
// attribute of Common is the name of the described type.
type ResourceMetadata struct {
	Common
	TypeURI      string              `cimi:"typeURI,alias=typeUri,mandatory,cmandatory,std"`
	Attributes   []AttributeMetadata `cimi:"attributes,item=attribute"`
	VScope       []ValueScope        `cimi:"vscope,item=valueScope,since=2"`
	Capabilities []Capability        `cimi:"capabilities,item=capability"`
	Actions      []ActionMetadata    `cimi:"actions,item=action"`
}

func (*ResourceMetadata) TypeName() string { return "ResourceMetadata" }

// AttributeMetadata describes one attribute; Namespace and Type are given for
// extension attributes only (T6).
type AttributeMetadata struct {
	Name              string `cimi:"name,attr"`
	Namespace         string `cimi:"namespace,attr"`
	Type              string `cimi:"type,attr"`
	ProviderMandatory *bool  `cimi:"providerMandatory,attr,since=2"`
	ConsumerMandatory *bool  `cimi:"consumerMandatory,attr,name1=required"`
	Mutable           *bool  `cimi:"mutable,attr,since=2"`
	ConsumerWritable  *bool  `cimi:"consumerWritable,attr,since=2"`
	Extensions
}

// Capability is a feature of a Provider (5.11.1). An absent Value means true.
type Capability struct {
	Name        string `cimi:"name,attr"`
	URI         string `cimi:"uri,attr,std"`
	Description string `cimi:"description,attr"`
	Value       any    `cimi:"value,text,element1"`
	Extensions
}

// CapabilityURI is the URI of a capability of T7, such as ("Machine", "UserData").
func CapabilityURI(resource, capability string) string {
	return Namespace + "/capability/" + resource + "/" + capability
}

// ActionMetadata describes an operation of the described type.
type ActionMetadata struct {
	Name          string `cimi:"name,attr"`
	URI           string `cimi:"uri,attr,std"`
	Description   string `cimi:"description,attr"`
	Method        string `cimi:"method,attr"`
	InputMessage  string `cimi:"inputMessage,attr"`
	OutputMessage string `cimi:"outputMessage,attr"`
	Extensions
}

// ValueScope gives the possible values of attributes (5.5.14) by attribute name.
type ValueScope map[string]Scope

// Scope is a value, an enumeration, a range, or merely a unit; Item applies to
// the items of a collection.
type Scope struct {
	Value     any              `cimi:"value"`
	Values    []any            `cimi:"values,item=value"`
	Minimum   *int64           `cimi:"minimum"`
	Maximum   *int64           `cimi:"maximum"`
	Units     string           `cimi:"units"`
	Default   any              `cimi:"default"`
	Increment *int64           `cimi:"increment"`
	Item      map[string]Scope `cimi:"item"`
}
