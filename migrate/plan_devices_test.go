package migrate_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestGuestsWithoutVirtio: the plan tells of the risk with drivers, and what of
// the devices that the guest knows the destination keeps, controller by
// controller and card by card; what arrives asks for the same ones.
func TestGuestsWithoutVirtio(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	sata, nvme := "vmware.sata.ahci", "vmware.nvme.controller"
	for _, c := range []struct {
		name       string
		controller ovf.Item
		card       string
		severity   ovf.Severity // of the finding; empty: there is none
		says       string
	}{
		{"SATA", ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: sata}, "E1000", ovf.Info, "sata vmware.sata.ahci, E1000, and perhaps no virtio; these devices are kept"},
		{"IDE", ovf.Item{ResourceType: ovf.ResourceIDE}, "E1000e", ovf.Info, "knows ide, E1000e"},
		{"pvscsi", ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, "VmxNet3", ovf.Info, "are kept"},
		{"SAS", ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogicsas"}, "PCNet32", ovf.Info, "are kept"},
		{"parallel SCSI", ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogic"}, "E1000", ovf.Warning, "the destination has no scsi lsilogic and gives it virtio"},
		{"BusLogic", ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "buslogic"}, "virtio", ovf.Warning, "no scsi buslogic"},
		{"virtio", ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtioSCSI"}, "VirtIO", "", ""},
		{"NVMe", ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: nvme}, "VmxNet3", ovf.Info, "are kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			c.controller.InstanceID, c.controller.Address = "3", "0"
			hw := hosttest.Hardware("", c.controller, hosttest.OnController("3", 0, "d"), ovf.Item{ResourceType: ovf.ResourceEthernet, ResourceSubType: c.card, Connection: []string{"lan"}, AutomaticAllocation: true})
			content := hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", Capacity: "1048576", PopulatedSize: -1}}, nil)
			if _, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, content), a.inProcess(), migrate.ImportOptions{Name: "shop"}); err != nil {
				t.Fatal(err)
			}
			for _, dst := range []migrate.Endpoint{b.inProcess(), b.remote()} {
				p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.inProcess(), Destination: dst, System: "shop"})
				if err != nil {
					t.Fatal(err)
				}
				f := finding(p, migrate.RuleDriver, "machine")
				switch {
				case c.severity == "" && f != nil, c.severity != "" && f == nil:
					t.Errorf("finding %+v", f)
				case f != nil && (f.Severity != c.severity || !strings.Contains(f.Message, c.says)):
					t.Errorf("%s: %s, want %s: %q", f.Severity, f.Message, c.severity, c.says)
				}
			}
			src, dst := a.inProcess(), b.remote()
			if _, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst}); err != nil {
				t.Fatal(err)
			}
			x, err := migrate.ExportPackage(t.Context(), dst, "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			text := make([]byte, 16<<10) // the descriptor comes first
			if _, err := x.Content.ReadAt(text, 0); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			for _, sub := range []string{c.controller.ResourceSubType, c.card} {
				if !bytes.Contains(text, []byte(sub)) {
					t.Errorf("what arrived does not ask for %s", sub)
				}
			}
		})
	}
}
