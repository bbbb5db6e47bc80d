package libvirt

import (
	"context"
	"encoding/xml"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
)

// capabilities are what the hypervisor can give a machine.
type capabilities struct {
	kvm bool
	// efi and secureBoot: there is firmware for it.
	efi, secureBoot bool
	tpm             bool // an emulated one
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
		h.caps.kvm = strings.Contains(string(own), "<domain type='kvm'")
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
		h.caps.buses = values(d.Disk.Enums, "bus")
		return nil
	})
}
