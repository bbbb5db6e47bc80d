package ovf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// ovirtMachine is a machine as oVirt's engine describes one that has run.
const ovirtMachine = `<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<References><File ovf:href="g/a" ovf:id="a"/><File ovf:href="g/b" ovf:id="b"/><File ovf:href="g/c" ovf:id="c"/></References>
<Section xsi:type="ovf:DiskSection_Type"><Info>i</Info>
<Disk ovf:diskId="a" ovf:size="1" ovf:fileRef="g/a" ovf:volume-format="COW" ovf:disk-interface="IDE"/>
<Disk ovf:diskId="b" ovf:size="1" ovf:fileRef="g/b" ovf:volume-format="RAW" ovf:disk-interface="VirtIO_SCSI"/>
<Disk ovf:diskId="c" ovf:size="1" ovf:fileRef="g/c" ovf:volume-format="RAW"/>
</Section>
<Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>m</Name>
<Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>i</Info>
<Item><rasd:InstanceId>a</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g/a</rasd:HostResource><rasd:Parent>0</rasd:Parent></Item>
<Item><rasd:InstanceId>b</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g/b</rasd:HostResource><rasd:Parent>0</rasd:Parent></Item>
<Item><rasd:InstanceId>c</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g/c</rasd:HostResource></Item>
<Item><rasd:InstanceId>n1</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType><rasd:ResourceSubType>2</rasd:ResourceSubType><rasd:Connection>lan</rasd:Connection><rasd:MACAddress>00:1a:4a:00:00:01</rasd:MACAddress><rasd:Address>{type=pci, slot=0x03, bus=0x00, domain=0x0000, function=0x0}</rasd:Address></Item>
<Item><rasd:InstanceId>n2</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType><rasd:ResourceSubType>3</rasd:ResourceSubType><rasd:Connection>lan</rasd:Connection><rasd:Address>{type=pci, slot=0x04, bus=0x00, domain=0x0000, function=0x0}</rasd:Address></Item>
<Item><rasd:Caption>Graphical Controller</rasd:Caption><rasd:InstanceId>v</rasd:InstanceId><rasd:ResourceType>20</rasd:ResourceType><Type>video</Type><Device>qxl</Device></Item>
<Item><rasd:Caption>Graphical Framebuffer</rasd:Caption><rasd:InstanceId>f</rasd:InstanceId><rasd:ResourceType>26</rasd:ResourceType><Type>graphics</Type><Device>spice</Device></Item>
<Item><rasd:ResourceType>0</rasd:ResourceType><rasd:InstanceId>r</rasd:InstanceId><Type>rng</Type><Device>virtio</Device></Item>
<Item><rasd:ResourceType>0</rasd:ResourceType><rasd:InstanceId>p</rasd:InstanceId><Type>hostdev</Type><Device>pci_0000_01_00_0</Device></Item>
<Item><rasd:ResourceType>0</rasd:ResourceType><rasd:InstanceId>t</rasd:InstanceId><Type>tpm</Type><Device>tpm</Device></Item>
</Section></Content></ovf:Envelope>`

// TestOVirtDevices: the MAC address is not the address on the bus, cards and
// disks are of the kind that their guest has drivers for.
func TestOVirtDevices(t *testing.T) {
	// The same in the namespace of the standard, as later engines wrote it.
	for _, descriptor := range []string{ovirtMachine, strings.Replace(ovirtMachine, `envelope/1/"`, `envelope/1"`, 1)} {
		ovirtDevices(t, descriptor)
	}
}

func ovirtDevices(t *testing.T, descriptor string) {
	e, err := ovf.Parse([]byte(descriptor))
	if err != nil {
		t.Fatal(err)
	}
	if e.Version() != ovf.VOVirt || !e.OVirt() {
		t.Errorf("version %s, oVirt's %v", e.Version(), e.OVirt())
	}
	for _, d := range e.Disks() {
		if n, err := d.CapacityBytes(); err != nil || n != 1<<30 {
			t.Errorf("disk %s: capacity %d, %v", d.ID, n, err)
		}
	}
	var h ovf.VirtualHardware
	for c := range e.Contents() {
		if hw := c.Hardware(); len(hw) > 0 {
			h = hw[0]
		}
	}
	nics := h.NICs("")
	if len(nics) != 2 || nics[0].Address != "00:1a:4a:00:00:01" || nics[0].ResourceSubType != "e1000" || nics[1].Address != "" || nics[1].ResourceSubType != "virtio" {
		t.Errorf("cards: %+v", nics)
	}
	for _, it := range h.Items() {
		of, required := it.InstanceID == "f" || it.InstanceID == "r", len(it.InstanceID) == 1 && it.InstanceID < "d" || it.ResourceType == ovf.ResourceEthernet
		if it.OfHypervisor() != of || it.Required != required {
			t.Errorf("Item %s of type %d: the hypervisor's %v, required %v", it.InstanceID, it.ResourceType, it.OfHypervisor(), it.Required)
		}
		if it.InstanceID == "v" && it.ResourceType != ovf.ResourceGraphics {
			t.Errorf("the video card has type %d", it.ResourceType)
		}
	}
	if !h.TPM("") {
		t.Error("the TPM is not seen")
	}
	var buses []string
	for _, d := range h.Disks("") {
		buses = append(buses, d.Disk.ID+" "+d.Controller.String())
	}
	if want := []string{"a ide0", "b scsi0", "c "}; len(buses) != 3 || buses[0] != want[0] || buses[1] != want[1] || buses[2] != want[2] {
		t.Errorf("disks on %q, expected %q", buses, want)
	}
}

// TestOVirtArchive: the engine's archives are in the namespace and structure of
// the standard, with the engine's words for devices.
func TestOVirtArchive(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "ovirt-archive.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if e.Version() != ovf.V1 || !e.OVirt() {
		t.Errorf("version %s, oVirt's %v", e.Version(), e.OVirt())
	}
	h := e.VirtualSystems()[0].Hardware()[0]
	if f := h.Firmware(); f != "efi" || !h.SecureBoot() {
		t.Errorf("firmware %q, secure boot %v", f, h.SecureBoot())
	}
	if n, err := h.CPUs(""); n != 4 || err != nil {
		t.Errorf("%d CPUs, %v", n, err)
	}
	nics := h.NICs("")
	if len(nics) != 1 || nics[0].ResourceSubType != "virtio" || nics[0].Address != "56:6f:00:00:00:01" {
		t.Errorf("cards: %+v", nics)
	}
	disks := h.Disks("")
	if len(disks) != 2 || disks[0].Controller.Bus != "virtio" || disks[1].Controller.Bus != "sata" || disks[1].File.Href != "image-b" {
		t.Errorf("disks: %+v", disks)
	}
	for _, it := range h.Items() {
		if it.InstanceID == "video" && it.ResourceType != ovf.ResourceGraphics {
			t.Errorf("the video card has type %d", it.ResourceType)
		}
	}
}
