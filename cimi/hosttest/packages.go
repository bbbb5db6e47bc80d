package hosttest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Content is n bytes that tell one disk from another.
func Content(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>9)*3 + seed
	}
	return b
}

func number(n uint64) *uint64 { return &n }

// Hardware describes one processor and 128 MiB with those Items besides.
func Hardware(firmware string, more ...ovf.Item) ovf.DraftHardware {
	items := []ovf.Item{
		{InstanceID: "1", ElementName: "cpu", ResourceType: ovf.ResourceProcessor, VirtualQuantity: number(1), Required: true, AutomaticAllocation: true},
		{InstanceID: "2", ElementName: "memory", ResourceType: ovf.ResourceMemory, AllocationUnits: "byte * 2^20", VirtualQuantity: number(128), Required: true, AutomaticAllocation: true}}
	for i, it := range more {
		it.Required = true
		if it.InstanceID == "" {
			it.InstanceID = fmt.Sprint(100 + i)
		}
		if it.ElementName == "" {
			it.ElementName = "device " + it.InstanceID
		}
		items = append(items, it)
	}
	return ovf.DraftHardware{SystemType: "vmx-19", Firmware: firmware, Items: items}
}

// OnController is an Item of a disk at a unit of a controller.
func OnController(parent string, unit int, diskID string) ovf.Item {
	return ovf.Item{ResourceType: ovf.ResourceDisk, Parent: parent, AddressOnParent: fmt.Sprint(unit), HostResource: []string{"ovf:/disk/" + diskID}, AutomaticAllocation: true}
}

// Archive packs a description with its files, in the order given.
func Archive(t testing.TB, d ovf.Draft, files ...[2]string) []byte {
	t.Helper()
	env, err := ovf.NewEnvelope(d)
	if err != nil {
		t.Fatal(err)
	}
	return ArchiveOf(t, env.Bytes(), files...)
}

// ArchiveOf packs a descriptor with its files, in the order given.
func ArchiveOf(t testing.TB, descriptor []byte, files ...[2]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range append([][2]string{{"app.ovf", string(descriptor)}}, files...) {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// OneMachine is a package of one machine with that hardware.
func OneMachine(t testing.TB, hw ovf.DraftHardware, disks []ovf.Disk, refs []ovf.File, files ...[2]string) []byte {
	t.Helper()
	return Archive(t, ovf.Draft{Files: refs, Disks: disks, Networks: []ovf.Network{{Name: "lan"}},
		Content: ovf.DraftContent{ID: "vm", Name: "vm", Hardware: []ovf.DraftHardware{hw}}}, files...)
}

// NotRequired is a package of one machine in which the Item of that ElementName
// may be left out (DSP0243 8.4).
func NotRequired(t testing.TB, element string, hw ovf.DraftHardware, disks []ovf.Disk, refs []ovf.File, files ...[2]string) []byte {
	t.Helper()
	for _, it := range hw.Items {
		if it.ElementName == element {
			hw.Optional = append(hw.Optional, it.InstanceID)
		}
	}
	return OneMachine(t, hw, disks, refs, files...)
}

// Importing imports a package and gives what was found.
func Importing(t testing.TB, h host.Host, b []byte, opts host.ImportOptions) (*host.System, []string) {
	t.Helper()
	var found []string
	opts.Finding = func(f ovf.Finding) { found = append(found, f.ID) }
	s, err := h.Import(context.Background(), Package(t, b), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, found
}

// Exported is a System as an archive, whose descriptor has to be valid.
func Exported(t testing.TB, h host.Host, id string) []byte {
	t.Helper()
	x, err := h.Export(context.Background(), id, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	b := make([]byte, x.Size())
	if err := disk.ReadFull(x, b, 0); err != nil {
		t.Fatal(err)
	}
	ValidDescriptor(t, b)
	return b
}

// Files are the files of an archive as they lie in it, by name.
func Files(t testing.TB, archive []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		head, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[head.Name] = string(b)
	}
}
