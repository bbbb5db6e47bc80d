package libvirt

import (
	"context"
	"encoding/xml"
	"slices"

	lv "github.com/digitalocean/go-libvirt"
)

// capabilities are what the hypervisor can give a machine.
type capabilities struct {
	// kvm is offered, and the processor can do it; in doubt where the hypervisor
	// is itself a virtual machine.
	kvm, doubt bool
	// efi and secureBoot: there is firmware for it.
	efi, secureBoot bool
	tpm             bool // an emulated one
	backup          bool // copies the disks of machines that run
	buses           []string
}

// domainCapabilities is what is read of libvirt's.
type domainCapabilities struct {
	OS struct {
		Enums  []enum `xml:"enum"`
		Loader struct {
			Values []string `xml:"value"`
			Enums  []enum   `xml:"enum"`
		} `xml:"loader"`
	} `xml:"os"`
	Disk struct {
		Enums []enum `xml:"enum"`
	} `xml:"devices>disk"`
	TPM struct {
		Supported string `xml:"supported,attr"`
		Enums     []enum `xml:"enum"`
	} `xml:"devices>tpm"`
	Backup struct {
		Supported string `xml:"supported,attr"`
	} `xml:"features>backup"`
}

// hostCapabilities is what is read of libvirt's about the machine it is on.
type hostCapabilities struct {
	CPU struct {
		Vendor   string `xml:"vendor"`
		Features []struct {
			Name string `xml:"name,attr"`
		} `xml:"feature"`
	} `xml:"host>cpu"`
	Guests []struct {
		Arch struct {
			Name    string `xml:"name,attr"`
			Domains []struct {
				Type string `xml:"type,attr"`
			} `xml:"domain"`
		} `xml:"arch"`
	} `xml:"guest"`
}

// readHost decides whether KVM can be trusted: where it is offered and the
// processor does not have what it takes, software stands in, which cannot boot
// a PC. Models of AMD's have svm without naming it.
func (c *capabilities) readHost(text []byte) error {
	var x hostCapabilities
	if err := xml.Unmarshal(text, &x); err != nil {
		return err
	}
	offered, able := false, x.CPU.Vendor != "Intel"
	for _, g := range x.Guests {
		for _, d := range g.Arch.Domains {
			offered = offered || d.Type == "kvm" && g.Arch.Name == "x86_64"
		}
	}
	c.doubt = false
	for _, f := range x.CPU.Features {
		able = able || f.Name == "vmx"
		c.doubt = c.doubt || f.Name == "hypervisor"
	}
	c.kvm = offered && able
	return nil
}

type enum struct {
	Name   string   `xml:"name,attr"`
	Values []string `xml:"value"`
}

func values(all []enum, name string) []string {
	for _, e := range all {
		if e.Name == name {
			return e.Values
		}
	}
	return nil
}

func (h *Host) readCapabilities(ctx context.Context) error {
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		own, err := l.ConnectGetCapabilities()
		if err != nil {
			return err
		}
		if err := h.caps.readHost([]byte(own)); err != nil {
			return err
		}
		text, err := l.ConnectGetDomainCapabilities(nil, lv.OptString{"x86_64"}, lv.OptString{"q35"}, lv.OptString{"qemu"}, 0)
		if err != nil {
			return err
		}
		var d domainCapabilities
		if err := xml.Unmarshal([]byte(text), &d); err != nil {
			return err
		}
		h.caps.efi = slices.Contains(values(d.OS.Enums, "firmware"), "efi")
		h.caps.secureBoot = slices.Contains(values(d.OS.Loader.Enums, "secure"), "yes")
		h.caps.tpm = d.TPM.Supported == "yes" && slices.Contains(values(d.TPM.Enums, "backendModel"), "emulator")
		h.caps.backup = d.Backup.Supported == "yes"
		h.caps.buses = values(d.Disk.Enums, "bus")
		return nil
	})
}
