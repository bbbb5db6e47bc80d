package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// senseless are the rules of ovf/validate without which a descriptor does not
// say what to make: whatever were made of it, a disk or a machine would be
// missing or another one. Of what is merely not as the standard wants, the best
// is made.
var senseless = []string{
	"OVF-XML-005",                  // several contents, of which one only is the package's
	"OVF-DISK-001", "OVF-DISK-002", // a Disk without id, two of one
	"OVF-DISK-009", "OVF-DISK-010", // a parent that is none, a circle of parents
	"OVF-HW-007", // a drive without its disk
	"OVF-HW-011", // a processor count or memory that is no number
	"OVF-HW-013", // a circle of Parents
}

// demanded are the rules by which a package asks for what nobody here
// understands, and says that it must be (DSP0243 7.3, 8.2, Table 2): a section,
// an element of an Item, a device. What merely does not say that it can be left
// out, as many producers do not, is no such thing.
var demanded = []string{"OVF-XML-009", "OVF-XML-010", "OVF-XML-014", "OVF-XML-018", "OVF-HW-022"}

// understood refuses what cannot be made as the descriptor says.
func understood(pkg ovf.Package) error { return understands(pkg.Name(), pkg.Envelope()) }

func understands(name string, env *ovf.Envelope) error {
	for _, e := range env.Encryptions() {
		if len(e.Files) > 0 || len(e.Methods) > 0 {
			return fmt.Errorf("%s: %q is encrypted, and its key is nobody's here: decrypt the package first (OVF-ENC-001): %w", name, e.Files, ErrUnsupported)
		}
	}
	for _, f := range validate.Validate(env, validate.Options{}) {
		if slices.Contains(demanded, f.ID) {
			return fmt.Errorf("%s: %s: %s (%s): %w", name, f.Object, f.Message, f.ID, ErrUnsupported)
		}
		if f.Severity == ovf.Error && slices.Contains(senseless, f.ID) {
			return &ovf.DescriptorError{Package: name, Object: f.Object, Offset: -1,
				Clause: strings.TrimPrefix(f.Clause, "DSP0243 "), Message: f.Message + " (" + f.ID + ")"}
		}
	}
	hrefs := map[string]string{}
	for _, f := range env.Files() {
		// oVirt's image-uploader lists a file twice; that harms nobody.
		if other, twice := hrefs[f.ID]; twice && other != f.Href {
			return &ovf.DescriptorError{Package: name, Object: "File " + f.ID, Offset: -1, Clause: "7.1",
				Message: fmt.Sprintf("is both %q and %q (OVF-REF-002)", other, f.Href)}
		}
		hrefs[f.ID] = f.Href
	}
	return nil
}
