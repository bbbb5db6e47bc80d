// Package recipe adapts a SystemTemplate (DSP0263 5.13.4) to the cloud that is
// to make a System of it: to images, configurations and networks that are
// there already, to the network model of 1.x, and to clouds that make Machines,
// Volumes and Networks but no Systems.
//
// A recipe is a SystemTemplate with everything by value, as package
// systemtemplate makes it. Names are unique in it, so components are found by
// their names; every function changes the recipe in place.
package recipe

import (
	"net/url"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// each goes over the descriptors of a recipe and of those nested in it.
func each(t *cimi.SystemTemplate, f func(d *cimi.ComponentDescriptor)) {
	for i := range t.ComponentDescriptors {
		d := &t.ComponentDescriptors[i]
		f(d)
		if d.SystemTemplate != nil && d.SystemTemplate.Value != nil {
			each(d.SystemTemplate.Value, f)
		}
	}
}

// eachMachine goes over the MachineTemplates.
func eachMachine(t *cimi.SystemTemplate, f func(name string, m *cimi.MachineTemplate)) {
	each(t, func(d *cimi.ComponentDescriptor) {
		if d.MachineTemplate != nil && d.MachineTemplate.Value != nil {
			f(d.Name, d.MachineTemplate.Value)
		}
	})
}

// eachVolume goes over the VolumeTemplates, those of machines included.
func eachVolume(t *cimi.SystemTemplate, f func(name string, v *cimi.VolumeTemplate)) {
	each(t, func(d *cimi.ComponentDescriptor) {
		if d.VolumeTemplate != nil && d.VolumeTemplate.Value != nil {
			f(d.Name, d.VolumeTemplate.Value)
		}
		if d.MachineTemplate == nil || d.MachineTemplate.Value == nil {
			return
		}
		for _, v := range d.MachineTemplate.Value.VolumeTemplates {
			if v.VolumeTemplate != nil && v.VolumeTemplate.Value != nil {
				f(v.VolumeTemplate.Value.Name, v.VolumeTemplate.Value)
			}
		}
	})
}

// Images refers to images instead of describing them: image gives the one for
// a Volume by the Volume's name. A Volume for which there is none is made blank.
func Images(t *cimi.SystemTemplate, image func(volume string) string) {
	eachVolume(t, func(name string, v *cimi.VolumeTemplate) {
		v.VolumeImage = nil
		if href := image(name); href != "" {
			v.VolumeImage = cimi.RefTo[cimi.VolumeImage](href)
		}
	})
}

// MachineImages makes Machines from images that are there: image gives the one
// for a Machine by its name, empty where it is made from none.
func MachineImages(t *cimi.SystemTemplate, image func(machine string) string) {
	eachMachine(t, func(name string, m *cimi.MachineTemplate) {
		m.MachineImage = nil
		if href := image(name); href != "" {
			m.MachineImage = cimi.RefTo[cimi.MachineImage](href)
		}
	})
}

// Configurations makes Machines from MachineConfigurations that are there:
// config gives the one for a Machine by its name, empty where it is made from
// what is described.
func Configurations(t *cimi.SystemTemplate, config func(machine string) string) {
	eachMachine(t, func(name string, m *cimi.MachineTemplate) {
		if href := config(name); href != "" {
			m.MachineConfig = cimi.RefTo[cimi.MachineConfiguration](href)
		}
	})
}

// Storage makes Volumes from VolumeConfigurations that are there, with a
// capacity of their own.
func Storage(t *cimi.SystemTemplate, config func(volume string) string) {
	eachVolume(t, func(name string, v *cimi.VolumeTemplate) {
		href := config(name)
		if href == "" || v.VolumeConfig == nil || v.VolumeConfig.Value == nil {
			return
		}
		v.VolumeConfig = &cimi.Ref[cimi.VolumeConfiguration]{Href: href, Value: &cimi.VolumeConfiguration{Capacity: v.VolumeConfig.Value.Capacity}}
	})
}

// symbol is the name in "#name" (5.13.4).
func symbol(href string) (name string, ok bool) {
	name, ok = strings.CutPrefix(href, "#")
	if plain, err := url.PathUnescape(name); err == nil && ok {
		name = plain
	}
	return name, ok
}

func reference(name string) string { return "#" + url.PathEscape(name) }

// is tells the type of a descriptor.
func is(d cimi.ComponentDescriptor, typeName string) bool {
	return strings.HasSuffix(d.Type, "/"+typeName)
}

// drop takes descriptors out.
func drop(t *cimi.SystemTemplate, gone func(d cimi.ComponentDescriptor) bool) {
	t.ComponentDescriptors = slices.DeleteFunc(t.ComponentDescriptors, gone)
}
