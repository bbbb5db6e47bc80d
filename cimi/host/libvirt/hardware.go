package libvirt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
)

// hardware is what the descriptor says of a machine, and what of it lies
// beside the disks already.
type hardware struct {
	host.Hardware
	nvramPath string // where the hypervisor has the variables
	media     bool   // the image with the environment
}

// hardwareOf refuses what this hypervisor has no firmware for; finding may be nil.
func (h *Host) hardwareOf(s *host.System, m *host.Machine, descriptor *ovf.Envelope, finding func(ovf.Finding)) (hardware, error) {
	find := func(id string, severity ovf.Severity, clause, message string) {
		if finding != nil {
			finding(ovf.Finding{ID: id, Severity: severity, Object: "machine " + m.Name, Message: message, Clause: clause})
		}
	}
	read, err := host.ReadHardware(s, m, descriptor, env.Platform{Kind: "KVM", Vendor: "libvirt"})
	w := hardware{Hardware: read}
	if err != nil {
		return w, err
	}
	switch {
	case w.EFI && !h.caps.efi:
		return w, fmt.Errorf("machine %s boots by UEFI, for which this hypervisor has no firmware (package ovmf or edk2): %w", m.Name, host.ErrUnsupported)
	case w.SecureBoot && !h.caps.secureBoot:
		return w, fmt.Errorf("machine %s asks for secure boot, for which this hypervisor has no firmware: %w", m.Name, host.ErrUnsupported)
	}
	if w.TPM {
		find("HOST-TPM-001", ovf.Warning, "DSP0243 8.1", "has a virtual TPM, whose secrets do not move: a disk sealed by it needs its recovery key")
		if !h.caps.tpm {
			find("HOST-TPM-002", ovf.Warning, "DSP0243 8.1", "this hypervisor emulates no TPM (package swtpm): the machine has none")
			w.TPM = false
		}
	}
	for _, it := range w.Strange {
		what := fmt.Sprintf("%s (ResourceType %d, %s)", cmp.Or(it.ElementName, "an Item"), it.ResourceType, it.ResourceSubType)
		if it.Required {
			return w, fmt.Errorf("machine %s: %s is demanded by the package, and is nothing that can be made here: %w", m.Name, what, host.ErrUnsupported)
		}
		find("HOST-HW-001", ovf.Warning, "DSP0243 8.3", what+" is left out: the package does not demand it")
	}
	for _, sub := range w.SCSI {
		if model, exact := scsiModel(sub); !exact {
			find("HOST-SCSI-001", ovf.Info, "DSP0243 8.3", fmt.Sprintf("controller %s becomes %s: the guest needs its driver", sub, model))
		}
	}
	if model := unseen(w, m); w.EFI && model != "" {
		find("HOST-SCSI-002", ovf.Warning, "DSP0243 8.3", fmt.Sprintf("boots by UEFI from a disk on a %s controller, which OVMF need not see (Debian's does not): it may not come up; --controller-map scsi=sata puts its disks where it will", model))
	}
	return w, nil
}

// unseen is the model of the SCSI controller with the disk that a machine boots
// from, where Debian's build of OVMF has no driver for it.
func unseen(w hardware, m *host.Machine) string {
	at := slices.IndexFunc(m.Attachments, func(a host.Attachment) bool { return a.Boot })
	if at < 0 && len(m.Attachments) > 0 {
		at = 0
	}
	if at < 0 || buses[m.Attachments[at].Controller] != "scsi" {
		return ""
	}
	if model, _ := scsiModel(w.SCSI[m.Attachments[at].Bus]); model != "virtio-scsi" {
		return model
	}
	return ""
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
	if w.Environment != nil {
		if err := h.put(ctx, place{h.opts.Pool, mediaVolume(m.ID)}, w.Environment); err != nil {
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
