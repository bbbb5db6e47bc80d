package validate

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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

// Portability gives what a target would not take as it is, beside the findings
// of Validate. digests are the algorithms of the package's manifest, none where
// it has none or they are not known. The error is for a target that is not known.
func Portability(env *ovf.Envelope, target Target, digests ...string) ([]ovf.Finding, error) {
	p, ok := platforms[target]
	if !ok {
		return nil, fmt.Errorf("target %q is none of %q", target, Targets())
	}
	c := &portability{target: target, p: p, env: env}
	if env.Version() == ovf.V2 && !p.version2 {
		c.add("OVF-PORT-001", "Envelope", "the descriptor is of OVF 2")
	}
	if x, ok := env.Content(); ok && x.Collection && !p.collections {
		c.add("OVF-PORT-002", "VirtualSystemCollection "+x.ID, "the package is a collection of %d machines", len(env.VirtualSystems()))
	}
	for _, a := range digests {
		if !takes(p.digests, strings.ToLower(a)) {
			c.add("OVF-PORT-014", "manifest", "its digests are of %s, which it does not check, or refuses", a)
		}
	}
	c.files()
	c.disks()
	for x := range env.Contents() {
		if len(x.Startup()) > 0 && !p.startup {
			c.add("OVF-PORT-007", "VirtualSystemCollection "+x.ID, "there is a StartupSection")
		}
		for _, s := range x.Sections() {
			if s.Required && s.Namespace == ovf.NSVMW && target != VMware && target != CIMI {
				c.add("OVF-PORT-009", x.ID, "%s of VMware is required", s.Kind)
			}
		}
		c.name(x)
		if h, ok := x.HardwareFor(nil); ok {
			c.hardware(x, h)
		}
	}
	return c.findings, nil
}

