package local_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
)

// TestFileListedTwice: two disks whose Files are one file both have its content,
// at the first import and after an export.
func TestFileListedTwice(t *testing.T) {
	h := open(t, t.TempDir())
	data := hosttest.Content(4, 2<<20)
	size := fmt.Sprint(len(data))
	hw := hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI}, hosttest.OnController("3", 0, "a"), hosttest.OnController("3", 1, "b"))
	archive := hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "a", FileRef: "f", Capacity: size, PopulatedSize: -1}, {ID: "b", FileRef: "g", Capacity: size, PopulatedSize: -1}},
		[]ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}, {ID: "g", Href: "d.img", Size: int64(len(data))}}, [2]string{"d.img", string(data)})
	for _, name := range []string{"first", "second"} {
		s, _ := hosttest.Importing(t, h, archive, host.ImportOptions{Name: name})
		if len(s.Disks) != 2 {
			t.Fatalf("%s: %d disks", name, len(s.Disks))
		}
		for _, d := range s.Disks {
			img, err := h.OpenDisk(context.Background(), d.ID)
			if err != nil {
				t.Fatalf("%s: disk %s: %v", name, d.OVFID, err)
			}
			got := make([]byte, len(data))
			if _, err := img.ReadAt(got, 0); err != nil || string(got) != string(data) {
				t.Errorf("%s: disk %s has other content: %v", name, d.OVFID, err)
			}
			img.Close()
		}
		archive = hosttest.Exported(t, h, s.ID)
	}
}
