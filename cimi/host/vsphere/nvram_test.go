package vsphere_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestAC13ForeignVariables: the variables of the firmware of a machine that
// others made come along: from the lease where that has them, else from the
// datastore. Where they cannot be read that is told, and the rest goes out.
func TestAC13ForeignVariables(t *testing.T) {
	ovftest.Slow(t)
	for name, c := range map[string]struct {
		lease  bool
		status int
		want   string
	}{"datastore": {want: "from the datastore"}, "lease": {lease: true, want: "from the lease"}, "refused": {lease: true, status: 403}} {
		v := vctest.New(t, vctest.Options{})
		made(t, v, "by hand")
		if err := v.SetNVRAM("by hand", []byte("from the "+name), c.lease); err != nil {
			t.Fatal(err)
		}
		v.NFC(func(_, file string) int {
			if strings.HasSuffix(file, ".nvram") {
				return c.status
			}
			return 0
		})
		h := open(t, v, "")
		x, err := h.Export(context.Background(), shown(t, h, "by hand").ID, host.ExportOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b := make([]byte, x.Size())
		if err := disk.ReadFull(x, b, 0); err != nil {
			t.Fatal(err)
		}
		hosttest.ValidDescriptor(t, b)
		told := slices.ContainsFunc(x.Findings(), func(f ovf.Finding) bool { return f.ID == "VSPHERE-NVRAM-001" })
		if told != (c.want == "") {
			t.Errorf("%s: that they stay behind is told: %v", name, told)
		}
		pkg := hosttest.Package(t, b)
		machine := pkg.Envelope().VirtualSystems()[0]
		file, has := machine.Hardware()[0].NVRAM()
		if has != (c.want != "") {
			t.Errorf("%s: the package has variables: %v", name, has)
		}
		if got := hosttest.Files(t, b)[file.Href]; has && got != c.want {
			t.Errorf("%s: %s holds %q, want %q", name, file.Href, got, c.want)
		}
		v.NFC(nil)
		again, err := h.Export(context.Background(), shown(t, h, "by hand").ID, host.ExportOptions{Frozen: state(t, x)})
		if err != nil {
			t.Fatalf("%s: the same package again: %v", name, err)
		}
		second := make([]byte, again.Size())
		if err := disk.ReadFull(again, second, 0); err != nil || !bytes.Equal(second, b) {
			t.Errorf("%s: the same package has other bytes: %v", name, err)
		}
		if err := errors.Join(x.Close(), again.Close(), h.Close()); err != nil {
			t.Error(err)
		}
		if !has {
			continue
		}
		h = open(t, v, "")
		hosttest.Importing(t, h, b, host.ImportOptions{Name: "back"})
		if extra(v.Machine("back"), "nvram") != "back.nvram" {
			t.Errorf("%s: back, the machine has no variables", name)
		}
		h.Close()
	}
}

func state(t *testing.T, x host.Export) []byte {
	t.Helper()
	b, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
