package libvirt_test

import (
	"encoding/xml"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

const ovmfVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd"

// TestAcceptanceE2E: the cases that every hypervisor shows, of a libvirtd that
// runs. AC-05 has a test of its own in renewal_test.go; AC-32 to AC-35 are shown
// of the commands in cmd/cimimove.
func TestAcceptanceE2E(t *testing.T) {
	libvirtd.Need(t)
	libvirtd.NeedFile(t, ovmfVariables, "ovmf")
	vars, err := os.ReadFile(ovmfVariables)
	if err != nil {
		t.Fatal(err)
	}
	vars[len(vars)-1] = 7 // ours
	hosttest.Acceptance(t, acceptance, hosttest.Expected{
		Variants: []string{"", "&format=qcow2"}, Strange: "HOST-HW-001", Clash: "LIBVIRT-MAC-001", TPM: "HOST-TPM-001", NoNetwork: "LIBVIRT-NET-001",
		DemandedTPM: true, Network: "user", Variables: vars, ModelsTold: "HOST-SCSI-001",
		Slots: []hosttest.Slot{{Parent: "17", Unit: 0}, {Parent: "15", Unit: 1}, {Parent: "15", Unit: 2}, {Parent: "15", Unit: 3}, {Parent: "15", Unit: 4}, {Parent: "15", Unit: 5}},
		Places: map[string]hosttest.Placed{
			"d0": {Bus: "scsi", Model: "vmpvscsi", Unit: 15}, "d1": {Bus: "scsi", Model: "vmpvscsi", Unit: 3},
			"d2": {Bus: "ide", Unit: 1}, "d3": {Bus: "ide"}, "d4": {Bus: "ide", Number: 1},
			"d5": {Bus: "scsi", Model: "lsisas1068", Number: 1, Unit: 2}, "d6": {Bus: "scsi", Model: "virtio-scsi", Number: 2, Unit: 6},
			// A controller of QEMU's has six ports, the eighth of VMware's goes to a second one.
			"d7": {Bus: "sata", Number: 1}, "d8": {Bus: "sata"}, "d11": {Bus: "sata", Unit: 1}, "d12": {Bus: "sata", Unit: 2}, "d13": {Bus: "sata", Unit: 3},
			"d14": {Bus: "sata", Unit: 4}, "d15": {Bus: "sata", Unit: 5},
			"d9": {Bus: "virtio"}, "d10": {Bus: "usb"}}})
}

// acceptance is a pool of its own under the cases.
func acceptance(t testing.TB, query string) hosttest.Hypervisor {
	pool, _ := libvirtd.Pool(t)
	h := newHosts(query).open(t, pool)
	return hosttest.Hypervisor{Host: h, Refused: map[string]string{"nowhere": pool, pool + ":vhd": "raw or qcow2"},
		Left: func(t testing.TB) []string { return append(libvirtd.Volumes(t, pool), libvirtd.Domains(t, pool)...) },
		Takes: func(t testing.TB, m *host.Machine) {
			libvirtd.Virsh(t, "start", "--paused", uuid(m.ID))
			libvirtd.Virsh(t, "destroy", uuid(m.ID))
		},
		Made: func(t testing.TB, s *host.System, m *host.Machine) hosttest.Made {
			d, _ := domainOf(t, m)
			return madeOf(t, s, d)
		}}
}

func madeOf(t testing.TB, s *host.System, d domain) hosttest.Made {
	out := hosttest.Made{Firmware: "bios", SecureBoot: d.OS.Loader.Secure == "yes", Variables: strings.Contains(d.OS.NVRAM, "cimimove-nvram-")}
	if d.OS.Firmware == "efi" || strings.Contains(d.OS.Loader.Path, "OVMF") {
		out.Firmware = "efi"
	}
	models := map[string]string{}
	for _, c := range d.Devices.Controllers {
		if c.Type == "scsi" {
			models[c.Index] = c.Model
		}
	}
	for _, k := range d.Devices.Disks {
		if k.Device == "cdrom" {
			out.Drives = append(out.Drives, size(t, k.Source.Pool, k.Source.Volume))
			continue
		}
		at := hosttest.Placed{Bus: k.Target.Bus, Shareable: k.Shareable != nil}
		number := func(s string) int { n, _ := strconv.Atoi(s); return n }
		switch a := k.Address; at.Bus {
		case "scsi":
			at.Model, at.Number, at.Unit = models[a.Controller], number(a.Controller), number(a.Target)
		case "ide":
			at.Number, at.Unit = number(a.Bus), number(a.Unit)
		case "sata":
			at.Number, at.Unit = number(a.Controller), number(a.Unit)
		}
		for x := range s.AllDisks() {
			if strings.Contains(k.Source.Volume, x.ID) {
				at.Disk = x.OVFID
			}
		}
		out.Disks = append(out.Disks, at)
	}
	for _, c := range d.Devices.Cards {
		model := c.Model.Type
		if model == "pcnet" {
			model = "pcnet32"
		}
		out.Cards = append(out.Cards, hosttest.Card{Model: model, MAC: c.MAC.Address})
	}
	return out
}

// size is the capacity of a volume in bytes.
func size(t testing.TB, pool, volume string) int64 {
	t.Helper()
	for line := range strings.Lines(libvirtd.Virsh(t, "vol-info", "--bytes", "--pool", pool, volume)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Capacity:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return -1
}

type domain struct {
	OS struct {
		Firmware string `xml:"firmware,attr"`
		Type     struct {
			Machine string `xml:"machine,attr"`
		} `xml:"type"`
		Loader struct {
			Secure string `xml:"secure,attr"`
			Path   string `xml:",chardata"`
		} `xml:"loader"`
		NVRAM string `xml:"nvram"`
	} `xml:"os"`
	Devices struct {
		Disks []struct {
			Shareable *struct{} `xml:"shareable"`
			Device    string    `xml:"device,attr"`
			Source    struct {
				Pool   string `xml:"pool,attr"`
				Volume string `xml:"volume,attr"`
			} `xml:"source"`
			Target struct {
				Dev string `xml:"dev,attr"`
				Bus string `xml:"bus,attr"`
			} `xml:"target"`
			Address struct {
				Controller string `xml:"controller,attr"`
				Bus        string `xml:"bus,attr"`
				Target     string `xml:"target,attr"`
				Unit       string `xml:"unit,attr"`
			} `xml:"address"`
		} `xml:"disk"`
		Controllers []struct {
			Type  string `xml:"type,attr"`
			Index string `xml:"index,attr"`
			Model string `xml:"model,attr"`
		} `xml:"controller"`
		Cards []struct {
			MAC struct {
				Address string `xml:"address,attr"`
			} `xml:"mac"`
			Model struct {
				Type string `xml:"type,attr"`
			} `xml:"model"`
			Link struct {
				State string `xml:"state,attr"`
			} `xml:"link"`
		} `xml:"interface"`
	} `xml:"devices"`
}

func domainOf(t testing.TB, m *host.Machine) (d domain, text string) {
	t.Helper()
	text = libvirtd.Virsh(t, "dumpxml", "--inactive", uuid(m.ID))
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d, text
}

func uuid(id string) string {
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// TestAC25UnconnectedE2E: a card whose network is not there is made, and not
// connected.
func TestAC25UnconnectedE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	b := hosttest.NewSample(t, "appliance", 1).OVA(t)
	s, found := hosttest.Importing(t, h, b, host.ImportOptions{})
	if !slices.Contains(found, "LIBVIRT-NET-001") {
		t.Errorf("found %v", found)
	}
	for m := range s.AllMachines() {
		d, text := domainOf(t, m)
		for _, c := range d.Devices.Cards {
			if c.Link.State != "down" {
				t.Errorf("a card of %s is connected to what is not there: %s", m.Name, text)
			}
		}
	}
}

// TestAC25BatchE2E: fifty machines of random cards, imported side by side, have
// the cards of their own descriptors in their order, and no machine another's.
func TestAC25BatchE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	hosttest.Batch(t, h, func(s *host.System) []hosttest.Card {
		d, _ := domainOf(t, s.Machines[0])
		return madeOf(t, s, d).Cards
	})
}
