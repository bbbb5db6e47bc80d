package ovf_test

import (
	"fmt"

	"github.com/cimimove/cimimove/ovf"
)

const small = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References><File ovf:id="f" ovf:href="disk.vmdk"/></References>
  <DiskSection><Info>Disks</Info><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^30"/></DiskSection>
  <NetworkSection><Info>Networks</Info><Network ovf:name="lan"/></NetworkSection>
  <VirtualSystem ovf:id="web"><Info>A web server</Info>
    <VirtualHardwareSection><Info>Hardware</Info>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`

func ExampleParse() {
	env, err := ovf.Parse([]byte(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, vm := range env.VirtualSystems() {
		h, _ := vm.HardwareFor(nil)
		cpus, _ := h.CPUs("")
		fmt.Println(vm.ID, cpus, "processors")
		for _, d := range h.Disks("") {
			capacity, _ := d.Disk.CapacityBytes()
			fmt.Println(d.File.Href, capacity>>30, "GiB")
		}
	}
	fmt.Println("untouched:", string(env.Bytes()) == small)
	// Output:
	// web 2 processors
	// disk.vmdk 8 GiB
	// untouched: true
}

func ExampleEnvelope_RenameNetwork() {
	env, _ := ovf.Parse([]byte(small))
	if err := env.RenameNetwork("lan", "production"); err != nil {
		fmt.Println(err)
	}
	h, _ := env.VirtualSystems()[0].HardwareFor(nil)
	fmt.Println(h.NICs("")[0].Connection, len(env.Bytes())-len(small))
	// Output: [production] 14
}

func ExampleEnvelope_ConvertTo() {
	env, _ := ovf.Parse([]byte(small))
	two, findings, err := env.ConvertTo(ovf.V2)
	fmt.Println(two.Version(), len(findings), err)
	// Output: 2 0 <nil>
}

func ExampleNewEnvelope() {
	env, err := ovf.NewEnvelope(ovf.Draft{Networks: []ovf.Network{{Name: "lan"}}, Content: ovf.DraftContent{ID: "vm", Name: "Machine"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, _ := env.Content()
	fmt.Println(c.Title(), env.Networks()[0].Name)
	// Output: Machine lan
}

func ExampleQuantity() {
	n, err := ovf.Quantity("3", "byte * 2^30", "byte")
	fmt.Println(n, err)
	// Output: 3221225472 <nil>
}
