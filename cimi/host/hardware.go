package host

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
)

// Hardware is what a hypervisor needs to know of a machine that CIMI has no
// place for: it stands in the kept descriptor.
type Hardware struct {
	EFI, SecureBoot, TPM bool
	// SCSI are the ResourceSubTypes of the SCSI controllers, by number.
	SCSI map[int]string
	// CDs are the kept files in CD drives, NVRAM the one with the firmware's
	// variables, by their hrefs.
	CDs   []string
	NVRAM string
	// Environment is an ISO 9660 image with the OVF environment for guests that
	// read it from a CD (DSP0243 11.2): where the descriptor asks for that, or
	// says nothing and there are properties. cloud-init reads user-data there.
	// Nil for none.
	Environment []byte
	// Strange are the Items that no hypervisor knows the device of: one that is
	// required cannot be left out (DSP0243 8.3, 8.4).
	Strange []ovf.Item
}

// ReadHardware reads what a descriptor says of a machine of s; the zero value
// where it has none, or does not know the machine.
func ReadHardware(s *System, m *Machine, descriptor *ovf.Envelope, platform env.Platform) (Hardware, error) {
	w := Hardware{SCSI: map[int]string{}}
	if descriptor == nil || m.OVFID == "" {
		return w, nil
	}
	content, ok := descriptor.ByID(m.OVFID)
	if !ok {
		return w, nil
	}
	section, ok := content.HardwareFor(func(t string) bool { return s.SystemType != "" && t == s.SystemType })
	if !ok {
		return w, nil
	}
	w.EFI, w.SecureBoot, w.TPM = section.Firmware() == "efi", section.SecureBoot(), section.TPM(s.Configuration)
	w.EFI = w.EFI || w.SecureBoot
	for _, c := range section.Controllers(s.Configuration) {
		if c.Bus == "scsi" {
			w.SCSI[c.Number] = c.ResourceSubType
		}
	}
	for _, d := range section.Drives(s.Configuration) {
		if d.Class == "cdrom" && d.File.Exists() && d.File.Href != "" {
			w.CDs = append(w.CDs, d.File.Href)
		}
	}
	w.Strange = strange(section, s.Configuration)
	if f, ok := section.NVRAM(); ok && w.EFI {
		w.NVRAM = f.Href
	}
	if len(section.Transport) > 0 && !slices.Contains(section.Transport, "iso") {
		return w, nil
	}
	opts := env.Options{Configuration: s.Configuration, Values: map[string]string{}, Platform: platform}
	for _, plain := range []bool{true, false} { // what is said of this machine wins
		for k, v := range s.Properties {
			owner, key, owned := strings.Cut(k, "/")
			if plain && !owned {
				opts.Values[k] = v
			} else if !plain && owned && owner == content.ID {
				opts.Values[key] = v
			}
		}
	}
	properties, err := env.Properties(content, opts)
	if err != nil || len(properties) == 0 && len(section.Transport) == 0 {
		return w, err
	}
	document, err := env.Document(content, opts)
	if err != nil {
		return w, err
	}
	w.Environment, err = env.ISO(document, env.ISOOptions{})
	return w, err
}

// strange are the Items of a section but for processors, memory, drives, cards,
// controllers, and what every machine has or can do without: consoles, sound,
// USB, serial and parallel ports, VMware's VMCI, a TPM, which has a rule of its own.
func strange(section ovf.VirtualHardware, configuration string) []ovf.Item {
	controllers := map[string]bool{}
	for _, c := range section.Controllers(configuration) {
		controllers[c.InstanceID] = true
	}
	var out []ovf.Item
	for _, it := range section.EffectiveItems(configuration) {
		sub := strings.ToLower(it.ResourceSubType)
		if !controllers[it.InstanceID] && !it.OfHypervisor() && !it.IsDisk() && !slices.Contains(familiar, it.ResourceType) && !strings.Contains(sub, "vmci") && !it.IsTPM() {
			out = append(out, it)
		}
	}
	return out
}

// familiar are the ResourceTypes of devices; 21, 22 and 35 are serial and
// parallel ports and sound.
var familiar = []int{ovf.ResourceProcessor, ovf.ResourceMemory, ovf.ResourceIDE, ovf.ResourceSCSI, ovf.ResourceFCHBA, ovf.ResourceISCSIHBA,
	ovf.ResourceEthernet, ovf.ResourceFloppy, ovf.ResourceCD, ovf.ResourceDVD, ovf.ResourceDisk, ovf.ResourceStorage, ovf.ResourceUSB, ovf.ResourceGraphics,
	ovf.ResourceLogicalDisk, 21, 22, 35}

// WWN is a world wide name for a disk, the same each time: 16 hexadecimal
// digits. Linux does not see a disk without one on a SAS controller.
func WWN(diskID string) string {
	sum := sha256.Sum256([]byte(diskID))
	return "5000c500" + hex.EncodeToString(sum[:4])
}
