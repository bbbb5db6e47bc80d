package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// PlannedMachine is a machine that will move, and what it needs of the other
// side. Controllers and CardTypes are what its guest has drivers for.
type PlannedMachine struct {
	MachineShape
	OS          string   `json:"os,omitempty"`
	Firmware    string   `json:"firmware,omitempty"` // bios, efi; empty where the descriptor says nothing
	SecureBoot  bool     `json:"secureBoot,omitempty"`
	TPM         bool     `json:"tpm,omitempty"`
	Controllers []string `json:"controllers,omitempty"`
	CardTypes   []string `json:"cardTypes,omitempty"`
	// Configuration is the MachineConfiguration of the destination that fits
	// nearest, never a smaller one; nil where the destination lists none that does.
	Configuration *PlannedConfiguration `json:"configuration,omitempty"`
}

// planHardware looks at firmware and devices. The descriptor keeps both, so
// that a destination that can have them does; what the guest would not find
// drivers for is a risk that is told of beforehand.
func (p *Plan) planHardware() {
	config, err := p.env.Configuration(p.opts.Configuration)
	if err != nil {
		return // planProperties has said so
	}
	for i := range p.Machines {
		m := &p.Machines[i]
		x, ok := p.env.ByID(m.OVFID)
		if !ok {
			continue
		}
		if os, ok := x.OperatingSystem(); ok {
			m.OS = os.Description
			def(&m.OS, os.VMwareType)
		}
		h, ok := x.HardwareFor(nil)
		if !ok {
			continue
		}
		m.Firmware, m.SecureBoot, m.TPM = h.Firmware(), h.SecureBoot(), h.TPM(config)
		for _, c := range h.Controllers(config) {
			m.Controllers = append(m.Controllers, strings.TrimSpace(c.Bus+" "+c.ResourceSubType))
		}
		for _, it := range h.EffectiveItems(config) {
			if it.ResourceType == ovf.ResourceEthernet && it.ResourceSubType != "" {
				m.CardTypes = append(m.CardTypes, it.ResourceSubType)
			}
		}
		m.Controllers, m.CardTypes = slices.Compact(m.Controllers), slices.Compact(m.CardTypes)
		p.drivers(m)
		p.firmware(m)
	}
}

// drivers finds machines without virtio: their guests may have no drivers for
// it, and would not boot or not be reached where nothing else is offered.
func (p *Plan) drivers(m *PlannedMachine) {
	disks := slices.DeleteFunc(slices.Clone(m.Controllers), func(s string) bool {
		return !strings.HasPrefix(s, "scsi") && !strings.HasPrefix(s, "sata") && !strings.HasPrefix(s, "ide") || virtio(s)
	})
	known := append(disks, slices.DeleteFunc(slices.Clone(m.CardTypes), virtio)...)
	if len(known) == 0 {
		return
	}
	message := fmt.Sprintf("driver risk: its guest knows %s, and perhaps no virtio; ", strings.Join(known, ", "))
	severity := ovf.Info
	made, told := p.target.devices()
	lost := slices.DeleteFunc(slices.Clone(known), func(s string) bool { return matches(made, s) })
	switch {
	case p.Via == ViaResources || !p.target.keepsDescriptor():
		severity = ovf.Warning
		message += "nothing tells the destination of these devices"
	case !told:
		message += "the descriptor asks for these devices, and the destination does not say whether it has them"
	case len(lost) > 0:
		severity = ovf.Warning
		message += fmt.Sprintf("the destination has no %s and gives it virtio in its place", strings.Join(lost, ", "))
	default:
		message += "these devices are kept"
	}
	if strings.Contains(strings.ToLower(m.OS), "windows") {
		severity = ovf.Warning
		message += "; Windows has no virtio drivers of its own"
	}
	p.find(RuleDriver, severity, "machine "+m.Name, message, "where the destination has virtio only, a hook can run virt-v2v-in-place before the start")
}

// devices are those that the destination says it gives machines as packages
// have them; told is false where it says nothing.
func (t target) devices() (made [][]string, told bool) {
	m := t.metadata["System"]
	if m == nil {
		return nil, false
	}
	list, told := m.Capability(cimi.CapabilityDevices).(string)
	for entry := range strings.SplitSeq(strings.ToLower(list), ",") {
		if words := strings.Fields(entry); len(words) > 0 {
			made = append(made, words)
		}
	}
	return made, told
}

// matches tells whether all words of one entry stand in a device.
func matches(made [][]string, device string) bool {
	device = strings.ToLower(device)
	return slices.ContainsFunc(made, func(words []string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(device, w) })
	})
}

func virtio(device string) bool { return strings.Contains(strings.ToLower(device), "virtio") }

func (p *Plan) firmware(m *PlannedMachine) {
	object := "machine " + m.Name
	if m.Firmware == "efi" {
		message := "boots by EFI; boot entries outside of its disks do not move"
		if m.SecureBoot {
			message = "boots by EFI with secure boot; boot entries and enrolled keys outside of its disks do not move"
		}
		p.find(RuleFirmware, ovf.Info, object, message, "")
	}
	if m.TPM {
		p.find(RuleTPM, ovf.Warning, object, "has a virtual TPM, whose content does not move: disks sealed by it ask for their recovery key", "have the recovery key at hand")
	}
}
