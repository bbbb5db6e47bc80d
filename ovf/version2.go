package ovf

import (
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// BootConfig is the BootDeviceSection of OVF 2: the order in which devices are
// tried for booting.
type BootConfig struct {
	Element
	Caption, Description, InstanceID string
	Sources                          []BootSource
}

// BootSource is a device to boot from.
type BootSource struct {
	Element
	Caption, Description string
	InstanceID           string // that of the device's Item, or a name
	BootString           string // BootString, else StructuredBootString: what to boot from
}

// BootConfigs are those of a virtual system.
func (c Content) BootConfigs() []BootConfig {
	var out []BootConfig
	for _, sec := range c.sections("BootDeviceSection") {
		for n := range sec.Children() {
			if n.Name().Local != "CIM_BootConfigSetting" {
				continue
			}
			b := BootConfig{Element: Element{c.env, n}, Caption: localText(n, "Caption"), Description: localText(n, "Description"), InstanceID: localText(n, "InstanceID")}
			for k := range n.Children() {
				if k.Name().Local == "CIM_BootSourceSetting" {
					b.Sources = append(b.Sources, BootSource{Element: Element{c.env, k}, Caption: localText(k, "Caption"), Description: localText(k, "Description"),
						InstanceID: localText(k, "InstanceID"), BootString: orElse(localText(k, "BootString"), localText(k, "StructuredBootString"))})
				}
			}
			out = append(out, b)
		}
	}
	return out
}

// localText is the text of the first child with that name, in any namespace.
func localText(n *xmltree.Node, local string) string {
	for k := range n.Children() {
		if k.Name().Local == local {
			return trimmed(k)
		}
	}
	return ""
}

// EnvironmentFile is a file that goes to the guest beside the environment
// document (EnvironmentFilesSection of OVF 2).
type EnvironmentFile struct {
	Element
	FileRef   string // ovf:id of a File
	Path      string // where the guest finds it, below /ovffiles
	Transport []string
}

// EnvironmentFiles of a virtual system.
func (c Content) EnvironmentFiles() []EnvironmentFile {
	var out []EnvironmentFile
	for _, sec := range c.sections("EnvironmentFilesSection") {
		for _, n := range c.env.children(sec, "File") {
			out = append(out, EnvironmentFile{Element: Element{c.env, n}, FileRef: c.env.attrOr(n, "fileRef", ""), Path: c.env.attrOr(n, "path", ""),
				Transport: strings.Fields(c.env.attrOr(sec, "transport", ""))})
		}
	}
	return out
}

// File is the References entry of the environment file.
func (f EnvironmentFile) File() (File, bool) { return f.env.File(f.FileRef) }

// PlacementGroup is a PlacementGroupSection of OVF 2.
type PlacementGroup struct {
	Element
	ID, Policy, Description string // Policy: affinity, availability
}

// PlacementGroups of the package.
func (e *Envelope) PlacementGroups() []PlacementGroup {
	var out []PlacementGroup
	for _, n := range e.children(e.doc.Root(), "PlacementGroupSection") {
		out = append(out, PlacementGroup{Element{e, n}, e.attrOr(n, "id", ""), e.attrOr(n, "policy", ""), e.text(n, "Description")})
	}
	return out
}

// Placement are the ids of the groups that the content is in.
func (c Content) Placement() []string {
	var out []string
	for _, n := range c.sections("PlacementSection") {
		if g := c.env.attrOr(n, "group", ""); g != "" {
			out = append(out, g)
		}
	}
	return out
}

// Encryption is an EncryptionSection of OVF 2.
type Encryption struct {
	Element
	Files   []string // what is encrypted: URIs of CipherReference and DataReference
	Methods []string // algorithms, URIs of XML Encryption
}

// Encryptions of the package; a package that has one cannot be read without
// its key.
func (e *Envelope) Encryptions() []Encryption {
	var out []Encryption
	for _, n := range e.children(e.doc.Root(), "EncryptionSection") {
		x := Encryption{Element: Element{e, n}}
		for d := range n.Descendants() {
			switch d.Name().Local {
			case "CipherReference", "DataReference":
				if v, ok := d.Attr("", "URI"); ok {
					x.Files = append(x.Files, v)
				}
			case "EncryptionMethod":
				if v, ok := d.Attr("", "Algorithm"); ok {
					x.Methods = append(x.Methods, v)
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// PortProfile is a NetworkPortProfile of a Network of OVF 2.
type PortProfile struct {
	Element
	Items []Item // of CIM_EthernetPortAllocationSettingData
}

// PortProfiles of the network.
func (n Network) PortProfiles() []PortProfile {
	var out []PortProfile
	for _, p := range n.env.children(n.node, "NetworkPortProfile") {
		out = append(out, PortProfile{Element{n.env, p}, n.env.items(p)})
	}
	return out
}
