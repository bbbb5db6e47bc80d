package systemtemplate

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// bootAttachment is the disk a machine boots from: the first disk that
// BootDeviceSection (OVF 2) names, else the first one that its producer marked,
// else the first one with content.
func bootAttachment(m *Machine) *Attachment {
	for _, sec := range m.Content.Sections() {
		if sec.Kind != "BootDeviceSection" {
			continue
		}
		for n := range sec.Node().Descendants() {
			if n.Name().Local != "CIM_BootSourceSetting" {
				continue
			}
			for f := range n.Children() {
				switch f.Name().Local {
				case "BootString", "StructuredBootString", "InstanceID", "ElementName":
					if a := bootSource(m, strings.TrimSpace(f.Text())); a != nil {
						return a
					}
				}
			}
		}
	}
	for _, a := range m.Attachments {
		if a.Volume.Disk.Element.Boots() {
			return a
		}
	}
	for _, a := range m.Attachments {
		if !a.Volume.Disk.Blank() {
			return a
		}
	}
	return nil
}

// bootSource finds the disk that a boot source means: by InstanceID, diskId or
// HostResource, as CIM:Hard-Disk:2, or as a word for a hard disk.
func bootSource(m *Machine, s string) *Attachment {
	if s == "" {
		return nil
	}
	id := s
	if kind, rest, ok := ovf.HostResource(s); ok && kind == "disk" {
		id = rest
	}
	for _, a := range m.Attachments {
		if a.Volume.Disk.OVFID == id || a.Item.ElementName == s {
			return a
		}
	}
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
	word = strings.TrimPrefix(word, "cim")
	rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(word, "harddisk"), "hdd"), "disk")
	if rest == word {
		return nil
	}
	i := 1
	if rest != "" {
		var err error
		if i, err = strconv.Atoi(rest); err != nil {
			return nil
		}
	}
	if i < 1 || i > len(m.Attachments) {
		return nil
	}
	return m.Attachments[i-1]
}
