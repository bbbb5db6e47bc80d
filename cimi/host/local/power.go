package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local/qemu"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
)

// Start boots a machine, or lets one go on that is paused.
func (r *Runner) Start(ctx context.Context, machineID string) error {
	if vm := r.vm(machineID); vm != nil {
		if err := vm.Resume(ctx); err != nil {
			return err
		}
		return r.note(ctx, machineID, host.Started)
	}
	s, m, err := r.find(ctx, machineID)
	if err != nil {
		return err
	}
	config, err := r.configure(ctx, s, m)
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	// Before the disks can change: their digests are void, and one that was
	// blank may get content. A crash from here on is told by the state.
	used := map[string]bool{}
	for _, a := range m.Attachments {
		used[a.DiskID] = true
	}
	if err := r.void(ctx, used); err != nil {
		return err
	}
	if err := r.note(ctx, machineID, host.Started); err != nil {
		return err
	}
	vm, err := r.run(ctx, machineID, config)
	if err != nil {
		return errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), r.ended(context.WithoutCancel(ctx), machineID, host.Stopped))
	}
	r.watch(machineID, vm)
	r.watchKVM(machineID, vm)
	return nil
}

// note records what a machine does.
func (r *Runner) note(ctx context.Context, machineID string, state host.PowerState) error {
	s, _, err := r.find(ctx, machineID)
	if err != nil {
		return err
	}
	return r.change(ctx, s.ID, machineID, func(s *host.System, m *host.Machine) error {
		for _, a := range m.Attachments {
			if d := s.Disk(a.DiskID); d != nil && d.Unproved && state == host.Started {
				return fmt.Errorf("disk %s: %w", d.Name, host.ErrUnproved)
			}
		}
		m.State = state
		return nil
	}, nil)
}

// Pause halts a machine, its memory kept.
func (r *Runner) Pause(ctx context.Context, machineID string) error {
	vm := r.vm(machineID)
	if vm == nil {
		return r.stopped(ctx, machineID)
	}
	if err := vm.Pause(ctx); err != nil {
		return err
	}
	return r.note(ctx, machineID, host.Paused)
}

// stopped says that a machine that is here does not run.
func (r *Runner) stopped(ctx context.Context, machineID string) error {
	if _, _, err := r.find(ctx, machineID); err != nil {
		return err
	}
	return fmt.Errorf("machine %s does not run: %w", machineID, host.ErrUnsupported)
}

// Stop asks the guest to shut down and waits until it has, or ctx ends; with
// force it takes the power away.
func (r *Runner) Stop(ctx context.Context, machineID string, force bool) error {
	vm := r.vm(machineID)
	if vm == nil {
		_, m, err := r.find(ctx, machineID)
		if err == nil && m.State == host.Failed {
			err = r.note(ctx, machineID, host.Stopped)
		}
		return err // it has stopped
	}
	if !force {
		if err := vm.Shutdown(ctx); err != nil {
			return fmt.Errorf("machine %s has not shut down; force takes its power away: %w", machineID, err)
		}
	} else if err := vm.Quit(ctx); err != nil {
		return err
	}
	return r.ended(context.WithoutCancel(ctx), machineID, host.Stopped)
}

// MachineUse of a machine that runs is not measured.
func (r *Runner) MachineUse(_ context.Context, machineID string) (host.Use, error) {
	if r.vm(machineID) != nil {
		return host.Use{CPUPercent: -1, MemoryBytes: -1}, nil
	}
	return host.Use{}, nil
}

