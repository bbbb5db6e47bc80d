package vsphere_test

import (
	"context"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
)

// TestFewCalls: what a command asks the vCenter before and after its transfer is
// asked once. Of machines that are none of ours nothing but names and snapshots
// is read to open a datacenter: their configurations are most of what it holds.
func TestFewCalls(t *testing.T) {
	v := vctest.New(t, vctest.Options{Machines: 3})
	archive := hosttest.NewSample(t, "appliance", 1).OVA(t)
	calls := func(f func()) map[string]int {
		before := v.AllCalls()
		f()
		after := v.AllCalls()
		for name := range after {
			after[name] -= before[name]
		}
		return after
	}
	for _, first := range []bool{true, false} {
		var opened host.Host
		n := calls(func() { opened = open(t, v, "") })
		// The place is looked for by steps that build on each other.
		if n["RetrievePropertiesEx"] > 15 || n["CreateContainerView"] > 1 || n["SearchDatastore_Task"] > 1 {
			t.Errorf("to open it took %v", n)
		}
		n = calls(func() {
			if _, err := opened.Import(context.Background(), hosttest.Package(t, archive), host.ImportOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		// Whether the folder of records is there is asked where nothing was
		// written to it a moment ago.
		if n["CreateContainerView"] > 1 || n["SearchDatastore_Task"] > 2 {
			t.Errorf("to import, the first time %v, took %v", first, n)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
}
