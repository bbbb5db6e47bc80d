package cimi

// SystemService is a management service for Resources of a System (5.13.3):
// high reliability, disaster recovery and others, by serviceType.
type SystemService struct {
	Common
	ServiceType string            `cimi:"serviceType,std"`
	Machines    *Ref[Collection]  `cimi:"machines,of=Machine,ro"`
	Volumes     *Ref[Collection]  `cimi:"volumes,of=Volume,ro"`
	Systems     *Ref[Collection]  `cimi:"systems,of=System,ro"`
	Parameters  map[string]string `cimi:"parameters"`
}

func (*SystemService) TypeName() string { return "SystemService" }

// RecoverableMachine is an entry of a HighReliability service's machines: a
// Machine and the one that takes over from it (T12).
type RecoverableMachine struct {
	Machine
	BackupMachine *Ref[Machine] `cimi:"backupmachine"`
}

func (*RecoverableMachine) TypeName() string { return "RecoverableMachine" }

// Types of SystemService (5.13.3.1, 5.13.3.2).
const (
	ServiceReliabilityActive  = Namespace + "/SystemService/highreliability/active"
	ServiceReliabilityPassive = Namespace + "/SystemService/highreliability/passive"
	ServiceDisasterRecovery   = Namespace + "/SystemService/disasterrecovery"
)

// NetworkService adds to Networks what goes beyond routing in a segment (5.16.17).
type NetworkService struct {
	Common
	State     string            `cimi:"state,ro"`
	Type      string            `cimi:"type"`
	Endpoints *Ref[Collection]  `cimi:"endpoints,of=ProtocolEndpoint,ro"`
	Segments  *Ref[Collection]  `cimi:"segments,of=ProtocolSegment,ro"`
	Policies  map[string]string `cimi:"policies"`
	Meters    *Ref[Collection]  `cimi:"meters,of=Meter,ro"`
	EventLog  *Ref[EventLog]    `cimi:"eventLog,ro"`
}

func (*NetworkService) TypeName() string { return "NetworkService" }

// NetworkServiceTemplate says how to create a NetworkService (5.16.19).
type NetworkServiceTemplate struct {
	Common
	Network          *Ref[Network]           `cimi:"network"`
	InitialState     string                  `cimi:"initialState"`
	Type             string                  `cimi:"type"`
	Endpoints        []Ref[ProtocolEndpoint] `cimi:"endpoints,item=endpoint"`
	Segments         []Ref[ProtocolSegment]  `cimi:"segments,item=segment"`
	Policies         map[string]string       `cimi:"policies"`
	MeterTemplates   []Ref[MeterTemplate]    `cimi:"meterTemplates,item=meterTemplate"`
	EventLogTemplate *Ref[EventLogTemplate]  `cimi:"eventLogTemplate"`
}

func (*NetworkServiceTemplate) TypeName() string { return "NetworkServiceTemplate" }

// NetworkServiceCreate asks for a NetworkService.
type NetworkServiceCreate struct {
	Common
	NetworkServiceTemplate *Ref[NetworkServiceTemplate] `cimi:"networkServiceTemplate,alias=serviceTemplate,cmandatory"`
}

func (*NetworkServiceCreate) TypeName() string { return "NetworkServiceCreate" }