// configure says what QEMU is to run.
func (r *Runner) configure(ctx context.Context, s *host.System, m *host.Machine) (qemu.Config, error) {
	c := qemu.Config{Name: m.Name, CPUs: m.CPUs, MemoryBytes: m.MemoryBytes}
	var descriptor *ovf.Envelope
	if len(s.Descriptor) > 0 {
		var err error
		if descriptor, err = ovf.Parse(bytes.Clone(s.Descriptor)); err != nil {
			return c, fmt.Errorf("the kept descriptor: %w", err)
		}
	}
	hw, err := host.ReadHardware(s, m, descriptor, env.Platform{Kind: "QEMU"})
	if err != nil {
		return c, err
	}
	folder := r.folder(m.ID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return c, err
	}
	if hw.EFI {
		if err := r.firmware(&c, hw, s, folder); err != nil {
			return c, err
		}
	}
	order := 0
	for _, boots := range []bool{true, false} {
		for _, a := range m.Attachments {
			if a.Boot != boots {
				continue
			}
			_, d, err := r.diskOf(ctx, s, a.DiskID)
			if err != nil {
				return c, err
			}
			if d.Unproved {
				return c, fmt.Errorf("disk %s: %w", d.Name, host.ErrUnproved)
			}
			order++
			c.Disks = append(c.Disks, qemu.Disk{Path: filepath.Join(r.dir, diskPath(d)), Bus: busOf(a.Controller), Boot: order,
				Shared: d.Shared, SCSIModel: scsiModel(hw.SCSI[a.Bus]), WWN: host.WWN(d.ID)})
		}
	}
	for _, href := range hw.CDs {
		if i := slices.Index(s.FileNames, href); i >= 0 {
			c.Disks = append(c.Disks, qemu.Disk{Path: filepath.Join(r.dir, filesPath(s.ID), strconv.Itoa(i)), Bus: "ide", CD: true})
		}
	}
	if hw.Environment != nil {
		path := filepath.Join(folder, "environment.iso")
		if err := os.WriteFile(path, hw.Environment, 0o600); err != nil {
			return c, err
		}
		c.Disks = append(c.Disks, qemu.Disk{Path: path, Bus: "ide", CD: true})
	}
	for _, n := range m.NICs {
		c.Cards = append(c.Cards, qemu.Card{MAC: n.MAC, Model: cardModel(n.Type), Down: n.Disabled})
	}
	return c, nil
}

// devices are those of packages that configure gives a machine as they are.
var devices = []string{"ide", "sata", "nvme", "usb", "scsi virtualscsi", "scsi pvscsi", "scsi sas", "e1000", "vmxnet3", "pcnet", "rtl8139"}

// busOf is QEMU's bus for a controller.
func busOf(controller string) string {
	switch controller {
	case "sas", "fc", "iscsi":
		return "scsi"
	}
	return controller
}

// scsiModel is QEMU's device for the ResourceSubType of a SCSI controller.
func scsiModel(sub string) string {
	switch k := strings.ToLower(sub); {
	case strings.Contains(k, "virtualscsi"), strings.Contains(k, "pvscsi"):
		return "pvscsi"
	case strings.Contains(k, "sas"):
		return "mptsas1068"
	}
	return "virtio-scsi-pci"
}

func cardModel(sub string) string {
	for _, k := range []string{"e1000e", "e1000", "vmxnet3", "pcnet", "rtl8139"} {
		if strings.Contains(strings.ToLower(sub), k) {
			return k
		}
	}
	return "virtio-net-pci"
}

// flash is a firmware with the variables that it begins with.
type flash struct{ code, vars string }

// Where distributions have OVMF.
var (
	plainFlash = []flash{{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
		{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"}, {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
		{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"}}
	secureFlash = []flash{{"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
		{"/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"},
		{"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"}}
)

// firmware gives the machine variables of its own: those that came with the
// package where they fit the firmware, else new ones.
func (r *Runner) firmware(c *qemu.Config, hw host.Hardware, s *host.System, folder string) error {
	there := plainFlash
	if hw.SecureBoot {
		there = secureFlash
	}
	c.Vars = filepath.Join(folder, "nvram.fd")
	for _, f := range there {
		fresh, err := os.ReadFile(f.vars)
		if err != nil {
			continue
		}
		if _, err := os.Stat(f.code); err != nil {
			continue
		}
		c.EFI, c.Code, c.SecureBoot = true, f.code, hw.SecureBoot
		if st, err := os.Stat(c.Vars); err == nil && st.Size() == int64(len(fresh)) {
			return nil // of an earlier run
		}
		if i := slices.Index(s.FileNames, hw.NVRAM); hw.NVRAM != "" && i >= 0 {
			if own, err := os.ReadFile(filepath.Join(r.dir, filesPath(s.ID), strconv.Itoa(i))); err == nil && len(own) == len(fresh) {
				fresh = own
			}
		}
		return os.WriteFile(c.Vars, fresh, 0o600)
	}
	return fmt.Errorf("it boots by UEFI, for which there is no firmware here (package ovmf): %w", host.ErrUnsupported)
}
