package provider_test

import (
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestKeepsWhatOnly1xHas: what a template says in the words of 1.x is there
// when it is used.
func TestKeepsWhatOnly1xHas(t *testing.T) {
	p := open(t, t.TempDir(), provider.Options{})
	acc, err := p.Create(t.Context(), "machineTemplates", &cimi.MachineTemplate{NetworkInterfaces: []cimi.TemplateInterface{{State: "Active"}, {State: "Passive"}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Get(t.Context(), acc.Location, cimi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := r.(*cimi.MachineTemplate); !ok || len(m.NetworkInterfaces) != 2 || m.NetworkInterfaces[1].State != "Passive" {
		t.Errorf("kept %+v", r)
	}
}
