package recipe_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/recipe"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// shop is a recipe of two machines, one of them in a nested System, on two
// networks, with a disk each and one that they share.
func shop() *cimi.SystemTemplate {
	volume := func(name string, shared bool) *systemtemplate.Volume {
		return &systemtemplate.Volume{Name: name, CapacityBytes: 5000, Disk: &systemtemplate.Disk{OVFID: name, Href: name + ".raw", Shared: shared}}
	}
	front, back := &systemtemplate.Network{Name: "front"}, &systemtemplate.Network{Name: "back net"}
	both := volume("both", true)
	machine := func(name string, n *systemtemplate.Network, mac string, disabled bool) *systemtemplate.Machine {
		return &systemtemplate.Machine{Name: name, Quantity: 1, CPUs: 2, MemoryBytes: 1 << 20,
			Attachments: []*systemtemplate.Attachment{{Volume: volume(name+" disk", false)}, {Volume: both}},
			NICs:        []*systemtemplate.NIC{{MAC: mac, Disabled: disabled, Endpoints: []*systemtemplate.Endpoint{{Name: n.Name + "." + name, Network: n, Address: mac}}}}}
	}
	v := &systemtemplate.View{System: &systemtemplate.System{Name: "shop", Children: []systemtemplate.Child{
		{Machine: machine("db", back, "", true)},
		{System: &systemtemplate.System{Name: "inner", Quantity: 1, Children: []systemtemplate.Child{{Machine: machine("web", front, "00:50:56:00:00:01", false)}}}},
	}}, Networks: []*systemtemplate.Network{front, back}, Volumes: []*systemtemplate.Volume{both}}
	t, _ := systemtemplate.Template(v, systemtemplate.Options{})
	return t
}

// check compares the parts of a recipe that matter with what is expected, one a
// line.
func check(t *testing.T, what string, got *cimi.SystemTemplate, want ...string) {
	t.Helper()
	var b bytes.Buffer
	if err := cimi.EncodeJSON(&b, got); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), "")
	for _, w := range want {
		if no, ok := strings.CutPrefix(w, "!"); ok && strings.Contains(text, no) {
			t.Errorf("%s: holds %s\n%s", what, no, text)
		} else if !ok && !strings.Contains(text, w) {
			t.Errorf("%s: does not hold %s\n%s", what, w, text)
		}
	}
}

func TestAdapt(t *testing.T) {
	r := shop()
	recipe.Images(r, func(volume string) string {
		return map[string]string{"db disk": "images/1", "both": "images/2"}[volume]
	})
	recipe.Configurations(r, func(machine string) string { return map[string]string{"web": "configs/large"}[machine] })
	recipe.Storage(r, func(volume string) string { return map[string]string{"both": "configs/gold"}[volume] })
	check(t, "adapted", r, `"volumeImage":{"href":"images/1"}`, `"volumeImage":{"href":"images/2"}`, `!disk.raw`, `!both.raw`,
		`"machineConfig":{"href":"configs/large"}`, `"href":"configs/gold"`, `"capacity":5`)
}

func TestNetworks(t *testing.T) {
	there := func(network string) string { return map[string]string{"back net": "networks/7"}[network] }
	r := shop()
	recipe.Networks(r, cimi.V2, there)
	check(t, "2.0", r, `"network":{"href":"networks/7"}`, `"parent":{"href":"networks/7"}`, `"href":"#front.web"`, `!"#backnet.db"`, `!"name":"backnet.db"`)
	r = shop()
	recipe.Networks(r, cimi.V1, there)
	recipe.Version1(r)
	for _, d := range r.ComponentDescriptors {
		if d.Name == "back net" || strings.HasSuffix(d.Type, "/ProtocolEndpoint") {
			t.Errorf("1.x: %s is still there", d.Name)
		}
	}
	var states, networks []string
	for _, d := range r.ComponentDescriptors {
		if d.MachineTemplate != nil {
			for _, n := range d.MachineTemplate.Value.NetworkInterfaces {
				states, networks = append(states, n.State), append(networks, cimi.HrefOf(n.Network))
			}
		}
		if d.SystemTemplate != nil {
			n := d.SystemTemplate.Value.ComponentDescriptors[0].MachineTemplate.Value.NetworkInterfaces[0]
			states, networks = append(states, n.State), append(networks, cimi.HrefOf(n.Network))
		}
	}
	if strings.Join(states, " ") != "Passive Active" || strings.Join(networks, " ") != "networks/7 #front" {
		t.Errorf("1.x: cards %v on %v", states, networks)
	}
}

// TestParts: what a part refers to comes before it, and nothing is in two.
func TestParts(t *testing.T) {
	var names []string
	ids := map[string]string{}
	for _, d := range recipe.Parts(shop()) {
		recipe.ResolveIn(&d, func(name string) string { return ids[name] })
		ids[d.Name] = "made/" + d.Name
		names = append(names, d.Name)
		if d.MachineTemplate == nil {
			continue
		}
		m := d.MachineTemplate.Value
		if len(m.VolumeTemplates) != 0 || len(m.Volumes) != 2 || len(m.InterfaceTemplates) != 1 {
			t.Errorf("%s: %d, %d, %d", d.Name, len(m.VolumeTemplates), len(m.Volumes), len(m.InterfaceTemplates))
		}
		for _, v := range m.Volumes {
			if !strings.HasPrefix(v.Volume.Href, "made/") {
				t.Errorf("%s refers to %s", d.Name, v.Volume.Href)
			}
		}
		e := m.InterfaceTemplates[0].Value.Endpoints[0].Value
		if e == nil || !strings.HasPrefix(cimi.HrefOf(e.Parent), "made/") || d.Name == "web" && e.Address != "00:50:56:00:00:01" {
			t.Errorf("%s is connected by %+v", d.Name, e)
		}
	}
	if got := strings.Join(names, ", "); got != "front, back net, db disk, web disk, both, db, web" {
		t.Errorf("parts %s", got)
	}
}
