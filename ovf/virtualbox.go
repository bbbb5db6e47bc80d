package ovf

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// VirtualBox is VirtualBox's own description of a machine (vbox:Machine), that
// stands beside the standard's sections and wins over them there.
type VirtualBox struct {
	Element
	Name, UUID, OSType string
	Firmware           string // as written: BIOS, EFI, EFI64 …
	CPUs, Memory       string // as written; Memory in MiB
	NVRAM              string // path of the NVRAM file
	TPM                string // None, v1_2, v2_0
	SecureBoot         bool
	Adapters           []VirtualBoxAdapter
}

// VirtualBoxAdapter is a network adapter.
type VirtualBoxAdapter struct {
	Element
	Slot, MAC, Type string // MAC without separators
	Enabled         bool
}

// VirtualBox is the Machine element of a virtual system.
func (c Content) VirtualBox() (m VirtualBox, ok bool) {
	n := c.vboxMachine()
	if n == nil {
		return VirtualBox{}, false
	}
	get := func(n *xmltree.Node, local string) string {
		v, _ := n.Attr("", local)
		return v
	}
	m = VirtualBox{Element: Element{c.env, n}, Name: get(n, "name"), UUID: strings.Trim(get(n, "uuid"), "{}"), OSType: get(n, "OSType")}
	for d := range n.Descendants() {
		switch d.Name().Local {
		case "Firmware":
			m.Firmware = get(d, "type")
		case "CPU":
			if v := get(d, "count"); v != "" {
				m.CPUs = v
			}
		case "Memory":
			m.Memory = get(d, "RAMSize")
		case "NVRAM":
			m.NVRAM = get(d, "path")
		case "TrustedPlatformModule":
			m.TPM = get(d, "type")
		case "UefiVariableStore", "SecureBoot":
			b, _ := parseBool(get(d, "enabled"))
			m.SecureBoot = m.SecureBoot || b
		case "Adapter":
			if get(d, "MACAddress") == "" && get(d, "slot") == "" {
				continue
			}
			on, _ := parseBool(get(d, "enabled"))
			m.Adapters = append(m.Adapters, VirtualBoxAdapter{Element: Element{c.env, d}, Slot: get(d, "slot"), MAC: get(d, "MACAddress"), Type: get(d, "type"), Enabled: on})
		}
	}
	return m, true
}

// ReplaceMAC gives the adapters that have the old address the new one; "" takes
// it away. Separators do not matter.
func (m VirtualBox) ReplaceMAC(old, mac string) {
	plain := func(s string) string { return strings.ToUpper(strings.NewReplacer(":", "", "-", "").Replace(s)) }
	for _, a := range m.Adapters {
		if plain(a.MAC) != plain(old) {
			continue
		}
		if mac == "" {
			a.node.RemoveAttr("", "MACAddress")
			continue
		}
		a.node.SetAttr("", "MACAddress", plain(mac), "")
	}
}

// SetCPUs changes the number of processors where VirtualBox has one.
func (m VirtualBox) SetCPUs(n int) {
	for d := range m.node.Descendants() {
		if _, ok := d.Attr("", "count"); ok && d.Name().Local == "CPU" {
			d.SetAttr("", "count", strconv.Itoa(n), "")
		}
	}
}

// SetMemory changes the memory, in MiB, where VirtualBox has one.
func (m VirtualBox) SetMemory(mib int64) {
	for d := range m.node.Descendants() {
		if _, ok := d.Attr("", "RAMSize"); ok && d.Name().Local == "Memory" {
			d.SetAttr("", "RAMSize", strconv.FormatInt(mib, 10), "")
		}
	}
}
