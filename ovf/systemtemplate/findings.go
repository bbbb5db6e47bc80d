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
	Hint   string // what to do, or that there is nothing to do
}

var ruleTable = []Rule{
	{NoProcessor, ovf.Info, ovf.Info, "no processor is described: one is assumed", "DSP0243 8.1", "describe them in the descriptor, in an Item of ResourceType 3, where one is not enough"},
	{ArchitectureGuess, ovf.Info, ovf.Info, "the processor architecture is guessed", "DSP0263 5.14.5", "check it where the machine is not of x86"},
	{Speed, ovf.Info, ovf.Warning, "a processor speed has no counterpart", "DSP0263 5.14.5", "nothing to do: machines run at the speed of their host"},
	{MemoryUnknown, ovf.Warning, ovf.Warning, "the size of the memory is unknown", "DSP0243 8.3", "describe it in the descriptor, in an Item of ResourceType 4"},
	{HardwareNotChosen, ovf.Info, ovf.Warning, "another hardware section was chosen", "DSP0243 8.1", "name the other with --deployment-option where it belongs to a configuration"},
	{DeviceUnmapped, ovf.Info, ovf.Warning, "devices without counterpart", "DSP0263 5.14.5", "add the devices in the new cloud where the guest needs them"},
	{ResourceControl, ovf.Info, ovf.Warning, "reservation, limit, weight or their range", "DSP0243 9.3", "set the shares and limits in the new cloud"},
	{DiskCopied, ovf.Info, ovf.Warning, "one disk becomes several volumes", "DSP0263 5.14.3", "attach one volume to all in the new cloud where the content was shared"},
	{DiskFlattened, ovf.Info, ovf.Warning, "a disk and its parents become one volume", "DSP0243 9.1", "nothing to do: the volume holds what the chain holds"},
	{DiskNotShareable, ovf.Error, ovf.Error, "a shared disk cannot be shared", "DSP0263 5.15.1", "choose a cloud whose volumes can be attached to several machines"},
	{DiskUnattached, ovf.Info, ovf.Info, "a disk that no machine uses becomes a volume by itself", "DSP0263 Annex A", "attach the volume in the new cloud, or delete it there"},
	{DiskLocation, ovf.Info, ovf.Warning, "the location of a disk in the guest", "DSP0263 5.14.3", "check that the guest names its disks by UUID or label, not by their place"},
	{CapacityUnknown, ovf.Warning, ovf.Warning, "the capacity of a disk is unknown", "DSP0243 9.1", "state ovf:capacity in the descriptor"},
	{DiskUndescribed, ovf.Warning, ovf.Warning, "a hard disk names no Disk of the package: the machine is made without it", "DSP0243 8.3", "let HostResource of the Item name a Disk of DiskSection"},
	{MACUnmapped, ovf.Info, ovf.Warning, "a MAC address", "DSP0263 5.16.11", "let DHCP and the guest know the new address"},
	{NetworkUnmapped, ovf.Info, ovf.Warning, "addresses or services of a network", "DSP0243 9.2", "set addresses and services up in the new cloud"},
	{StartOrder, ovf.Info, ovf.Warning, "the order of start and stop", "DSP0243 9.7", "start the machines in their order in the new cloud"},
	{GuestOS, ovf.Info, ovf.Warning, "the guest operating system", "DSP0243 9.9", "choose the guest's system in the new cloud"},
	{ConfigurationOther, ovf.Info, ovf.Warning, "deployment options that were not chosen", "DSP0243 9.8", "choose with --deployment-option; what was not chosen stays in the package only"},
	{Licence, ovf.Info, ovf.Warning, "a licence to accept", "DSP0243 9.6", "read it (inspect --output json shows it), then give --accept-eulas"},
	{PropertyValues, ovf.Info, ovf.Warning, "values of properties", "DSP0243 9.5", "give the values with --prop or --props"},
	{PasswordsWithheld, ovf.Info, ovf.Warning, "values of password properties are withheld", "DSP0243 9.5", "give them with --prop KEY@FILE or --props"},
	{SectionUnmapped, ovf.Info, ovf.Warning, "a section without counterpart", "DSP0263 4.3", "keep the package where the section matters"},
	{Renamed, ovf.Info, ovf.Info, "a name was made unique", "DSP0263 5.13.4", "nothing to do: ovfId keeps the name that it had"},
	{SignatureVoid, ovf.Warning, ovf.Warning, "the descriptor was edited: manifest and signature no longer match", "DSP0243 5.1", "sign the new package: convert --sign-key, or cimimove sign"},
	{ResourceDropped, ovf.Warning, ovf.Warning, "a resource has no counterpart and is dropped", "DSP0263 5.13.1", "make the resource in the new cloud by other means where it is needed"},
	{StateDropped, ovf.Info, ovf.Warning, "state at run time is dropped", "DSP0263 5.14.1", "start the machines in the new cloud, with --power-on or by hand"},
	{AttributeOnly, ovf.Info, ovf.Info, "attributes stand only in cimimove:attributes", "DSP0243 7.3", "nothing to do: the way back reads them"},
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
	f.list = append(f.list, ovf.Finding{ID: id, Severity: sev, Object: object, Message: msg, Hint: r.Hint, Clause: r.Clause})
}
