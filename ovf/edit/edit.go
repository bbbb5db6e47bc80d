// Package edit changes descriptors as people ask for it: names, networks,
// properties, the configuration, processors and memory, controllers, MAC
// addresses, files. The descriptor differs afterwards only where it was
// edited; Diff shows where.
package edit

import (
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// MACPolicy says what becomes of MAC addresses.
type MACPolicy string

const (
	KeepMAC       MACPolicy = "keep"       // the default; duplicates are findings
	RegenerateMAC MACPolicy = "regenerate" // a new locally administered address for each adapter
	StripMAC      MACPolicy = "strip"      // the platform gives one
)

// Rules of findings.
const (
	RuleMAC        = "EDIT-MAC-001"  // two adapters have one address
	RuleCores      = "EDIT-CPU-001"  // cores per socket do not fit the number of processors
	RuleRange      = "EDIT-HW-001"   // a quantity leaves its range
	RuleController = "EDIT-CTL-001"  // a drive gets another address
	RuleVirtualBox = "EDIT-VBOX-001" // VirtualBox's own description is not edited along
	RuleFile       = "EDIT-FILE-001" // a removed file takes its disk and devices along
	RuleNetwork    = "EDIT-NET-001"  // two networks become one
)

// Options of Apply; the zero value changes nothing.
type Options struct {
	// Name of the outermost content.
	Name string
	// Networks renames networks; "*" stands for all that are not named. Several
	// that get one name become one network.
	Networks map[string]string
	// Properties sets values, by key as in the environment ([class.]key[:instance],
	// or class.key.instance) or by plain key where that is unique.
	Properties map[string]string
	// AddProperties puts properties into the ProductSection of their Class and
	// Instance of the outermost content, which is made where there is none.
	// RemoveProperties names some by key.
	AddProperties    []ovf.Property
	RemoveProperties []string
	// Configuration is picked: its Items and values stay, the others go.
	Configuration string
	// CPUs and MemoryBytes of virtual systems by ovf:id, "*" for all others.
	CPUs        map[string]int
	MemoryBytes map[string]int64
	// Controllers turns controllers of one bus into those of another: ide, scsi,
	// sata, nvme.
	Controllers map[string]string
	// MAC policy; empty is KeepMAC. Random is where new addresses come from; nil
	// is crypto/rand.
	MAC    MACPolicy
	Random io.Reader
	// Add are new entries of References; Remove names files by id or href.
	Add    []ovf.File
	Remove []string
}

// Error is an edit that cannot be made: the descriptor is sound, what was asked
// for does not fit it.
type Error struct {
	Object  string // what was to be edited: "network lan", "item 5"
	Message string
	Err     error // cause; may be nil
}

func (e *Error) Error() string {
	s := "edit: " + e.Object
	for _, part := range []string{e.Message, text(e.Err)} {
		if part != "" {
			s += ": " + part
		}
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Apply edits env in place. The findings tell what comes along with an edit;
// the error, mostly an *Error, names what cannot be done, and env is then half
// edited: work on a Clone.
func Apply(env *ovf.Envelope, opts Options) ([]ovf.Finding, error) {
	e := &editor{env: env, opts: opts}
	for _, step := range []func() error{e.configuration, e.name, e.networks, e.addProperties, e.removeProperties, e.properties,
		e.processors, e.memory, e.controllers, e.addresses, e.files} {
		if err := step(); err != nil {
			return e.findings, err
		}
	}
	return e.findings, nil
}

type editor struct {
	env      *ovf.Envelope
	opts     Options
	findings []ovf.Finding
}

func (e *editor) find(id, object, format string, args ...any) {
	e.findings = append(e.findings, ovf.Finding{ID: id, Severity: ovf.Warning, Object: object, Message: fmt.Sprintf(format, args...)})
}

func refuse(object, format string, args ...any) error {
	return &Error{Object: object, Message: fmt.Sprintf(format, args...)}
}

// sections are all hardware sections.
func (e *editor) sections(visit func(c ovf.Content, h ovf.VirtualHardware) error) error {
	for _, c := range e.env.VirtualSystems() {
		for _, h := range c.Hardware() {
			if err := visit(c, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// known refuses a map that names a virtual system which is not there.
func known[V any](e *editor, what string, m map[string]V) error {
	var ids []string
	for _, c := range e.env.VirtualSystems() {
		ids = append(ids, c.ID)
	}
	for id := range m {
		if c, ok := e.env.ByID(id); id != "*" && (!ok || c.Collection) {
			return refuse(what+" of "+id, "the package has no such virtual system; it has %q", ids)
		}
	}
	return nil
}

// of is what a map says for an id, or for all.
func of[V any](m map[string]V, id string) (V, bool) {
	if v, ok := m[id]; ok {
		return v, true
	}
	v, ok := m["*"]
	return v, ok
}

func (e *editor) name() error {
	name := strings.TrimSpace(e.opts.Name)
	if name == "" {
		return nil
	}
	c, ok := e.env.Content()
	if !ok {
		return refuse("name", "the package has no content to be named")
	}
	return c.SetName(name)
}
