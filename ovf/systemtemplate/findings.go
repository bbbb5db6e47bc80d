package systemtemplate

import (
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/ovf"
)

// Rule ids of the mapping. They are stable: --allow and --deny name them.
const (
	NoProcessor        = "MAP-CPU-001"
	ArchitectureGuess  = "MAP-CPU-002"
	Speed              = "MAP-CPU-003"
	MemoryUnknown      = "MAP-MEM-001"
	HardwareNotChosen  = "MAP-HW-001"
	DeviceUnmapped     = "MAP-HW-002"
	ResourceControl    = "MAP-RES-001"
	DiskCopied         = "MAP-DISK-001"
	DiskFlattened      = "MAP-DISK-002"
	DiskNotShareable   = "MAP-DISK-003"
	DiskUnattached     = "MAP-DISK-004"
	DiskLocation       = "MAP-DISK-005"
	CapacityUnknown    = "MAP-DISK-006"
	DiskUndescribed    = "MAP-DISK-007"
	MACUnmapped        = "MAP-NET-001"
	NetworkUnmapped    = "MAP-NET-002"
	StartOrder         = "MAP-START-001"
	GuestOS            = "MAP-OS-001"
	ConfigurationOther = "MAP-CFG-001"
	Licence            = "MAP-EULA-001"
	PropertyValues     = "MAP-PROP-001"
	PasswordsWithheld  = "MAP-PROP-002"
	SectionUnmapped    = "MAP-SEC-001"
	Renamed            = "MAP-NAME-001"
	SignatureVoid      = "MAP-SIG-001"
	ResourceDropped    = "MAP-CIMI-001"
	StateDropped       = "MAP-CIMI-002"
	AttributeOnly      = "MAP-CIMI-003"
)

// Rule is an entry of the table of findings.
type Rule struct {
	ID   string
	Kept ovf.Severity // where the kept descriptor or an extension attribute carries it
	Lost ovf.Severity // where the destination has neither
	Text string
	// Clause is where the standards say why.
	Clause string
}

var ruleTable = []Rule{
	{NoProcessor, ovf.Info, ovf.Info, "no processor is described: one is assumed", "DSP0243 8.1"},
	{ArchitectureGuess, ovf.Info, ovf.Info, "the processor architecture is guessed", "DSP0263 5.14.5"},
	{Speed, ovf.Info, ovf.Warning, "a processor speed has no counterpart", "DSP0263 5.14.5"},
	{MemoryUnknown, ovf.Warning, ovf.Warning, "the size of the memory is unknown", "DSP0243 8.3"},
	{HardwareNotChosen, ovf.Info, ovf.Warning, "another hardware section was chosen", "DSP0243 8.1"},
	{DeviceUnmapped, ovf.Info, ovf.Warning, "devices without counterpart", "DSP0263 5.14.5"},
	{ResourceControl, ovf.Info, ovf.Warning, "reservation, limit, weight or their range", "DSP0243 9.3"},
	{DiskCopied, ovf.Info, ovf.Warning, "one disk becomes several volumes", "DSP0263 5.14.3"},
	{DiskFlattened, ovf.Info, ovf.Warning, "a disk and its parents become one volume", "DSP0243 9.1"},
	{DiskNotShareable, ovf.Error, ovf.Error, "a shared disk cannot be shared", "DSP0263 5.15.1"},
	{DiskUnattached, ovf.Info, ovf.Info, "a disk that no machine uses becomes a volume by itself", "DSP0263 Annex A"},
	{DiskLocation, ovf.Info, ovf.Warning, "the location of a disk in the guest", "DSP0263 5.14.3"},
	{CapacityUnknown, ovf.Warning, ovf.Warning, "the capacity of a disk is unknown", "DSP0243 9.1"},
	{DiskUndescribed, ovf.Warning, ovf.Warning, "a hard disk names no Disk of the package: the machine is made without it", "DSP0243 8.3"},
	{MACUnmapped, ovf.Info, ovf.Warning, "a MAC address", "DSP0263 5.16.11"},
	{NetworkUnmapped, ovf.Info, ovf.Warning, "addresses or services of a network", "DSP0243 9.2"},
	{StartOrder, ovf.Info, ovf.Warning, "the order of start and stop", "DSP0243 9.7"},
	{GuestOS, ovf.Info, ovf.Warning, "the guest operating system", "DSP0243 9.9"},
	{ConfigurationOther, ovf.Info, ovf.Warning, "deployment options that were not chosen", "DSP0243 9.8"},
	{Licence, ovf.Info, ovf.Warning, "a licence to accept", "DSP0243 9.6"},
	{PropertyValues, ovf.Info, ovf.Warning, "values of properties", "DSP0243 9.5"},
	{PasswordsWithheld, ovf.Info, ovf.Warning, "values of password properties are withheld", "DSP0243 9.5"},
	{SectionUnmapped, ovf.Info, ovf.Warning, "a section without counterpart", "DSP0263 4.3"},
	{Renamed, ovf.Info, ovf.Info, "a name was made unique", "DSP0263 5.13.4"},
	{SignatureVoid, ovf.Warning, ovf.Warning, "the descriptor was edited: manifest and signature no longer match", "DSP0243 5.1"},
	{ResourceDropped, ovf.Warning, ovf.Warning, "a resource has no counterpart and is dropped", "DSP0263 5.13.1"},
	{StateDropped, ovf.Info, ovf.Warning, "state at run time is dropped", "DSP0263 5.14.1"},
	{AttributeOnly, ovf.Info, ovf.Info, "attributes stand only in cimimove:attributes", "DSP0243 7.3"},
}

// Rules lists every finding of the mapping.
func Rules() []Rule { return slices.Clone(ruleTable) }

// findings collects what a mapping notices.
type findings struct {
	list []ovf.Finding
	lost bool // the destination has neither kept descriptor nor extensions
}

func (f *findings) add(id, object, format string, args ...any) {
	i := slices.IndexFunc(ruleTable, func(r Rule) bool { return r.ID == id })
	r := ruleTable[i]
	sev := r.Kept
	if f.lost {
		sev = r.Lost
	}
	msg := r.Text
	if format != "" {
		msg += ": " + fmt.Sprintf(format, args...)
	}
	f.list = append(f.list, ovf.Finding{ID: id, Severity: sev, Object: object, Message: msg, Clause: r.Clause})
}
