package systemtemplate_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// TestByReference: what is given by href alone is unknown, not removed.
func TestByReference(t *testing.T) {
	for name, edit := range map[string]func(*cimi.SystemTemplate){
		"machine": func(st *cimi.SystemTemplate) {
			st.ComponentDescriptors[0].MachineTemplate = cimi.RefTo[cimi.MachineTemplate]("http://cloud/templates/1")
		},
		"overrides": func(st *cimi.SystemTemplate) {
			st.ComponentDescriptors[0].MachineTemplate = &cimi.Ref[cimi.MachineTemplate]{Href: "http://cloud/templates/1", Value: &cimi.MachineTemplate{}}
		},
		"volume": func(st *cimi.SystemTemplate) {
			st.ComponentDescriptors[0].MachineTemplate.Value.VolumeTemplates[0].VolumeTemplate = cimi.RefTo[cimi.VolumeTemplate]("http://cloud/v")
		},
		"image": func(st *cimi.SystemTemplate) {
			st.ComponentDescriptors[0].MachineTemplate.Value.VolumeTemplates[0].VolumeTemplate.Value.VolumeImage = cimi.RefTo[cimi.VolumeImage]("http://cloud/i")
		},
		"interface": func(st *cimi.SystemTemplate) {
			st.ComponentDescriptors[0].MachineTemplate.Value.InterfaceTemplates[0] = cimi.Ref[cimi.NetworkInterfaceTemplate]{Href: "http://cloud/n"}
		},
	} {
		_, err := tryEdit(t, "two-tier", systemtemplate.Options{}, edit)
		var refused *systemtemplate.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "http://cloud/") {
			t.Errorf("%s: %v, want a RefusedError that names the reference", name, err)
		}
	}
	// Expanded, it is as good as by value.
	b, err := os.ReadFile("testdata/two-tier.ovf")
	if err != nil {
		t.Fatal(err)
	}
	env := edited(t, "two-tier", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		m := st.ComponentDescriptors[0].MachineTemplate
		m.Href, m.Value.ID = "http://cloud/templates/1", "http://cloud/templates/1"
	})
	if !bytes.Equal(env.Bytes(), b) {
		t.Error(firstDifference(b, env.Bytes()))
	}
}

// TestLackingDestination: templates for lesser clouds find their way back too,
// as long as they may carry the descriptor.
func TestLackingDestination(t *testing.T) {
	for path, b := range samples(t) {
		env, err := ovf.Parse(b)
		if err != nil {
			continue
		}
		opts := systemtemplate.Options{Lacks: systemtemplate.Lacks{BootVolumes: true, ValueScopes: true, SharedVolumes: true}}
		st, _, err := systemtemplate.FromEnvelope(env, opts)
		if err != nil {
			continue
		}
		back, _, err := systemtemplate.ToEnvelope(st, opts)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !bytes.Equal(back.Bytes(), b) {
			t.Errorf("%s:\n%s", path, firstDifference(b, back.Bytes()))
		}
	}
}

// TestNamesReachOutward: an inner template refers to components of the
// enclosing one, and its own come first.
func TestNamesReachOutward(t *testing.T) {
	segment := func(endpoint string) *cimi.Ref[cimi.NetworkTemplate] {
		return cimi.RefBy(&cimi.NetworkTemplate{SegmentTemplates: []cimi.Ref[cimi.ProtocolSegmentTemplate]{
			*cimi.RefBy(&cimi.ProtocolSegmentTemplate{Protocol: "Ethernet", Endpoints: []cimi.Ref[cimi.ProtocolEndpoint]{{Href: endpoint}}})}})
	}
	endpoint := func(mac string) *cimi.Ref[cimi.ProtocolEndpointTemplate] {
		return cimi.RefBy(&cimi.ProtocolEndpointTemplate{Origin: "STATIC", Address: mac})
	}
	st := &cimi.SystemTemplate{Common: cimi.Common{Name: "outer"}, ComponentDescriptors: []cimi.ComponentDescriptor{
		{Name: "inner", SystemTemplate: cimi.RefBy(&cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{
			newMachine("a", "e"), newMachine("b", "f%20g"),
			{Name: "e", ProtocolEndpointTemplate: endpoint("00:00:00:00:00:02")},
			{Name: "own", NetworkTemplate: segment("#e")},
		}})},
		{Name: "e", ProtocolEndpointTemplate: endpoint("00:00:00:00:00:01")},
		{Name: "f g", ProtocolEndpointTemplate: endpoint("00:00:00:00:00:03")},
		{Name: "far", NetworkTemplate: segment("#f%20g")},
	}}
	env, findings, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	validate(t, "nested", env)
	v := read(t, env, "")
	a, b := machineNamed(t, v, "a").NICs[0], machineNamed(t, v, "b").NICs[0]
	if a.MAC != "00:00:00:00:00:02" || a.Endpoints[0].Network.Name != "own" || b.MAC != "00:00:00:00:00:03" || b.Endpoints[0].Network.Name != "far" {
		t.Errorf("a: %+v, b: %+v\n%v\n%s", a, b, findings, env.Bytes())
	}
}

func TestHostileTemplates(t *testing.T) {
	deep := &cimi.SystemTemplate{}
	for range 200 {
		deep = &cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{{Name: "x", SystemTemplate: cimi.RefBy(deep)}}}
	}
	many := &cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{newMachine("m", "e")}}
	many.ComponentDescriptors[0].Quantity = cimi.Int(1 << 40)
	large := &cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{newMachine("m", "e")}}
	large.ComponentDescriptors[0].MachineTemplate.Value.MachineConfig.Value.Memory = cimi.Int(1 << 62)
	broken := &cimi.SystemTemplate{}
	broken.SetExtra(cimi.OVFDescriptor, "PEVudmVsb3BlLz4=")
	for name, st := range map[string]*cimi.SystemTemplate{"deep": deep, "many": many, "large": large, "broken descriptor": broken, "empty": {}} {
		if _, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{}); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}
