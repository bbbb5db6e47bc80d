package provider

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// allMetadata is that of every type that a version has; 0 is both.
func (p *Provider) allMetadata(v cimi.Version) []cimi.Resource {
	out := []cimi.Resource{p.metadata("CloudEntryPoint")}
	for _, k := range kinds {
		if v == 0 || cimi.TypeIn(k.item, v) {
			out = append(out, p.metadata(k.item))
		}
	}
	return out
}

// metadata is that of one type (5.11); nil for a type that is not offered.
func (p *Provider) metadata(typeName string) *cimi.ResourceMetadata {
	k, known := kindByItem[typeName]
	if !known && typeName != "CloudEntryPoint" {
		return nil
	}
	m := cimi.Describe(typeName)
	m.ID, m.Parent = "resourceMetadata/"+typeName, ref("resourceMetadata")
	for _, x := range extensionsOf(typeName) {
		m.AddExtension(x.name, x.typ, x.writable)
	}
	for name, value := range p.capabilities(typeName) {
		m.AddCapability(name, value)
	}
	slices.SortFunc(m.Capabilities, func(a, b cimi.Capability) int { return compareText(a.Name, b.Name) })
	for _, a := range p.acts {
		if contains(a.on, k.id) && a.can(p) {
			described := action(a.rel)
			if a.run == nil {
				described.Method, described.InputMessage, described.OutputMessage = "GET", "", "application/octet-stream"
			}
			m.Actions = append(m.Actions, described)
		}
	}
	switch typeName {
	case "System", "SystemTemplate":
		m.Actions = append(m.Actions, action(cimi.ActionImport))
		if p.forgets() && typeName == "System" {
			m.Actions = append(m.Actions, action(cimi.RelForget))
		}
	case "SystemService":
		m.VScope = []cimi.ValueScope{{"serviceType": {Values: []any{cimi.ServiceReliabilityActive, cimi.ServiceReliabilityPassive, cimi.ServiceDisasterRecovery}}}}
	case "ProtocolSegment":
		m.VScope = []cimi.ValueScope{{"protocol": {Values: []any{"Ethernet", "IPv4", "IPv6"}}}}
	case "NetworkService":
		var types []any
		for _, t := range serviceTypes {
			types = append(types, t)
		}
		m.VScope = []cimi.ValueScope{{"type": {Values: types}}}
	}
	return m
}

func action(uri string) cimi.ActionMetadata {
	return cimi.ActionMetadata{Name: lastWord(uri), URI: uri, Method: "POST", InputMessage: "application/json", OutputMessage: "application/json"}
}

type extension struct {
	name, typ string
	writable  bool
}

// extensionsOf are the extension attributes of a type (mapping.md).
func extensionsOf(typeName string) []extension {
	id := extension{cimi.OVFID, "string", false}
	switch typeName {
	case "CloudEntryPoint":
		return []extension{{cimi.FreeCapacity, "integer", false}}
	case "System":
		return []extension{id, {cimi.OVFDescriptor, "URI", false}, {cimi.OVFConfiguration, "string", false}, {cimi.OVFProperties, "map", false}}
	case "Machine":
		return []extension{id, {cimi.OVFStartup, "any", true}}
	case "Volume":
		return []extension{id, {cimi.ContentDigest, "any", false}, {cimi.ChangesTracked, "boolean", false}}
	case "VolumeImage":
		return []extension{id, {cimi.ContentDigest, "any", false}}
	case "Network", "ProtocolSegment", "ProtocolEndpoint", "NetworkInterface", "Disk":
		return []extension{id}
	case "SystemTemplate":
		id.writable = true
		return []extension{id, {cimi.OVFDescriptor, "any", true}, {cimi.OVFConfiguration, "string", true}, {cimi.OVFStartup, "any", true}, {cimi.OVFProperties, "any", true}}
	case "MachineTemplate":
		id.writable = true
		return []extension{id, {cimi.OVFStartup, "any", true}, {cimi.OVFProperties, "any", true}}
	case "VolumeTemplate", "NetworkTemplate", "ProtocolEndpointTemplate", "NetworkInterfaceTemplate":
		id.writable = true
		return []extension{id}
	case "Job":
		return []extension{{cimi.OVFFindings, "any", false}, {cimi.ExportPoints, "any", false}}
	}
	return nil
}

