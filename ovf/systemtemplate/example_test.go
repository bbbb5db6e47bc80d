package systemtemplate_test

import (
	"fmt"
	"os"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// A template carries its descriptor: edited, it gives the descriptor with that
// edit and no other.
func Example() {
	b, err := os.ReadFile("testdata/hardware-sections.ovf")
	if err != nil {
		fmt.Println(err)
		return
	}
	env, err := ovf.Parse(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, findings, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range findings {
		fmt.Println(f.ID, f.Message)
	}
	t.ComponentDescriptors[0].MachineTemplate.Value.MachineConfig.Value.CPU = cimi.Int(8)
	back, _, err := systemtemplate.ToEnvelope(t, systemtemplate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(back.Bytes())-len(b), "bytes more")
	cpus, _ := back.VirtualSystems()[0].Hardware()[0].CPUs("")
	fmt.Println(cpus, "processors")
	// Output:
	// MAP-OS-001 the guest operating system: 9
	// MAP-HW-001 another hardware section was chosen: vmx
	// MAP-HW-002 devices without counterpart: controller 0
	// 0 bytes more
	// 8 processors
}

// Read gives a host what it has to make of a package.
func ExampleRead() {
	b, err := os.ReadFile("testdata/two-tier.ovf")
	if err != nil {
		fmt.Println(err)
		return
	}
	env, err := ovf.Parse(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, _, err := systemtemplate.Read(env, systemtemplate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range v.System.AllMachines() {
		fmt.Printf("%s (%s): %d processors, %d MiB\n", m.Name, m.OVFID, m.CPUs, m.MemoryBytes>>20)
		for _, a := range m.Attachments {
			fmt.Printf("  %s%d:%d %s, %d bytes from %q\n", a.Controller, a.Bus, a.Unit, a.Volume.Name, a.Volume.CapacityBytes, a.Volume.Disk.Href)
		}
	}
	// Output:
	// web (web): 2 processors, 2048 MiB
	//   scsi0:0 web-root, 8589934592 bytes from "web.vmdk"
	// web-2 (db): 4 processors, 4096 MiB
	//   scsi0:0 db-root, 10737418240 bytes from "db.vmdk"
	//   scsi0:1 db-data, 21474836480 bytes from ""
}
