package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ova"
)

// applianceDiskSize is the size of the sample's disks with content, in bytes.
const applianceDiskSize = 64 << 20

// buildAppliance writes the sample that demo moves: a database that starts
// before its web server, a system disk for each, a blank data disk, a public
// and a private network.
func buildAppliance(ctx context.Context, target string) error {
	draft, err := applianceDraft()
	if err != nil {
		return err
	}
	disks := []string{"db-system.vmdk", "web-system.vmdk"}
	w, err := ova.Create(target, ova.WriterOptions{Descriptor: "webshop.ovf", DescriptorSize: int64(len(draft.Bytes())) + 256, Files: disks})
	if err != nil {
		return err
	}
	defer w.Abort()
	for i, name := range disks {
		out, err := w.Create(ctx, name)
		if err != nil {
			return err
		}
		content := sampleContent(name)
		res, err := formats.Encode(ctx, raw.New(bytes.NewReader(content), int64(len(content))), out, disk.VMDK, disk.EncodeOptions{})
		if err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
		draft.Files()[i].SetSize(res.StreamBytes)
	}
	return w.Finish(ctx, draft.Bytes())
}

// sampleContent is a disk that looks used: text, noise, and a good deal of
// nothing; the same for the same name.
func sampleContent(name string) []byte {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	b := make([]byte, applianceDiskSize)
	for at := 0; at < len(b)/2; at += 4 << 20 {
		for i := 0; i < 1<<20; i += 64 {
			copy(b[at+i:], fmt.Sprintf("%s order %012d shipped to customer %08d\n", name, r.Uint64()%1e12, r.Uint64()%1e8))
		}
		for i := 1 << 20; i < 2<<20; i += 8 {
			for k, v := 0, r.Uint64(); k < 8; k++ {
				b[at+i+k] = byte(v >> (8 * k))
			}
		}
	}
	return b
}

func applianceDraft() (*ovf.Envelope, error) {
	capacity := strconv.Itoa(applianceDiskSize)
	uri, _ := formats.URI(disk.VMDK)
	return ovf.NewEnvelope(ovf.Draft{
		Files: []ovf.File{{ID: "file1", Href: "db-system.vmdk"}, {ID: "file2", Href: "web-system.vmdk"}},
		Disks: []ovf.Disk{
			{ID: "db-system", FileRef: "file1", Capacity: capacity, Format: uri, PopulatedSize: -1},
			{ID: "db-data", Capacity: "1", AllocationUnits: "byte * 2^30", Format: uri, PopulatedSize: -1},
			{ID: "web-system", FileRef: "file2", Capacity: capacity, Format: uri, PopulatedSize: -1},
		},
		Networks: []ovf.Network{{Name: "public", Description: "where customers come from"}, {Name: "private", Description: "between the machines"}},
		Content: ovf.DraftContent{
			Collection: true, ID: "webshop", Name: "webshop", Info: "A shop on the web",
			Startup: []ovf.StartupItem{{ID: "db", Order: 1, StartDelay: 10}, {ID: "web", Order: 2}},
			Children: []ovf.DraftContent{
				machine("db", 2, 2048, []string{"private"}, "db-system", "db-data"),
				machine("web", 1, 1024, []string{"public", "private"}, "web-system"),
			},
		},
	})
}

func machine(name string, cpus, memoryMiB uint64, networks []string, disks ...string) ovf.DraftContent {
	one := uint64(1)
	items := []ovf.Item{
		{InstanceID: "1", ElementName: "processors", ResourceType: ovf.ResourceProcessor, VirtualQuantity: &cpus, AllocationUnits: "hertz * 10^6"},
		{InstanceID: "2", ElementName: "memory", ResourceType: ovf.ResourceMemory, VirtualQuantity: &memoryMiB, AllocationUnits: "byte * 2^20"},
		{InstanceID: "3", ElementName: "scsi0", ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogic", Address: "0"},
	}
	for i, d := range disks {
		items = append(items, ovf.Item{InstanceID: strconv.Itoa(10 + i), ElementName: d, ResourceType: ovf.ResourceDisk,
			HostResource: []string{"ovf:/disk/" + d}, Parent: "3", AddressOnParent: strconv.Itoa(i)})
	}
	for i, n := range networks {
		items = append(items, ovf.Item{InstanceID: strconv.Itoa(20 + i), ElementName: "ethernet" + strconv.Itoa(i), ResourceType: ovf.ResourceEthernet,
			ResourceSubType: "E1000", Connection: []string{n}, AutomaticAllocation: true, VirtualQuantity: &one})
	}
	return ovf.DraftContent{
		ID: name, Name: name, Info: "A virtual machine",
		OS:       &ovf.OperatingSystem{ID: 101, Description: "Linux, 64 bit"},
		Hardware: []ovf.DraftHardware{{SystemType: "vmx-07", Items: items}},
	}
}
