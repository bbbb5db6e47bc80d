package provider_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

func TestTemplates(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	acc, err := p.ImportPackage(context.Background(), "systemTemplates", hosttest.Package(t, sample.OVA(t)), &cimi.Action{})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	template := get[*cimi.SystemTemplate](t, p, acc.Location)
	if template.Name != "appliance" || len(template.ComponentDescriptors) < 4 {
		t.Errorf("template %q has %d descriptors", template.Name, len(template.ComponentDescriptors))
	}
	// Its package is kept, so that Systems made from it have their content.
	create := &cimi.SystemCreate{SystemTemplate: cimi.RefTo[cimi.SystemTemplate](acc.Location)}
	create.Name = "from-template"
	if acc, err = p.Create(context.Background(), "systems", create); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	imported := succeeded(t, p, sample, nil)
	if got, want := digests(t, p, acc.Location), digests(t, p, imported); !slices.Equal(got, want) {
		t.Errorf("disks of a System from the template: %v, imported: %v", got, want)
	}
	if m := list(t, p, "machineTemplates"); len(m) != 2 || cimi.HrefOf(m[0].(*cimi.MachineTemplate).MachineConfig) == "" {
		t.Errorf("%d MachineTemplates, want one for each machine, with its MachineConfiguration (Annex A)", len(m))
	}
	// One of our own, with a blank disk, is a System.
	machine := &cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(3), Memory: cimi.Int(2048)}),
		VolumeTemplates: []cimi.TemplateVolumeTemplate{{VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1000)})})}}}
	own := &cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{{Name: "worker", Type: cimi.TypeURI("Machine"), MachineTemplate: cimi.RefBy(machine)}}}
	own.Name = "native"
	stored, err := p.Create(context.Background(), "systemTemplates", own)
	if err != nil {
		t.Fatal(err)
	}
	create.SystemTemplate, create.Name = cimi.RefTo[cimi.SystemTemplate](stored.Location), "made"
	if acc, err = p.Create(context.Background(), "systems", create); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	if m := list(t, p, acc.Location+"/machines")[0].(*cimi.Machine); *m.CPU != 3 || *m.Memory != 2048 {
		t.Errorf("machine is %+v", m)
	}
	if v := list(t, p, acc.Location+"/volumes"); len(v) != 1 || *v[0].(*cimi.Volume).Capacity != 1000 {
		t.Errorf("%d volumes, capacity %d", len(v), *v[0].(*cimi.Volume).Capacity)
	}
	if s := get[*cimi.System](t, p, acc.Location); s.Name != "made" {
		t.Errorf("System is called %q", s.Name)
	}
	export(t, p, acc.Location)
}

// digests are the content digests of a System's volumes, sorted.
func digests(t testing.TB, p cimi.Provider, system string) []string {
	var out []string
	for _, v := range list(t, p, system+"/volumes") {
		out = append(out, fmt.Sprint(v.Base().ExtraValue(cimi.ContentDigest)))
	}
	slices.Sort(out)
	return out
}
