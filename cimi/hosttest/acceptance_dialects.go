package hosttest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// ovirtPackage is a machine as oVirt's engine exports it: no controller has an Item,
// nothing says whether it may be left out, and much of it is the engine's own.
func ovirtPackage(t testing.TB, ide, scsi []byte) []byte {
	item := func(fields string) string { return "<Item>" + fields + "</Item>\n" }
	descriptor := `<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ovf:version="4.4.0.0">
<References><File ovf:href="g/a" ovf:id="a"/><File ovf:href="g/b" ovf:id="b"/></References>
<NetworkSection><Info>networks</Info><Network ovf:name="lan"/></NetworkSection>
<Section xsi:type="ovf:DiskSection_Type"><Info>disks</Info>` + fmt.Sprintf(`
<Disk ovf:diskId="a" ovf:capacity="%d" ovf:fileRef="g/a" ovf:volume-format="RAW" ovf:disk-interface="IDE"/>
<Disk ovf:diskId="b" ovf:capacity="%d" ovf:fileRef="g/b" ovf:volume-format="RAW" ovf:disk-interface="VirtIO_SCSI"/>`, len(ide), len(scsi)) + `
</Section>
<Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>ovirt</Name>
<Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>hardware</Info>
` + item(`<rasd:InstanceId>1</rasd:InstanceId><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity>`) +
		item(`<rasd:InstanceId>2</rasd:InstanceId><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>128</rasd:VirtualQuantity>`) +
		item(`<rasd:InstanceId>a</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g/a</rasd:HostResource><Type>disk</Type>`) +
		item(`<rasd:InstanceId>b</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>g/b</rasd:HostResource><Type>disk</Type>`) +
		item(`<rasd:InstanceId>n</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType><rasd:ResourceSubType>2</rasd:ResourceSubType><rasd:Connection>lan</rasd:Connection><rasd:MACAddress>00:1a:4a:00:00:01</rasd:MACAddress><rasd:Address>{type=pci, slot=0x03}</rasd:Address>`) +
		item(`<rasd:Caption>Graphical Controller</rasd:Caption><rasd:InstanceId>v</rasd:InstanceId><rasd:ResourceType>20</rasd:ResourceType><Type>video</Type><Device>qxl</Device>`) +
		item(`<rasd:Caption>Graphical Framebuffer</rasd:Caption><rasd:InstanceId>f</rasd:InstanceId><rasd:ResourceType>26</rasd:ResourceType><Type>graphics</Type><Device>spice</Device>`) +
		item(`<rasd:InstanceId>r</rasd:InstanceId><rasd:ResourceType>0</rasd:ResourceType><Type>rng</Type><Device>virtio</Device>`) +
		item(`<rasd:InstanceId>s</rasd:InstanceId><rasd:ResourceType>0</rasd:ResourceType><Type>controller</Type><Device>virtio-scsi</Device>`) +
		`</Section></Content></ovf:Envelope>`
	return ArchiveOf(t, []byte(descriptor), [2]string{"g/a", string(ide)}, [2]string{"g/b", string(scsi)})
}

// fromOVirt: a package of oVirt's is imported whole: its disks and its card are of
// the kind that its guest has drivers for.
func fromOVirt(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	ide, scsi := Content(21, 1<<20), Content(22, 2<<20)
	s, found := Importing(t, h, ovirtPackage(t, ide, scsi), host.ImportOptions{Name: "from-ovirt", Networks: map[string]string{"lan": want.Network}})
	if slices.Contains(found, want.Strange) {
		t.Errorf("of what is the engine's own something is missed: %v", found)
	}
	for d := range s.AllDisks() {
		holds(t, h, d, map[string][]byte{"a": ide, "b": scsi}[d.OVFID])
	}
	m := h.Made(t, s, s.Machines[0])
	buses := map[string]string{}
	for _, d := range m.Disks {
		buses[d.Disk] = d.Bus
	}
	if len(m.Disks) != 2 || buses["a"] != "ide" || buses["b"] != "scsi" {
		t.Errorf("disks %+v, want a on IDE and b on SCSI", m.Disks)
	}
	if card := (Card{"e1000", "00:1a:4a:00:00:01"}); len(m.Cards) != 1 || m.Cards[0] != card {
		t.Errorf("cards %+v, want %+v", m.Cards, card)
	}
}

// fromXenCenter: a disk that is a storage extent without a controller, as XenCenter
// writes it, is a disk of the machine.
func fromXenCenter(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	data := Content(23, 1<<20)
	extent := ovf.Item{InstanceID: "9", ElementName: "Hard Disk Image", ResourceType: 19, ResourceSubType: "Virtual Hard Disk Image", HostResource: []string{"ovf:/disk/d"}, AddressOnParent: "0", AutomaticAllocation: true}
	b := OneMachine(t, Hardware("", extent), []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}},
		[]ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}}, [2]string{"d.img", string(data)})
	s, found := Importing(t, h, b, host.ImportOptions{Name: "from-xencenter"})
	if slices.Contains(found, want.Strange) {
		t.Errorf("something is missed: %v", found)
	}
	for d := range s.AllDisks() {
		holds(t, h, d, data)
	}
	if m := h.Made(t, s, s.Machines[0]); len(m.Disks) != 1 || m.Disks[0].Disk != "d" {
		t.Errorf("disks %+v, want d", m.Disks)
	}
}
