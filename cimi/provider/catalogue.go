package provider

import (
	"context"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// kind is a type of resource: where its instances are, and where they are kept.
type kind struct {
	id   string // first part of their ids, and collection of the entry point
	item string // type
	keep keeper
}

// keeper says who keeps resources of a kind.
type keeper int

const (
	byHost  keeper = iota // the host alone; resources are views of what it holds
	byUs                  // the Provider's store alone
	byBoth                // some the host, others the store
	byTasks               // Jobs
	byRule                // made when they are asked for
	byLog                 // Events, EventLogs, Samples: rows of their own
)

// kinds are all that the Provider has. Those that the entry point has no
// attribute for are found in collections of other resources.
var kinds = []kind{
	{"resourceMetadata", "ResourceMetadata", byBoth},
	{"systems", "System", byHost},
	{"systemTemplates", "SystemTemplate", byUs},
	{"services", "SystemService", byUs},
	{"machines", "Machine", byHost},
	{"disks", "Disk", byHost},
	{"machineTemplates", "MachineTemplate", byUs},
	{"machineConfigs", "MachineConfiguration", byUs},
	{"machineImages", "MachineImage", byBoth},
	{"credentials", "Credential", byUs},
	{"credentialTemplates", "CredentialTemplate", byUs},
	{"volumes", "Volume", byHost},
	{"volumeTemplates", "VolumeTemplate", byUs},
	{"volumeConfigs", "VolumeConfiguration", byUs},
	{"volumeImages", "VolumeImage", byBoth},
	{"networks", "Network", byHost},
	{"networkTemplates", "NetworkTemplate", byUs},
	{"segments", "ProtocolSegment", byBoth},
	{"segmentTemplates", "ProtocolSegmentTemplate", byUs},
	{"endpoints", "ProtocolEndpoint", byBoth},
	{"endpointTemplates", "ProtocolEndpointTemplate", byUs},
	{"interfaces", "NetworkInterface", byHost},
	{"interfaceTemplates", "NetworkInterfaceTemplate", byUs},
	{"networkServices", "NetworkService", byUs},
	{"networkServiceTemplates", "NetworkServiceTemplate", byUs},
	{"jobs", "Job", byTasks},
	{"meters", "Meter", byUs},
	{"meterTemplates", "MeterTemplate", byUs},
	{"meterConfigs", "MeterConfiguration", byUs},
	{"samples", "Sample", byLog},
	{"eventLogs", "EventLog", byLog},
	{"eventLogTemplates", "EventLogTemplate", byUs},
	{"events", "Event", byLog},
	// 1.x only.
	{"networkConfigs", "NetworkConfiguration", byUs},
	{"networkPorts", "NetworkPort", byUs},
	{"networkPortTemplates", "NetworkPortTemplate", byUs},
	{"networkPortConfigs", "NetworkPortConfiguration", byUs},
	{"addresses", "Address", byUs},
	{"addressTemplates", "AddressTemplate", byUs},
	{"forwardingGroups", "ForwardingGroup", byUs},
	{"forwardingGroupTemplates", "ForwardingGroupTemplate", byUs},
}

var kindByID, kindByItem = func() (byID, byItem map[string]kind) {
	byID, byItem = map[string]kind{}, map[string]kind{}
	for _, k := range kinds {
		byID[k.id], byItem[k.item] = k, k
	}
	return byID, byItem
}()

// typeOfID is the type of the resource that an id names.
func typeOfID(id string) string {
	if id == entryPoint {
		return "CloudEntryPoint"
	}
	first, _, _ := strings.Cut(id, "/")
	return kindByID[first].item
}

// stored tells whether resources of a kind may be in the store.
func (k kind) stored() bool { return k.keep == byUs || k.keep == byBoth }

// held tells whether the host may hold resources of a kind.
func (k kind) held() bool { return k.keep == byHost || k.keep == byBoth && k.id != "resourceMetadata" }

const entryPoint = "cloudEntryPoint"

// memberItem is the type of the entries of a collection that is an attribute
// of a resource; ok is false when the resource's type has none of that name.
func memberItem(owner, attr string) (item string, ok bool) {
	t := typeOfID(owner)
	if t == "" {
		return "", false
	}
	a := cimi.AttributeNamed(t, attr)
	if a == nil || a.Type != "collection" || a.Name != attr || t == "CloudEntryPoint" {
		return "", false
	}
	return a.Item, true
}

// EntryPoint is the catalogue of the collections offered (5.12).
func (p *Provider) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	r := &cimi.CloudEntryPoint{BaseURI: "/",
		Metadata: collection("resourceMetadata"), Systems: collection("systems"), SystemTemplates: collection("systemTemplates"),
		Machines: collection("machines"), MachineTemplates: collection("machineTemplates"), MachineConfigs: collection("machineConfigs"),
		MachineImages: collection("machineImages"), Credentials: collection("credentials"), CredentialTemplates: collection("credentialTemplates"),
		Volumes: collection("volumes"), VolumeTemplates: collection("volumeTemplates"), VolumeConfigs: collection("volumeConfigs"),
		VolumeImages: collection("volumeImages"), Networks: collection("networks"), NetworkTemplates: collection("networkTemplates"),
		NetworkConfigs: collection("networkConfigs"), NetworkPorts: collection("networkPorts"),
		NetworkPortTemplates: collection("networkPortTemplates"), NetworkPortConfigs: collection("networkPortConfigs"),
		Addresses: collection("addresses"), AddressTemplates: collection("addressTemplates"),
		ForwardingGroups: collection("forwardingGroups"), ForwardingGroupTemplates: collection("forwardingGroupTemplates"),
		Segments: collection("segments"), SegmentTemplates: collection("segmentTemplates"),
		Endpoints: collection("endpoints"), EndpointTemplates: collection("endpointTemplates"),
		Interfaces: collection("interfaces"), InterfaceTemplates: collection("interfaceTemplates"),
		NetworkServices: collection("networkServices"), NetworkServiceTemplates: collection("networkServiceTemplates"),
		Jobs: collection("jobs"), Meters: collection("meters"), MeterTemplates: collection("meterTemplates"), MeterConfigs: collection("meterConfigs"),
		EventLogs: collection("eventLogs"), EventLogTemplates: collection("eventLogTemplates")}
	r.ID, r.Name, r.Description = entryPoint, p.opts.Name, p.opts.Description
	if r.Name == "" {
		r.Name = "cimimove"
	}
	if free := p.host.Capabilities().FreeBytes; free != nil {
		// A host that cannot tell now is no reason to have no entry point.
		if n, err := free(ctx); err == nil && n >= 0 {
			r.SetExtra(cimi.FreeCapacity, roundDown(n/1000))
		}
	}
	p.lay(r)
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, entryPoint)}
	return r, nil
}

// roundDown keeps three digits, so that what is read often changes seldom.
func roundDown(n int64) int64 {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return n / unit * unit
}

// maker is the host where it makes Systems part by part; nil where it does not.
func (p *Provider) maker() host.Maker {
	m, _ := p.host.(host.Maker)
	return m
}

func plainID(id string) string { return strings.Trim(id, "/") }

func notFound(id string) *cimi.Error { return cimi.Errorf(404, "%s: no such resource", id) }
