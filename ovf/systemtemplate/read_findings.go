package systemtemplate

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

func (r *reader) envelopeFindings() {
	var other []string
	for _, c := range r.env.Configurations() {
		if c.ID != r.config {
			other = append(other, c.ID)
		}
	}
	if len(other) > 0 {
		r.findings.add(ConfigurationOther, "DeploymentOptionSection", "%s; chosen is %s", strings.Join(other, ", "), r.config)
	}
	for _, s := range r.env.Sections() {
		switch s.Kind {
		case "DiskSection", "SharedDiskSection", "NetworkSection", "DeploymentOptionSection":
		case "StartupSection": // XenCenter's
			if c, ok := r.env.Content(); ok && c.Collection {
				r.findings.add(StartOrder, c.Title(), "")
			} else {
				r.findings.add(SectionUnmapped, s.Kind, "%s", s.Kind)
			}
		default:
			r.findings.add(SectionUnmapped, s.Kind, "%s", s.Kind)
		}
	}
	for n := range r.env.Tree().Root().Children() {
		if n.Name().Local == "Strings" {
			r.findings.add(SectionUnmapped, "Strings", "messages in other languages")
			break
		}
	}
}

// contentFindings tells of the sections of a content element that no CIMI
// attribute holds.
func (r *reader) contentFindings(c ovf.Content, object string) {
	resources := false
	for _, s := range c.Sections() {
		switch s.Kind {
		case "VirtualHardwareSection", "AnnotationSection", "ScaleOutSection", "BootDeviceSection":
		case "OperatingSystemSection":
			os, _ := c.OperatingSystem()
			r.findings.add(GuestOS, object, "%s", or(os.Description, fmt.Sprint(os.ID)))
		case "EulaSection":
			r.findings.add(Licence, object, "")
		case "StartupSection":
			r.findings.add(StartOrder, object, "")
		case "ResourceAllocationSection":
			resources = true
		case "ProductSection":
			for k := range s.Node().Children() {
				switch k.Name().Local {
				case "Info", "Property", "Category":
					continue
				}
				r.findings.add(SectionUnmapped, object, "what ProductSection says about the product")
				break
			}
		default:
			r.findings.add(SectionUnmapped, object, "%s", s.Kind)
		}
	}
	if resources {
		r.findings.add(ResourceControl, object, "ResourceAllocationSection")
	}
}

// hardwareFindings tells of the hardware that no CIMI attribute holds.
func (r *reader) hardwareFindings(m *Machine, object string) {
	all := m.Content.Hardware()
	for _, h := range all {
		if !h.Same(m.Hardware.Element) {
			r.findings.add(HardwareNotChosen, object, "%s", or(h.ID, strings.Join(h.SystemTypes, " ")))
		}
	}
	mapped := map[string]bool{}
	for _, d := range m.Hardware.Disks(r.config) {
		if d.Disk.Exists() {
			mapped[d.InstanceID] = true
		} else if d.Class == "disk" {
			// vCloud Director describes machines so when it is asked for one
			// that is not downloaded.
			r.findings.add(DiskUndescribed, object, "%s", or(d.ElementName, "item "+d.InstanceID))
		}
	}
	var devices, controls []string
	speed := false
	for _, it := range m.Hardware.EffectiveItems(r.config) {
		name := or(it.ElementName, "item "+it.InstanceID)
		positive := func(v *uint64) bool { return v != nil && *v > 0 }
		if positive(it.Reservation) || positive(it.Limit) || positive(it.Weight) {
			controls = append(controls, name)
		}
		switch it.ResourceType {
		case ovf.ResourceProcessor:
			if u, err := ovf.ParseUnits(it.AllocationUnits); err == nil && u.Base == "hertz" && (positive(it.Reservation) || positive(it.Limit)) {
				speed = true
			}
		case ovf.ResourceMemory, ovf.ResourceEthernet:
		default:
			if !mapped[it.InstanceID] {
				devices = append(devices, name)
			}
		}
	}
	for _, g := range m.Hardware.Ranges(r.config) {
		for _, it := range []*ovf.Item{g.Min, g.Max} {
			if it != nil && (it.Reservation != nil || it.Limit != nil || it.Weight != nil) {
				controls = append(controls, or(it.ElementName, "range of item "+it.InstanceID))
			}
		}
	}
	if len(devices) > 0 {
		r.findings.add(DeviceUnmapped, object, "%s", strings.Join(devices, ", "))
	}
	if len(controls) > 0 {
		r.findings.add(ResourceControl, object, "%s", strings.Join(controls, ", "))
	}
	if speed {
		r.findings.add(Speed, object, "hertz in a reservation or limit are a share, no clock")
	}
}