// takes says whether a list has a value; an empty one has all.
func takes(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

type portability struct {
	target   Target
	p        platform
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

func (c *portability) files() {
	for _, f := range c.env.Files() {
		if f.ChunkSize > 0 && !c.p.chunks {
			c.add("OVF-PORT-003", "file "+f.ID, "%q is in chunks", f.Href)
		}
		if f.Compressed() && !takes(c.p.compressions, strings.ToLower(f.Compression)) {
			c.add("OVF-PORT-019", "file "+f.ID, "%q is compressed with %s", f.Href, f.Compression)
		}
		if !ovf.RemoteHref(f.Href) && strings.ContainsAny(f.Href, c.p.hrefForbids) {
			c.add("OVF-PORT-016", "file "+f.ID, "its tools take the href %q for a pattern, or look for %q", f.Href, path.Base(f.Href))
		}
	}
}

func (c *portability) disks() {
	for _, d := range c.env.Disks() {
		format := strings.ToLower(d.Format)
		known := slices.ContainsFunc(c.p.formats, func(f string) bool { return strings.Contains(format, f) })
		switch {
		case format == "" || len(c.p.formats) == 0:
		case !known:
			c.add("OVF-PORT-005", "disk "+d.ID, "the format is %s", d.Format)
		case c.p.streamOnly && (strings.HasSuffix(format, "sparse") || strings.HasSuffix(format, "flat")):
			c.add("OVF-PORT-005", "disk "+d.ID, "the format is %s, and an upload takes streamOptimized disks only", d.Format)
		}
		if d.ParentRef != "" && c.target != VMware {
			c.add("OVF-PORT-010", "disk "+d.ID, "it is a delta of disk %s", d.ParentRef)
		}
	}
}

func (c *portability) name(x ovf.Content) {
	name, object := x.Title(), "VirtualSystem "+x.ID
	if x.Collection {
		object = "VirtualSystemCollection " + x.ID
	}
	if n := utf8.RuneCountInString(name); c.p.nameLength > 0 && n > c.p.nameLength {
		c.add("OVF-PORT-015", object, "its name has %d characters, %d are the most", n, c.p.nameLength)
	}
	if i := strings.IndexAny(name, c.p.nameForbids); i >= 0 {
		c.add("OVF-PORT-015", object, "its name %q has %q", name, name[i])
	} else if c.p.nameOnly != nil {
		if i := strings.IndexFunc(name, func(r rune) bool { return !c.p.nameOnly(r) }); i >= 0 {
			r, _ := utf8.DecodeRuneInString(name[i:])
			c.add("OVF-PORT-015", object, "its name %q has %q", name, r)
		}
	}
}

func (c *portability) hardware(x ovf.Content, h ovf.VirtualHardware) {
	object := "VirtualSystem " + x.ID
	ide := false
	for _, k := range h.Controllers("") {
		item, model := object+", item "+k.InstanceID, strings.ToLower(k.ResourceSubType)
		ide = ide || k.Bus == "ide"
		switch {
		case !takes(c.p.buses, k.Bus):
			c.add("OVF-PORT-004", item, "the controller is %s", k.Bus)
		case model != "" && !takes(c.p.controllers, model) && k.Bus != "usb":
			c.add("OVF-PORT-012", item, "the %s controller is a %s", k.Bus, k.ResourceSubType)
		}
	}
	for _, n := range h.NICs("") {
		item := object + ", item " + n.InstanceID
		if models := strings.Fields(strings.ToLower(n.ResourceSubType)); len(models) > 0 && !slices.ContainsFunc(models, func(m string) bool { return takes(c.p.cards, m) }) {
			c.add("OVF-PORT-011", item, "the network adapter is a %s", n.ResourceSubType)
		}
		if a := strings.ToLower(strings.TrimSpace(n.Address)); a != "" && !strings.HasPrefix(a, c.p.ownAddresses) {
			c.add("OVF-PORT-020", item, "the MAC address is %s, and one that is given must begin with %s", n.Address, c.p.ownAddresses)
		}
	}
	for _, it := range h.EffectiveItems("") {
		if it.ResourceType == ovf.ResourceMemory && it.AllocationUnits == "" && c.target != CIMI && it.Field("VirtualQuantity") != "" {
			c.add("OVF-PORT-021", object+", item "+it.InstanceID, "the memory has no unit")
		}
	}
	c.family(object, h)
	efi := h.Firmware() == "efi"
	if _, vmware := h.Config("firmware"); efi && (vmware && c.p.firmwareWords == "virtualbox" || !vmware && c.p.firmwareWords == "vmware") {
		c.add("OVF-PORT-017", object, "it boots by EFI, which is said in words that it does not read, and comes up with BIOS")
	}
	if efi && ide && c.p.noIDEWithEFI {
		c.add("OVF-PORT-018", object, "it boots by EFI, and a machine with EFI has no IDE controller")
	}
	if h.TPM("") && !c.p.tpm {
		c.add("OVF-PORT-006", object, "the machine has a virtual TPM")
	}
	if h.SecureBoot() && !c.p.secureBoot {
		c.add("OVF-PORT-008", object, "the machine boots securely")
	}
}

// family looks at the virtual hardware that a machine asks for.
func (c *portability) family(object string, h ovf.VirtualHardware) {
	if len(c.p.families) == 0 || len(h.SystemTypes) == 0 {
		return
	}
	oldest := 0
	for _, t := range h.SystemTypes {
		for _, f := range c.p.families {
			if v, ok := strings.CutPrefix(strings.ToLower(t), f); ok {
				if n, err := strconv.Atoi(v); err == nil && (oldest == 0 || n < oldest) {
					oldest = n
				}
			}
		}
	}
	switch {
	case oldest == 0:
		c.add("OVF-PORT-013", object, "the virtual hardware is of %s", strings.Join(h.SystemTypes, ", "))
	case oldest > newestFamily:
		release := "a release after 7.0"
		if r := esxi[oldest]; r != "" {
			release = "ESXi " + r
		}
		c.add("OVF-PORT-013", object, "its virtual hardware, vmx-%d, needs %s", oldest, release)
	}
}
