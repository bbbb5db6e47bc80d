package ovf

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// CoresPerSocket is VMware's vmw:CoresPerSocket of the processors, 0 when absent.
func (h VirtualHardware) CoresPerSocket(configuration string) int {
	for _, it := range h.EffectiveItems(configuration) {
		if it.ResourceType != ResourceProcessor {
			continue
		}
		for _, n := range it.others {
			if n.Name() == (xmltree.Name{Space: NSVMW, Local: "CoresPerSocket"}) {
				if v, err := strconv.Atoi(trimmed(n)); err == nil && v > 0 {
					return v
				}
			}
		}
	}
	return 0
}

// ExtraConfig are VMware's lines of the .vmx file, by key.
func (h VirtualHardware) ExtraConfig() map[string]string {
	out := map[string]string{}
	for _, c := range h.Configs() {
		if c.Extra {
			out[c.Key] = c.Value
		}
	}
	return out
}

// SetValue changes the value of a vmw:Config or vmw:ExtraConfig.
func (c Config) SetValue(value string) { c.node.SetAttr(NSVMW, "value", value, "vmw") }

// NVRAM is the file with the firmware's variables: vmw:ExtraConfig nvram
// (ovf:/file/x), else a File whose name ends in .nvram, else VirtualBox's.
func (h VirtualHardware) NVRAM() (File, bool) {
	if v, ok := h.Config("nvram"); ok {
		if _, f := h.env.Resolve(v); f.Exists() {
			return f, true
		}
	}
	path := ""
	if m, ok := h.System.VirtualBox(); ok {
		path = m.NVRAM
	}
	for _, f := range h.env.Files() {
		if path != "" && f.Href == path || strings.HasSuffix(strings.ToLower(f.Href), ".nvram") {
			return f, true
		}
	}
	return File{}, false
}

// SetNVRAM makes a File of References the one with the firmware's variables, as
// VMware says it.
func (h VirtualHardware) SetNVRAM(fileID string) error {
	vmw := func(local string) xmltree.Name { return xmltree.Name{Space: NSVMW, Local: local} }
	_, err := h.node.Append(xmltree.Fragment{Name: vmw("ExtraConfig"), Hint: "vmw", Attrs: []xmltree.FragmentAttr{
		{Name: xmltree.Name{Space: h.env.ns, Local: "required"}, Hint: "ovf", Value: "false"},
		{Name: vmw("key"), Hint: "vmw", Value: "nvram"}, {Name: vmw("value"), Hint: "vmw", Value: "ovf:/file/" + fileID}}})
	return err
}

// TPM says whether the machine has a virtual TPM: VMware's device, VirtualBox's
// or oVirt's. Disks sealed by one need a recovery key elsewhere.
func (h VirtualHardware) TPM(configuration string) bool {
	for _, it := range h.EffectiveItems(configuration) {
		if it.IsTPM() {
			return true
		}
	}
	m, ok := h.System.VirtualBox()
	return ok && m.TPM != "" && !strings.EqualFold(m.TPM, "None")
}

// IsTPM says whether an Item is a virtual TPM.
func (it Item) IsTPM() bool {
	sub := strings.ToLower(it.ResourceSubType + " " + it.OtherResourceType)
	return strings.Contains(sub, "vtpm") || strings.Contains(sub, "virtualtpm") ||
		it.env != nil && it.env.ovirt && it.ovirtType() == "tpm"
}
