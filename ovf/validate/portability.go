package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// Target is a platform that a package is to run on.
type Target string

// The targets of Portability.
const (
	VMware     Target = "vmware"
	VirtualBox Target = "virtualbox"
	OVirt      Target = "ovirt"
	KVM        Target = "kvm"
	CIMI       Target = "cimi"
)

// Targets are all targets.
func Targets() []Target { return []Target{VMware, VirtualBox, OVirt, KVM, CIMI} }

// platform is what a target takes as it is.
type platform struct {
	version2, collections, chunks bool
	buses, formats                []string // empty: all
	secureBoot, tpm               bool
	startup                       bool
}

var platforms = map[Target]platform{
	VMware:     {collections: true, chunks: true, buses: []string{"ide", "scsi", "sata", "nvme", "usb"}, formats: []string{"vmdk"}, secureBoot: true, tpm: true, startup: true},
	VirtualBox: {version2: true, collections: true, buses: []string{"ide", "scsi", "sata", "usb"}, formats: []string{"vmdk", "vhd", "vdi"}, secureBoot: true, tpm: true},
	OVirt:      {buses: []string{"ide", "scsi", "sata", "virtio"}, formats: []string{"vmdk", "qcow", "raw"}, secureBoot: true, tpm: true},
	KVM:        {buses: []string{"ide", "scsi", "sata", "nvme", "virtio", "usb"}, formats: []string{"vmdk", "qcow", "raw", "vhd"}, secureBoot: true, tpm: true},
	CIMI:       {version2: true, collections: true, chunks: true, startup: false},
}

// portable are the rules of Portability; all are warnings, since a package can
// be sound and yet not run everywhere.
var portable = map[string][2]string{
	"OVF-PORT-001": {"the target reads the version of the descriptor", "convert --ovf-version 1.1"},
	"OVF-PORT-002": {"the target takes collections", "import each virtual system by itself"},
	"OVF-PORT-003": {"the target reads chunks", "convert joins them"},
	"OVF-PORT-004": {"the target has the controller", "--controller-map gives another"},
	"OVF-PORT-005": {"the target reads the disk's format", "--disk-format gives another"},
	"OVF-PORT-006": {"the target has a virtual TPM", "keep the recovery key of sealed disks at hand"},
	"OVF-PORT-007": {"the target starts machines in order", "the order is kept beside"},
	"OVF-PORT-008": {"the target offers secure boot", ""},
	"OVF-PORT-009": {"a vendor's required section is known to the target", "mark it with ovf:required=\"false\""},
	"OVF-PORT-010": {"a delta disk is taken", "convert flattens it"},
}

// Portability gives what a target would not take as it is, beside the findings
// of Validate. The error is for a target that is not known.
func Portability(env *ovf.Envelope, target Target) ([]ovf.Finding, error) {
	p, ok := platforms[target]
	if !ok {
		return nil, fmt.Errorf("target %q is none of %q", target, Targets())
	}
	c := &portability{target: target, env: env}
	if env.Version() == ovf.V2 && !p.version2 {
		c.add("OVF-PORT-001", "Envelope", "the descriptor is of OVF 2")
	}
	if x, ok := env.Content(); ok && x.Collection && !p.collections {
		c.add("OVF-PORT-002", "VirtualSystemCollection "+x.ID, "the package is a collection of %d machines", len(env.VirtualSystems()))
	}
	for _, f := range env.Files() {
		if f.ChunkSize > 0 && !p.chunks {
			c.add("OVF-PORT-003", "file "+f.ID, "%q is in chunks", f.Href)
		}
	}
	for _, d := range env.Disks() {
		format := strings.ToLower(d.Format)
		if format != "" && len(p.formats) > 0 && !slices.ContainsFunc(p.formats, func(f string) bool { return strings.Contains(format, f) }) {
			c.add("OVF-PORT-005", "disk "+d.ID, "the format is %s", d.Format)
		}
		if d.ParentRef != "" && target != VMware {
			c.add("OVF-PORT-010", "disk "+d.ID, "it is a delta of disk %s", d.ParentRef)
		}
	}
	for x := range env.Contents() {
		if len(x.Startup()) > 0 && !p.startup {
			c.add("OVF-PORT-007", "VirtualSystemCollection "+x.ID, "there is a StartupSection")
		}
		for _, s := range x.Sections() {
			if s.Required && s.Namespace == ovf.NSVMW && target != VMware && target != CIMI {
				c.add("OVF-PORT-009", x.ID, "%s of VMware is required", s.Kind)
			}
		}
		if h, ok := x.HardwareFor(nil); ok {
			c.hardware(p, x, h)
		}
	}
	return c.findings, nil
}

type portability struct {
	target   Target
	env      *ovf.Envelope
	findings []ovf.Finding
}

func (c *portability) add(id, object, format string, args ...any) {
	if len(c.findings) >= maxFindings {
		return
	}
	r := portable[id]
	c.findings = append(c.findings, ovf.Finding{ID: id, Severity: ovf.Warning, Object: object,
		Message: fmt.Sprintf("%s: not as it is: %s", c.target, fmt.Sprintf(format, args...)), Hint: r[1], Clause: "portability: " + r[0]})
}

func (c *portability) hardware(p platform, x ovf.Content, h ovf.VirtualHardware) {
	object := "VirtualSystem " + x.ID
	for _, k := range h.Controllers("") {
		if len(p.buses) > 0 && !slices.Contains(p.buses, k.Bus) {
			c.add("OVF-PORT-004", object+", item "+k.InstanceID, "the controller is %s", k.Bus)
		}
	}
	if h.TPM("") && !p.tpm {
		c.add("OVF-PORT-006", object, "the machine has a virtual TPM")
	}
	if h.SecureBoot() && !p.secureBoot {
		c.add("OVF-PORT-008", object, "the machine boots securely")
	}
}
