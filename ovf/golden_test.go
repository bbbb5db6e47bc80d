package ovf_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The drafts of these tests, as files that others can use too.
func TestGolden(t *testing.T) {
	for v, name := range map[ovf.Version]string{ovf.V1: "appliance-1.1.ovf", ovf.V2: "appliance-2.0.ovf"} {
		e, err := ovf.NewEnvelope(appliance(v))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(repository(t), "testdata", "ovf", name)
		if *update {
			if err := os.WriteFile(file, e.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Bytes(), want) {
			t.Errorf("%s: %s", name, firstDifference(string(e.Bytes()), string(want)))
		}
	}
}

// Descriptors of drafts and dialects, written for these tests: what a view
// reads of each.
func TestAC22Dialects(t *testing.T) {
	tests := []struct {
		file         string
		version      ovf.Version
		title        string
		cpus         int
		memory, disk int64
		href, bus    string
	}{
		{"draft-0.9.ovf", ovf.V09, "old", 2, 256 << 20, 1 << 30, "old.vmdk", "ide"},
		{"ovirt.ovf", ovf.VOVirt, "guest", 4, 1 << 30, 3 << 30, "image/volume", ""},
	}
	for _, tt := range tests {
		b, err := os.ReadFile(filepath.Join(repository(t), "testdata", "ovf", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		e, err := ovf.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		c, _ := e.Content()
		h, ok := c.HardwareFor(nil)
		if e.Version() != tt.version || c.Title() != tt.title || !ok {
			t.Errorf("%s: version %s, title %q, hardware %v", tt.file, e.Version(), c.Title(), ok)
			continue
		}
		cpus, _ := h.CPUs("")
		memory, _ := h.MemoryBytes("")
		disks := h.Disks("")
		if cpus != tt.cpus || memory != tt.memory || len(disks) != 1 {
			t.Errorf("%s: %d processors, %d bytes of memory, %d disks", tt.file, cpus, memory, len(disks))
			continue
		}
		if n, err := disks[0].Disk.CapacityBytes(); n != tt.disk || err != nil || disks[0].File.Href != tt.href || disks[0].Controller.Bus != tt.bus {
			t.Errorf("%s: capacity %d, %v, href %q, bus %q", tt.file, n, err, disks[0].File.Href, disks[0].Controller.Bus)
		}
	}
}
