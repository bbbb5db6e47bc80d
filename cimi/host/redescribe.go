package host

import (
	"fmt"
	"maps"

	"github.com/cimimove/cimimove/ovf"
)

// Redescribe gives the System that a descriptor describes, with the content
// that s has for its disks, matched by their ids in the descriptor. A disk with
// content that s does not have is an error.
func Redescribe(s *System, descriptor []byte, caps Capabilities) (*System, error) {
	env, err := ovf.Parse(descriptor)
	if err != nil {
		return nil, fmt.Errorf("system %s: %w", s.Name, err)
	}
	out, err := View(env, ViewOptions{Configuration: s.Configuration, SystemTypes: caps.VirtualSystemTypes, Properties: propertyValues(s.Properties)})
	if err != nil {
		return nil, fmt.Errorf("system %s: %w", s.Name, err)
	}
	out.ID, out.Created, out.Updated, out.Holder, out.Of = s.ID, s.Created, s.Updated, s.Holder, s.Of
	out.Descriptor, out.DescriptorName, out.FileNames, out.SystemType = descriptor, s.DescriptorName, s.FileNames, s.SystemType
	out.Properties, out.Passwords = maps.Clone(s.Properties), s.Passwords
	has := map[string]*Disk{}
	for d := range s.AllDisks() {
		has[d.OVFID] = d
	}
	ids := map[string]string{} // attachments follow the disks
	for d := range out.AllDisks() {
		d.CapacityBytes = wholeSectors(d.CapacityBytes)
		if kept := has[d.OVFID]; kept != nil {
			capacity := max(d.CapacityBytes, kept.CapacityBytes)
			name := d.Name
			ids[d.ID] = kept.ID
			*d = *kept
			d.Name, d.CapacityBytes = name, capacity
		} else if od, ok := env.Disk(d.OVFID); ok && !od.Blank() {
			return nil, fmt.Errorf("system %s: disk %s has content that is not here: %w", s.Name, d.OVFID, ErrUnsupported)
		}
	}
	for m := range out.AllMachines() {
		for i := range m.Attachments {
			a := &m.Attachments[i]
			if to, ok := ids[a.DiskID]; ok {
				a.DiskID = to
			}
		}
	}
	return out, nil
}
