package libvirt

import "encoding/xml"

// Namespace of our element in a domain's <metadata>.
const Namespace = "https://cimimove.github.io/libvirt/1"

// The elements of a domain (libvirt.org/formatdomain.html) that are written
// here, and read of domains that others made.

type domainXML struct {
	XMLName     xml.Name    `xml:"domain"`
	Type        string      `xml:"type,attr"`
	Name        string      `xml:"name"`
	UUID        string      `xml:"uuid"`
	Title       string      `xml:"title,omitempty"`
	Description string      `xml:"description,omitempty"`
	Machine     machineXML  `xml:"metadata>machine"`
	Memory      sizeXML     `xml:"memory"`
	CPUs        int         `xml:"vcpu"`
	OS          osXML       `xml:"os"`
	Features    featuresXML `xml:"features"`
	Clock       clockXML    `xml:"clock"`
	OnPoweroff  string      `xml:"on_poweroff"`
	OnReboot    string      `xml:"on_reboot"`
	OnCrash     string      `xml:"on_crash"`
	Devices     devicesXML  `xml:"devices"`
}

// machineXML says which machine of which System a domain is, and when it starts
// among the others (DSP0243 9.7).
type machineXML struct {
	XMLNS      string `xml:"xmlns,attr"`
	System     string `xml:"system,attr"`
	SystemName string `xml:"systemName,attr"`
	ID         string `xml:"id,attr"`
	StartOrder int    `xml:"startOrder,attr"`
	StartDelay int    `xml:"startDelay,attr,omitempty"` // seconds
}

type osXML struct {
	FirmwareKind string       `xml:"firmware,attr,omitempty"`
	Type         osTypeXML    `xml:"type"`
	Firmware     *firmwareXML `xml:"firmware"`
	Loader       *loaderXML   `xml:"loader"`
	NVRAM        string       `xml:"nvram,omitempty"`
}

type osTypeXML struct {
	Arch    string `xml:"arch,attr"`
	Machine string `xml:"machine,attr"`
	Value   string `xml:",chardata"`
}

type firmwareXML struct {
	Features []featureXML `xml:"feature"`
}

type featureXML struct {
	Enabled string `xml:"enabled,attr"`
	Name    string `xml:"name,attr"`
}

type loaderXML struct {
	Secure string `xml:"secure,attr,omitempty"`
	Type   string `xml:"type,attr,omitempty"`
	Path   string `xml:",chardata"`
}

type featuresXML struct {
	ACPI *struct{} `xml:"acpi"`
	APIC *struct{} `xml:"apic"`
	SMM  *stateXML `xml:"smm"`
}

type stateXML struct {
	State string `xml:"state,attr"`
}

type clockXML struct {
	Offset string `xml:"offset,attr"`
}

type devicesXML struct {
	Disks       []diskXML       `xml:"disk"`
	Controllers []controllerXML `xml:"controller"`
	Interfaces  []interfaceXML  `xml:"interface"`
	Serial      []consoleXML    `xml:"serial"`
	Input       []inputXML      `xml:"input"`
	Graphics    []graphicsXML   `xml:"graphics"`
	Video       []videoXML      `xml:"video"`
	TPM         *tpmXML         `xml:"tpm"`
}

type diskXML struct {
	Type      string        `xml:"type,attr"`
	Device    string        `xml:"device,attr"`
	Driver    diskDriverXML `xml:"driver"`
	Source    diskSourceXML `xml:"source"`
	Backing   *backingXML   `xml:"backingStore"`
	Target    targetXML     `xml:"target"`
	Shareable *struct{}     `xml:"shareable"`
	ReadOnly  *struct{}     `xml:"readonly"`
	Serial    string        `xml:"serial,omitempty"`
	WWN       string        `xml:"wwn,omitempty"`
	Boot      *bootXML      `xml:"boot"`
	Address   *driveXML     `xml:"address"`
}

type backingXML struct {
	Source *diskSourceXML `xml:"source"`
}

type diskDriverXML struct {
	Name    string `xml:"name,attr,omitempty"`
	Type    string `xml:"type,attr,omitempty"`
	Discard string `xml:"discard,attr,omitempty"`
}

type diskSourceXML struct {
	Pool   string `xml:"pool,attr,omitempty"`
	Volume string `xml:"volume,attr,omitempty"`
	File   string `xml:"file,attr,omitempty"`
	Dev    string `xml:"dev,attr,omitempty"`
	// Of a disk on the network: rbd, iscsi, nbd, …
	Protocol string `xml:"protocol,attr,omitempty"`
	Name     string `xml:"name,attr,omitempty"`
}

type targetXML struct {
	Dev string `xml:"dev,attr"`
	Bus string `xml:"bus,attr"`
}

type bootXML struct {
	Order int `xml:"order,attr"`
}

type driveXML struct {
	Type       string `xml:"type,attr"`
	Controller string `xml:"controller,attr,omitempty"`
	Bus        string `xml:"bus,attr,omitempty"`
	Target     string `xml:"target,attr,omitempty"`
	Unit       string `xml:"unit,attr,omitempty"`
}

type controllerXML struct {
	Type  string `xml:"type,attr"`
	Index int    `xml:"index,attr"`
	Model string `xml:"model,attr,omitempty"`
}

type interfaceXML struct {
	Type   string      `xml:"type,attr"`
	MAC    *addressXML `xml:"mac"`
	Source *sourceXML  `xml:"source"`
	Model  *modelXML   `xml:"model"`
	Link   *stateXML   `xml:"link"`
}

type addressXML struct {
	Address string `xml:"address,attr"`
}

type sourceXML struct {
	Network   string `xml:"network,attr,omitempty"`
	Bridge    string `xml:"bridge,attr,omitempty"`
	Dev       string `xml:"dev,attr,omitempty"`
	PortGroup string `xml:"portgroup,attr,omitempty"`
}

type modelXML struct {
	Type string `xml:"type,attr"`
}

type consoleXML struct {
	Type string  `xml:"type,attr"`
	Log  *logXML `xml:"log"`
}

type logXML struct {
	File   string `xml:"file,attr"`
	Append string `xml:"append,attr"`
}

type inputXML struct {
	Type string `xml:"type,attr"`
	Bus  string `xml:"bus,attr"`
}

type graphicsXML struct {
	Type     string `xml:"type,attr"`
	Port     int    `xml:"port,attr"`
	Autoport string `xml:"autoport,attr"`
	Listen   string `xml:"listen,attr"`
}

type videoXML struct {
	Model modelXML `xml:"model"`
}

type tpmXML struct {
	Model   string `xml:"model,attr"`
	Backend struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
	} `xml:"backend"`
}
