package systemtemplate

import "github.com/cimimove/cimimove/ovf"

// Options of every direction. The zero value takes the package's defaults for
// a destination that can do all that the standard offers, as a file can.
type Options struct {
	// Configuration is a deployment option (DSP0243 9.8); empty takes the
	// template's own, else the package's default.
	Configuration string
	// Supports are the VirtualSystemTypes that the host runs (DSP0243 8.1);
	// empty takes the first hardware section.
	Supports []string
	// Properties are values of OVF properties by key of the OVF environment
	// (DSP0243 9.5), or by CONTENT/KEY with the ovf:id of the content element.
	Properties map[string]string
	// Lacks is what the destination cannot do.
	Lacks Lacks
	// ImageLocation gives volumeImage.imageLocation of a File; nil takes its
	// href. The way back needs the same function to see that nothing changed.
	ImageLocation func(f ovf.File) string
	// ImportImage is where the template was imported from (DSP0263 5.13.4), if
	// that may be told.
	ImportImage string
	// Controller is the bus of disks that are built anew: scsi (the default),
	// sata, ide.
	Controller string
	// Version is that of a descriptor that is built anew: ovf.V1 (the default)
	// or ovf.V2; V2 is taken where the System needs it.
	Version ovf.Version
	// NoContent takes a descriptor without VirtualSystem or
	// VirtualSystemCollection for an empty System, instead of refusing it.
	NoContent bool
	// Signed says that the package has a manifest or certificate, so that an
	// edit makes it void.
	Signed bool
}

// Lacks names abilities that a destination does not have.
type Lacks struct {
	BootVolumes   bool // Machines boot from MachineImages only
	SharedVolumes bool // a Volume belongs to one Machine
	ValueScopes   bool // no vscope (DSP0263 5.5.14)
	// Extensions: unknown attributes are refused (DSP0263 5.3); what they carry
	// goes to properties as far as it fits.
	Extensions bool
	// MaxPropertyItems bounds properties (DSP0263 5.11.1); 0 is no bound.
	MaxPropertyItems int
}

func (o Options) supported() func(string) bool {
	if len(o.Supports) == 0 {
		return nil
	}
	set := map[string]bool{}
	for _, s := range o.Supports {
		set[s] = true
	}
	return func(s string) bool { return set[s] }
}

func (o Options) imageLocation(f ovf.File) string {
	if o.ImageLocation != nil {
		return o.ImageLocation(f)
	}
	return f.Href
}

// property is the value given for a property of a content element.
func (o Options) property(content, key string) (string, bool) {
	if v, ok := o.Properties[content+"/"+key]; ok {
		return v, true
	}
	v, ok := o.Properties[key]
	return v, ok
}
