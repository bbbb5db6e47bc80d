package provider

import (
	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// described are the types that the Provider gives metadata of (5.11).
var described = []string{"CloudEntryPoint", "System", "SystemTemplate", "Machine", "MachineTemplate", "MachineConfiguration", "MachineImage",
	"Credential", "CredentialTemplate", "Volume", "VolumeTemplate", "VolumeConfiguration", "VolumeImage", "Network", "NetworkTemplate",
	"ProtocolSegment", "ProtocolSegmentTemplate", "ProtocolEndpoint", "ProtocolEndpointTemplate", "NetworkInterface", "NetworkInterfaceTemplate", "Job"}

func (p *Provider) allMetadata() []cimi.Resource {
	var out []cimi.Resource
	for _, t := range described {
		out = append(out, p.metadata(t))
	}
	return out
}

// metadata is that of one type; nil for a type that is not offered.
func (p *Provider) metadata(typeName string) *cimi.ResourceMetadata {
	known := false
	for _, t := range described {
		known = known || t == typeName
	}
	if !known {
		return nil
	}
	m := cimi.Describe(typeName)
	m.ID, m.Parent = "resourceMetadata/"+typeName, ref("resourceMetadata")
	switch typeName {
	case "CloudEntryPoint":
		m.AddExtension(cimi.FreeCapacity, "integer", false)
	case "System":
		m.AddExtension(cimi.OVFID, "string", false)
		m.AddExtension(cimi.OVFDescriptor, "URI", false)
		m.AddExtension(cimi.OVFConfiguration, "string", false)
		m.AddExtension(cimi.OVFProperties, "map", false)
		m.Actions = append(m.Actions, action("import", cimi.ActionImport), action("export", cimi.ActionExport))
	case "Machine":
		m.AddExtension(cimi.OVFID, "string", false)
		m.AddExtension(cimi.OVFStartup, "any", true)
	case "Volume":
		m.AddExtension(cimi.OVFID, "string", false)
		m.AddExtension(cimi.ContentDigest, "any", false)
	case "Network", "ProtocolSegment", "ProtocolEndpoint", "NetworkInterface":
		m.AddExtension(cimi.OVFID, "string", false)
	case "SystemTemplate":
		m.AddExtension(cimi.OVFID, "string", true)
		m.AddExtension(cimi.OVFDescriptor, "any", true)
		m.AddExtension(cimi.OVFConfiguration, "string", true)
		m.AddExtension(cimi.OVFStartup, "any", true)
		m.AddExtension(cimi.OVFProperties, "any", true)
		m.Actions = append(m.Actions, action("import", cimi.ActionImport))
	case "MachineTemplate", "VolumeTemplate", "VolumeImage", "NetworkTemplate", "ProtocolEndpointTemplate", "NetworkInterfaceTemplate":
		m.AddExtension(cimi.OVFID, "string", true)
	case "Job":
		m.AddExtension(cimi.OVFFindings, "any", false)
		m.Actions = append(m.Actions, action("stop", cimi.ActionStop))
	}
	if _, ok := p.host.(host.Power); ok && (typeName == "System" || typeName == "Machine") {
		m.Actions = append(m.Actions, action("start", cimi.ActionStart), action("stop", cimi.ActionStop))
	}
	return m
}

func action(name, uri string) cimi.ActionMetadata {
	return cimi.ActionMetadata{Name: name, URI: uri, Method: "POST", InputMessage: cimi.TypeURI("Action")}
}
