package edit_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
)

// AC-25: fifty machines with random adapters. The order stays, addresses are
// kept, stripped or unique, and nothing passes from one machine to another.
func TestAC25FiftyMachines(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 25))
	seen := map[string]bool{}
	for i := range 50 {
		var items []ovf.Item
		var want []string
		for n := range 1 + r.IntN(4) {
			mac := fmt.Sprintf("52:54:00:%02x:%02x:%02x", i, n, r.IntN(256))
			if r.IntN(4) == 0 {
				mac = "" // no address is no collision
			}
			want = append(want, mac)
			items = append(items, ovf.Item{InstanceID: fmt.Sprint(9 - n), ResourceType: ovf.ResourceEthernet, Connection: []string{"lan"}, Address: mac})
		}
		build := func() *ovf.Envelope {
			e, err := ovf.NewEnvelope(ovf.Draft{Networks: []ovf.Network{{Name: "lan"}}, Content: ovf.DraftContent{ID: "vm", Hardware: []ovf.DraftHardware{{Items: items}}}})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		for _, policy := range []edit.MACPolicy{edit.KeepMAC, edit.RegenerateMAC, edit.StripMAC} {
			e := build()
			findings, err := edit.Apply(e, edit.Options{MAC: policy})
			if err != nil || len(findings) > 0 {
				t.Fatalf("%s: %v, %v", policy, findings, err)
			}
			h, _ := e.VirtualSystems()[0].HardwareFor(nil)
			var got []string
			for k, n := range h.NICs("") {
				got = append(got, n.Address)
				if n.InstanceID != fmt.Sprint(9-k) {
					t.Errorf("machine %d: adapter %d is %s", i, k, n.InstanceID)
				}
				if policy == edit.RegenerateMAC {
					if seen[n.Address] || n.Address == "" {
						t.Errorf("machine %d: address %q twice", i, n.Address)
					}
					seen[n.Address] = true
				}
			}
			switch {
			case policy == edit.KeepMAC && strings.Join(got, " ") != strings.Join(want, " "):
				t.Errorf("machine %d: kept %v, want %v", i, got, want)
			case policy == edit.StripMAC && strings.Join(got, "") != "":
				t.Errorf("machine %d: stripped %v", i, got)
			}
		}
	}
}
