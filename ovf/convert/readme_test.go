package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/validate"
)

// The README shows the two functions that follow, as they stand here.

func look(ctx context.Context, name string) error {
	pkg, err := files.Open(ctx, name, files.OpenOptions{Manifest: manifest.Verify})
	if err != nil {
		return err
	}
	defer pkg.Close()
	for _, f := range validate.Validate(pkg.Envelope(), validate.Options{}) {
		fmt.Println(f.Severity, f.ID, f.Object, f.Message)
	}
	for _, vs := range pkg.Envelope().VirtualSystems() {
		h, _ := vs.HardwareFor(nil)
		cpus, _ := h.CPUs("")
		memory, _ := h.MemoryBytes("")
		fmt.Println(vs.ID, cpus, "processors,", memory>>20, "MiB")
		for _, d := range h.Disks("") {
			capacity, _ := d.Disk.CapacityBytes()
			fmt.Println(d.Disk.ID, d.Disk.FileRef, capacity)
		}
	}
	return nil
}

func rewrite(ctx context.Context, name, out string) error {
	pkg, err := files.Open(ctx, name, files.OpenOptions{Manifest: manifest.Verify})
	if err != nil {
		return err
	}
	defer pkg.Close()
	_, err = convert.Package(ctx, pkg, out, convert.Options{
		DiskFormat: disk.VMDK,
		Algorithm:  manifest.SHA512,
		Edit: edit.Options{
			CPUs:     map[string]int{"*": 4},
			Networks: map[string]string{"*": "production"},
		},
	})
	return err
}

func Example() {
	folder, _ := os.MkdirTemp("", "library")
	defer os.RemoveAll(folder)
	descriptor := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="file" ovf:href="disk.raw"/></References>
<DiskSection><Info>Disks</Info><Disk ovf:diskId="system" ovf:fileRef="file" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^20" ovf:format="http://www.example.com/raw"/></DiskSection>
<NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
<VirtualSystem ovf:id="web"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
<Item><rasd:HostResource>ovf:/disk/system</rasd:HostResource><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:Connection>VM Network</rasd:Connection><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>`
	name, out := filepath.Join(folder, "app.ovf"), filepath.Join(folder, "out.ova")
	os.WriteFile(name, []byte(descriptor), 0o644)
	os.WriteFile(filepath.Join(folder, "disk.raw"), make([]byte, 1<<20), 0o644)

	ctx := context.Background()
	for _, step := range []func() error{
		func() error { return look(ctx, name) },
		func() error { return rewrite(ctx, name, out) },
		func() error { return look(ctx, out) },
	} {
		if err := step(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// web 2 processors, 512 MiB
	// system file 1048576
	// web 4 processors, 512 MiB
	// system file 1048576
}

// What the README shows of the library is what Example runs.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## Using the library\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```go\n")
	if !ok || len(blocks) < 2 {
		t.Fatal("README.md does not show how the library is used")
	}
	for _, b := range blocks[1:] {
		code, _, _ := strings.Cut(b, "```")
		for _, f := range strings.Split(strings.TrimSpace(code), "\n\n") {
			if !strings.Contains(string(source), "\n"+f+"\n") {
				t.Errorf("README.md shows what no example runs:\n%s", f)
			}
		}
	}
}
