package vsphere_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestAcceptance: the cases that every hypervisor shows. AC-05, AC-32 and more
// of AC-33 have tests of their own here, in power_test.go and kill_test.go; AC-32
// to AC-35 are shown of the commands in cmd/cimimove.
func TestAcceptance(t *testing.T) {
	ovftest.Slow(t)
	hosttest.Acceptance(t, acceptance, hosttest.Expected{
		Variants: []string{""}, Strange: "VSPHERE-HW-001", Clash: "VSPHERE-MAC-001", TPM: "VSPHERE-TPM-001",
		Network: "VM Network", Variables: []byte("variables"), Slots: []hosttest.Slot{{Parent: "16", Unit: 3}},
		Places: map[string]hosttest.Placed{
			"d0": {Bus: "scsi", Model: "ParaVirtualSCSI", Unit: 15}, "d1": {Bus: "scsi", Model: "ParaVirtualSCSI", Unit: 3},
			"d2": {Bus: "ide", Model: "VirtualIDE", Unit: 1}, "d3": {Bus: "ide", Model: "VirtualIDE"}, "d4": {Bus: "ide", Model: "VirtualIDE", Number: 1},
			"d5": {Bus: "scsi", Model: "VirtualLsiLogicSAS", Number: 1, Unit: 2}, "d6": {Bus: "scsi", Model: "VirtualLsiLogic", Number: 2, Unit: 6},
			"d7": {Bus: "sata", Model: "VirtualAHCI", Unit: 7}, "d8": {Bus: "sata", Model: "VirtualAHCI"},
			"d9": {Bus: "nvme", Model: "VirtualNVME"}, "d10": {Bus: "nvme", Model: "VirtualNVME", Unit: 3}}})
}

// acceptance is a vCenter of its own under the cases.
func acceptance(t testing.TB, query string) hosttest.Hypervisor {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, query)
	t.Cleanup(func() { h.Close() })
	return hosttest.Hypervisor{Host: h, Refused: map[string]string{"nowhere": "LocalDS_0"},
		Left: func(testing.TB) []string { return v.Inventory() },
		Made: func(t testing.TB, s *host.System, m *host.Machine) hosttest.Made {
			c := configOf(v, m)
			if c == nil {
				t.Fatalf("machine %s is not there; there are %v", m.Name, v.Inventory())
			}
			return madeOf(v, s, c)
		}}
}

// configOf finds a machine by its id, whatever it is called.
func configOf(v *vctest.VCenter, m *host.Machine) *types.VirtualMachineConfigInfo {
	for _, name := range v.Inventory() {
		if c := v.Machine(name); c != nil && strings.ReplaceAll(c.InstanceUuid, "-", "") == m.ID {
			return c
		}
	}
	return nil
}

var busOf = map[string]string{"VirtualIDE": "ide", "VirtualAHCI": "sata", "VirtualNVME": "nvme"}

func madeOf(v *vctest.VCenter, s *host.System, c *types.VirtualMachineConfigInfo) hosttest.Made {
	out := hosttest.Made{Firmware: c.Firmware, SecureBoot: c.BootOptions != nil && c.BootOptions.EfiSecureBootEnabled != nil && *c.BootOptions.EfiSecureBootEnabled}
	if out.Firmware == "" {
		out.Firmware = "bios" // the API's default
	}
	uploaded := v.Uploaded()
	store := c.Name + ".nvram"
	for file, n := range uploaded {
		out.Variables = out.Variables || extra(c, "nvram") == store && strings.HasSuffix(file, "/"+store) && n > 0
	}
	controllers := map[int32]hosttest.Placed{}
	for _, d := range c.Hardware.Device {
		switch x := d.(type) {
		case types.BaseVirtualController:
			kind, _, _ := strings.Cut(strings.TrimPrefix(fmt.Sprintf("%T", d), "*types."), "Controller")
			at := hosttest.Placed{Bus: busOf[kind], Model: kind, Number: int(x.GetVirtualController().BusNumber)}
			if at.Bus == "" {
				at.Bus = "scsi"
			}
			controllers[d.GetVirtualDevice().Key] = at
		case *types.VirtualCdrom:
			if b, ok := x.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
				out.Drives = append(out.Drives, uploaded[b.FileName])
			}
		case types.BaseVirtualEthernetCard:
			card := hosttest.Card{Model: strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", d), "*types.Virtual")), MAC: x.GetVirtualEthernetCard().MacAddress}
			out.Cards = append(out.Cards, card)
		}
	}
	for _, d := range c.Hardware.Device {
		x, ok := d.(*types.VirtualDisk)
		if !ok {
			continue
		}
		at := controllers[x.ControllerKey]
		at.Unit = int(*x.UnitNumber)
		for k := range s.AllDisks() { // the cases have disks of different sizes
			if k.CapacityBytes == x.CapacityInBytes {
				at.Disk = k.OVFID
			}
		}
		out.Disks = append(out.Disks, at)
	}
	return out
}

// extra is the value of a line of a machine's .vmx file.
func extra(c *types.VirtualMachineConfigInfo, key string) any {
	for _, o := range c.ExtraConfig {
		if kv := o.GetOptionValue(); kv.Key == key {
			return kv.Value
		}
	}
	return nil
}

// TestAC23MostDisks: more disks than SCSI has places for are refused before
// anything is made.
func TestAC23MostDisks(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	items := []ovf.Item{{InstanceID: "12", ResourceType: ovf.ResourceSCSI, Address: "0", ResourceSubType: "VirtualSCSI"}}
	var blank []ovf.Disk
	for i := range 61 {
		id := fmt.Sprintf("i%d", i)
		blank = append(blank, ovf.Disk{ID: id, Capacity: "1048576", PopulatedSize: -1})
		items = append(items, hosttest.OnController("12", i, id))
	}
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, hosttest.Hardware("", items...), blank, nil)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "scsi") || len(v.Inventory()) > 0 || v.Calls("ImportVApp") != 0 {
		t.Errorf("61 disks on SCSI: %v; there are %v", err, v.Inventory())
	}
}

// TestAC25BatchE2E: fifty machines of random cards, imported side by side, have the
// cards of their own descriptors in their order, and no machine another's.
func TestAC25BatchE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it: fifty imports")
	}
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "?network=VM%20Network")
	defer h.Close()
	hosttest.Batch(t, h, func(s *host.System) []hosttest.Card {
		return madeOf(v, s, v.Machine(s.Machines[0].Name)).Cards
	})
	if n := len(slices.Compact(v.Inventory())); n != 50 {
		t.Errorf("%d machines, want 50", n)
	}
}
