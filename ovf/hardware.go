package ovf

import (
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// VirtualHardware is a VirtualHardwareSection (DSP0243 8.1). A virtual system
// can have several, for different VirtualSystemTypes; one is chosen.
type VirtualHardware struct {
	Element
	System    Content
	ID        string   // ovf:id
	Transport []string // how the guest gets the OVF environment, such as iso
	// SystemTypes are the alternatives of vssd:VirtualSystemType, such as vmx-07.
	SystemTypes []string
	Info        string
}

// Hardware are the VirtualHardwareSections of a virtual system, in order.
func (c Content) Hardware() []VirtualHardware {
	var out []VirtualHardware
	for _, n := range c.sections("VirtualHardwareSection") {
		h := VirtualHardware{Element: Element{c.env, n}, System: c, ID: c.env.attrOr(n, "id", ""),
			Transport: strings.Fields(c.env.attrOr(n, "transport", "")), Info: c.env.text(n, "Info")}
		if s := c.env.child(n, "System"); s != nil {
			for k := range s.Children() {
				if k.Name().Local == "VirtualSystemType" {
					h.SystemTypes = append(h.SystemTypes, strings.Fields(trimmed(k))...)
				}
			}
		}
		out = append(out, h)
	}
	return out
}

// HardwareFor is the section to deploy: the first with a VirtualSystemType
// that supported accepts, else the first (clause 8.1). A nil supported accepts
// none. Not ok where the virtual system has no hardware.
func (c Content) HardwareFor(supported func(systemType string) bool) (h VirtualHardware, ok bool) {
	all := c.Hardware()
	if len(all) == 0 {
		return VirtualHardware{}, false
	}
	if supported != nil {
		for _, h := range all {
			for _, t := range h.SystemTypes {
				if supported(t) {
					return h, true
				}
			}
		}
	}
	return all[0], true
}

// Config is an entry of VMware's vmw:Config and vmw:ExtraConfig.
type Config struct {
	Element
	Key, Value string
	Required   bool
	Extra      bool // vmw:ExtraConfig, a line of the .vmx file
}

// Configs are VMware's settings of the hardware, such as firmware.
func (h VirtualHardware) Configs() []Config {
	if h.node == nil {
		return nil
	}
	return configsOf(h.env, slices.Collect(h.node.Children()))
}

func configsOf(e *Envelope, among []*xmltree.Node) []Config {
	var out []Config
	for _, k := range among {
		name := k.Name()
		if name.Space != NSVMW || name.Local != "Config" && name.Local != "ExtraConfig" {
			continue
		}
		cfg := Config{Element: Element{e, k}, Required: e.boolAttr(k, "required", true), Extra: name.Local == "ExtraConfig"}
		cfg.Key, _ = k.Attr(NSVMW, "key")
		cfg.Value, _ = k.Attr(NSVMW, "value")
		out = append(out, cfg)
	}
	return out
}

// Config is the value of a vmw:Config or vmw:ExtraConfig by key.
func (h VirtualHardware) Config(key string) (string, bool) {
	for _, c := range h.Configs() {
		if c.Key == key {
			return c.Value, true
		}
	}
	return "", false
}

// Firmware is bios or efi where the descriptor says so (vmw:Config firmware,
// VirtualBox's Machine, oVirt's BiosType), else empty.
func (h VirtualHardware) Firmware() string {
	if v, ok := h.Config("firmware"); ok {
		return strings.ToLower(strings.TrimSpace(v))
	}
	if m := h.System.vboxMachine(); m != nil {
		for n := range m.Descendants() {
			if n.Name().Local == "Firmware" {
				if t, _ := n.Attr("", "type"); strings.HasPrefix(strings.ToUpper(t), "EFI") {
					return "efi"
				}
				return "bios"
			}
		}
	}
	if h.env != nil && h.env.ovirt {
		switch h.env.text(h.System.node, "BiosType") {
		case "0", "1":
			return "bios"
		case "2", "3", "4":
			return "efi"
		}
	}
	return ""
}

// SecureBoot says whether UEFI secure boot is asked for.
func (h VirtualHardware) SecureBoot() bool {
	for _, key := range []string{"bootOptions.efiSecureBootEnabled", "uefi.secureBoot.enabled"} {
		if v, ok := h.Config(key); ok {
			b, _ := parseBool(v)
			return b
		}
	}
	return h.env != nil && h.env.ovirt && h.env.text(h.System.node, "BiosType") == "3"
}

// vboxMachine is VirtualBox's own description of the machine.
func (c Content) vboxMachine() *xmltree.Node {
	if c.node == nil {
		return nil
	}
	for n := range c.node.Children() {
		if name := n.Name(); name.Local == "Machine" && (name.Space == NSVBox || name.Space == xmltree.UnboundPrefix+"vbox") {
			return n
		}
	}
	return nil
}
