package libvirt

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
)

// hardware is what a machine's domain needs to know that host.Machine has no
// place for: it stands in the kept descriptor.
type hardware struct {
	efi, secureBoot, tpm bool
	scsi                 map[int]string // models of the SCSI controllers, by number
	cds                  []string       // kept files in CD drives
	nvram                string         // a kept file
	nvramPath            string         // where the hypervisor has it, once it has
	environment          []byte         // the image with the OVF environment, nil for none
	media                bool           // it lies beside the disks
}

// hardwareOf reads what the descriptor says of a machine; finding may be nil.
func (h *Host) hardwareOf(s *host.System, m *host.Machine, descriptor *ovf.Envelope, finding func(ovf.Finding)) (hardware, error) {
	w := hardware{scsi: map[int]string{}}
	if finding == nil {
		finding = func(ovf.Finding) {}
	}
	find := func(id string, severity ovf.Severity, clause, message, hint string) {
		finding(ovf.Finding{ID: id, Severity: severity, Object: "machine " + m.Name, Message: message, Hint: hint, Clause: clause})
	}
	if descriptor == nil || m.OVFID == "" {
		return w, nil
	}
	content, ok := descriptor.ByID(m.OVFID)
	if !ok {
		return w, nil
	}
	section, ok := content.HardwareFor(nil)
	if !ok {
		return w, nil
	}
	w.efi, w.secureBoot, w.tpm = section.Firmware() == "efi", section.SecureBoot(), section.TPM(s.Configuration)
	w.efi = w.efi || w.secureBoot
	switch {
	case w.efi && !h.caps.efi:
		return w, fmt.Errorf("machine %s boots by UEFI, for which this hypervisor has no firmware (package ovmf or edk2): %w", m.Name, host.ErrUnsupported)
	case w.secureBoot && !h.caps.secureBoot:
		return w, fmt.Errorf("machine %s asks for secure boot, for which this hypervisor has no firmware: %w", m.Name, host.ErrUnsupported)
	}
	if w.tpm {
		find("HOST-TPM-001", ovf.Warning, "DSP0243 8.1", "has a virtual TPM, whose secrets do not move: a disk sealed by it needs its recovery key", "")
		if !h.caps.tpm {
			find("HOST-TPM-002", ovf.Warning, "DSP0243 8.1", "this hypervisor emulates no TPM (package swtpm): the machine has none", "")
			w.tpm = false
		}
	}
	for _, c := range section.Controllers(s.Configuration) {
		if c.Bus != "scsi" {
			continue
		}
		model, exact := scsiModel(c.ResourceSubType)
		w.scsi[c.Number] = model
		if !exact {
			find("HOST-SCSI-001", ovf.Info, "DSP0243 8.3", fmt.Sprintf("controller %s becomes %s: the guest needs its driver", first(c.ResourceSubType, "scsi"), model), "")
		}
	}
	for _, d := range section.Drives(s.Configuration) {
		if d.Class == "cdrom" && d.File.Exists() && d.File.Href != "" {
			w.cds = append(w.cds, d.File.Href)
		}
	}
	if f, ok := section.NVRAM(); ok && w.efi {
		w.nvram = f.Href
	}
	return w, w.readEnvironment(s, content, section)
}

// readEnvironment makes the OVF environment for guests that read it from a CD
// (DSP0243 11.2): where the descriptor asks for that, or says nothing and there
// are properties. cloud-init reads user-data there.
func (w *hardware) readEnvironment(s *host.System, content ovf.Content, section ovf.VirtualHardware) error {
	if len(section.Transport) > 0 && !slices.Contains(section.Transport, "iso") {
		return nil
	}
	opts := env.Options{Configuration: s.Configuration, Values: map[string]string{}, Platform: env.Platform{Kind: "KVM", Vendor: "libvirt"}}
	for k, v := range s.Properties {
		if owner, key, ok := strings.Cut(k, "/"); ok && owner == content.ID {
			opts.Values[key] = v
		} else if _, own := opts.Values[k]; !own {
			opts.Values[k] = v
		}
	}
	properties, err := env.Properties(content, opts)
	if err != nil || len(properties) == 0 && len(section.Transport) == 0 {
		return err
	}
	document, err := env.Document(content, opts)
	if err != nil {
		return err
	}
	w.environment, err = env.ISO(document, env.ISOOptions{})
	return err
}

// scsiModel is libvirt's model for a ResourceSubType. The guest has the driver
// where the device is the same; QEMU has neither a BusLogic nor the LSI that
// VMware calls lsilogic, which become virtio.
func scsiModel(sub string) (model string, exact bool) {
	switch k := strings.ToLower(sub); {
	case strings.Contains(k, "virtualscsi"), strings.Contains(k, "pvscsi"):
		return "vmpvscsi", true
	case strings.Contains(k, "sas"):
		return "lsisas1068", true
	case k == "", strings.Contains(k, "virtio"):
		return "virtio-scsi", true
	}
	return "virtio-scsi", false
}

func mediaVolume(machine string) string { return prefix + "media-" + machine + ".iso" }
func nvramVolume(machine string) string { return prefix + "nvram-" + machine + ".fd" }

// prepare puts beside the disks what the domain reads from volumes of its own:
// the image with the environment, and the firmware's variables where they are
// of the firmware that this hypervisor has.
func (h *Host) prepare(ctx context.Context, m *host.Machine, w *hardware, nvram []byte) error {
	if w.environment != nil {
		if err := h.put(ctx, place{h.opts.Pool, mediaVolume(m.ID)}, w.environment); err != nil {
			return err
		}
		w.media = true
	}
	if !isVariableStore(nvram) {
		return nil
	}
	at := place{h.opts.Pool, nvramVolume(m.ID)}
	if err := h.put(ctx, at, nvram); err != nil {
		return err
	}
	var err error
	w.nvramPath, err = h.path(ctx, at)
	return err
}

// isVariableStore tells a flash image of EDK II, as QEMU has them, from the
// files in which others keep the variables of their firmware.
func isVariableStore(b []byte) bool {
	return len(b) > 64<<10 && bytes.Equal(b[40:44], []byte("_FVH"))
}