// capabilities are those of Table 7 that this cloud has, by the type they are of.
func (p *Provider) capabilities(typeName string) map[string]any {
	powered := false
	if _, ok := p.host.(host.Power); ok {
		powered = true
	}
	making := p.maker() != nil
	onOff := []string{cimi.StateStarted, cimi.StateStopped}
	able := []string{cimi.StateEnabled, cimi.StateDisabled}
	switch typeName {
	case "CloudEntryPoint":
		return map[string]any{"ExpandParameter": true, "FilterParameter": true, "FirstParameter": true, "SelectParameter": true, "FormatParameter": true,
			"OrderByParameter": true, "QueryPathNotation": true, "MaxPropertyItems": maxProperties, "ValueScopes": making}
	case "System":
		c := map[string]any{"SystemComponentTemplateByValue": true, cimi.CapabilityUniqueName: true}
		if p.host.Capabilities().ParallelDisks {
			c[cimi.CapabilityParallelDisks] = json.Number(number(host.MaxParallelDisks))
		}
		if devices := p.host.Capabilities().Devices; len(devices) > 0 {
			c[cimi.CapabilityDevices] = strings.Join(devices, ", ")
		}
		if f, ok := p.host.(host.Forgetter); ok {
			c[cimi.CapabilityImportChunk] = json.Number(number(int(f.ImportChunk())))
		}
		if p.host.Capabilities().Live {
			c[cimi.CapabilityLiveExport] = true
		}
		return c
	case "Machine":
		c := map[string]any{"MachineTemplateByValue": making, "MachineConfigByValue": making, "MachineImageByValue": making,
			"MachineCredentialByValue": making, "MachineVolumeTemplatesByValue": making, "RestoreFromImage": making}
		if making {
			c["DefaultInitialState"], c["InitialStates"], c["UserData"] = cimi.StateStopped, p.initialStates(), "disk"
		}
		if powered {
			c["MachineStopForce"], c["MachineStopForceDefault"] = true, false
		}
		return c
	case "Credential":
		return map[string]any{"CredentialTemplateByValue": true}
	case "Volume":
		c := map[string]any{"SharedVolumeSupport": p.host.Capabilities().SharedDisks, "VolumeConfigByValue": making, "VolumeImageByValue": making,
			"VolumeTemplateByValue": making, "VolumeSnapshot": making}
		if _, ok := p.host.(host.Patcher); ok {
			c[cimi.CapabilityDelta] = json.Number(number(maxDelta))
		}
		if p.provesParts() {
			c[cimi.CapabilityChangedOnly] = true
		}
		return c
	case "Network":
		return map[string]any{"NetworkTemplateByValue": making, "DefaultInitialState": cimi.StateStopped, "InitialStates": onOff}
	case "NetworkInterface":
		return map[string]any{"NetworkInterfaceTemplateByValue": making, "DefaultInitialState": cimi.StateDisabled, "InitialStates": able}
	case "NetworkService":
		return map[string]any{"NetworkServiceTemplateByValue": true, "DefaultInitialState": cimi.StateStopped, "InitialStates": onOff}
	case "ProtocolEndpoint":
		return map[string]any{"ProtocolEndpointTemplateByValue": true, "DefaultInitialState": cimi.StateDisabled, "InitialStates": able}
	case "ProtocolSegment":
		return map[string]any{"ProtocolSegmentTemplateByValue": true, "DefaultInitialState": cimi.StateStopped, "InitialStates": onOff}
	case "Job":
		return map[string]any{"JobRetention": json.Number(number(int(p.opts.JobRetention.Minutes())))}
	case "Meter":
		_, gauged := p.host.(host.Gauge)
		return map[string]any{"MeterTemplateByValue": gauged, "MeterConfigByValue": gauged}
	case "EventLog":
		return map[string]any{"Linked": true}
	}
	return nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
