// Package validate checks a descriptor against what DSP0243 demands beyond
// well-formed XML: the schema's rules that matter for use, and the semantic
// ones that no schema states. It gives all findings at once, each with a
// stable rule id; Rules lists them. It reads the descriptor only; what the
// package holds can be handed in as an Inventory.
package validate

import (
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/ovf"
)

// Options of Validate. The zero value checks the descriptor alone.
type Options struct {
	// Inventory is what the package holds; nil leaves out the checks against it.
	Inventory Inventory
	// RemoteHrefs allows http and https URLs as hrefs.
	RemoteHrefs bool
}

// Inventory is what a package holds beside the descriptor.
type Inventory interface {
	// Size is the stored size of a member in bytes, -1 when unknown; not ok
	// when the package has no such member.
	Size(name string) (size int64, ok bool)
	// DiskCapacity is the size in bytes that the disk's own header states; not
	// ok when it has none or was not read.
	DiskCapacity(name string) (capacity int64, ok bool)
}

// Validate gives all findings, in the order of the checks; none of severity
// error means that the descriptor can be used.
func Validate(env *ovf.Envelope, opts Options) []ovf.Finding {
	c := &checker{env: env, opts: opts}
	c.draft = env.Version() == ovf.V09 || env.OVirt()
	_, c.xen = env.Tree().Root().Prefix(ovf.NSXenCenter, true)
	for _, check := range []func(*checker){structure, references, disks, networks, configurations, contents, hardware, properties, startup, collections, schema} {
		check(c)
	}
	return c.findings
}

type checker struct {
	env      *ovf.Envelope
	opts     Options
	draft    bool // 0.9 or oVirt's: habits that 1.x forbids are theirs
	xen      bool // XenCenter's: so are its
	findings []ovf.Finding
}

// add reports a violation of a rule; the message says what is there.
func (c *checker) add(id, object, format string, args ...any) {
	r := rule(id)
	if len(c.findings) >= maxFindings {
		return
	}
	c.findings = append(c.findings, ovf.Finding{ID: id, Severity: r.Severity, Object: object,
		Message: fmt.Sprintf(format, args...), Hint: r.Hint, Clause: r.Clause})
}

// said is what an error says of an object, without the object and the clause,
// which the finding has.
func said(err error) string {
	var d *ovf.DescriptorError
	if !errors.As(err, &d) {
		return err.Error()
	}
	bare := *d
	bare.Package, bare.Object, bare.Clause = "", "", ""
	return bare.Error()
}

// maxFindings keeps a hostile descriptor from filling the memory with complaints.
const maxFindings = 10_000
