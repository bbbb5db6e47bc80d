package systemtemplate_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// site is a place of a template that can be edited.
type site struct {
	what string
	edit func(r *rand.Rand)
}

// sites lists what a user may edit in a template.
func sites(st *cimi.SystemTemplate) []site {
	var out []site
	add := func(what string, edit func(r *rand.Rand)) { out = append(out, site{what, edit}) }
	word := func(r *rand.Rand) string { return fmt.Sprintf("edited <%d> & “more”", r.Uint32()) }
	add("system name", func(r *rand.Rand) { st.Name = word(r) })
	add("system properties", func(r *rand.Rand) { st.Properties = map[string]string{"who": word(r)} })
	var walk func(st *cimi.SystemTemplate)
	walk = func(st *cimi.SystemTemplate) {
		for i := range st.ComponentDescriptors {
			d := &st.ComponentDescriptors[i]
			kind := d.Type[strings.LastIndexByte(d.Type, '/')+1:]
			if kind != "ProtocolEndpoint" && kind != "Volume" {
				// A volume's name is that of #references to it.
				add(kind+" name", func(r *rand.Rand) { d.Name = word(r) })
			}
			if kind != "ProtocolEndpoint" {
				add(kind+" description", func(r *rand.Rand) { d.Description = word(r) })
				add(kind+" properties", func(r *rand.Rand) { d.Properties = map[string]string{"k": word(r)} })
			}
			switch {
			case d.SystemTemplate != nil:
				walk(d.SystemTemplate.Value)
			case d.MachineTemplate != nil:
				m := d.MachineTemplate.Value
				c := m.MachineConfig.Value
				add("cpu", func(r *rand.Rand) { c.CPU = cimi.Int(int64(1 + r.IntN(64))) })
				add("memory", func(r *rand.Rand) { c.Memory = cimi.Int(1 + int64(r.IntN(1<<30))) })
				add("arch", func(r *rand.Rand) { c.CPUArch = "MIPS" })
				add("speed", func(r *rand.Rand) { c.CPUSpeed = cimi.Int(1 + int64(r.IntN(9999))) })
				add("user data", func(r *rand.Rand) { m.UserData = base64.StdEncoding.EncodeToString([]byte(word(r))) })
				for i := range m.VolumeTemplates {
					v := m.VolumeTemplates[i].VolumeTemplate.Value
					add("capacity", func(r *rand.Rand) { setCapacity(st, v, 1+int64(r.IntN(1<<40))) })
					add("volume name", func(r *rand.Rand) { v.Name = word(r) })
					add("location", func(r *rand.Rand) { m.VolumeTemplates[i].InitialLocation = "/dev/" + fmt.Sprint(r.Uint32()) })
				}
				for _, n := range m.InterfaceTemplates {
					// The endpoints follow the card.
					add("interface state", func(r *rand.Rand) {
						n.Value.InitialState = map[string]string{"ENABLED": "DISABLED", "DISABLED": "ENABLED"}[n.Value.InitialState]
					})
				}
				if m.ExtraValue(cimi.OVFStartup) != nil {
					add("startup", func(r *rand.Rand) {
						m.SetExtra(cimi.OVFStartup, systemtemplate.Startup{Order: r.IntN(9), StartDelay: 1 + r.IntN(99), StartAction: "none", StopAction: "powerOff"})
					})
				}
			case d.VolumeTemplate != nil:
				v := d.VolumeTemplate.Value
				add("top capacity", func(r *rand.Rand) { v.VolumeConfig.Value.Capacity = cimi.Int(1 + int64(r.IntN(1<<40))) })
			case d.ProtocolEndpointTemplate != nil:
				e := d.ProtocolEndpointTemplate.Value
				add("address", func(r *rand.Rand) {
					e.Origin, e.Address = "STATIC", fmt.Sprintf("00:50:56:%02x:%02x:%02x", r.IntN(64), r.IntN(256), r.IntN(256))
				})
				add("no address", func(r *rand.Rand) { e.Origin, e.Address = "DYNAMIC", "" })
			}
		}
	}
	walk(st)
	return out
}

// setCapacity sets it on all volumes of one disk, which have one capacity.
func setCapacity(st *cimi.SystemTemplate, v *cimi.VolumeTemplate, kb int64) {
	id := v.ExtraString(cimi.OVFID)
	eachMachine(st, func(m *cimi.MachineTemplate) {
		for _, x := range m.VolumeTemplates {
			if x.VolumeTemplate.Value.ExtraString(cimi.OVFID) == id {
				x.VolumeTemplate.Value.VolumeConfig.Value.Capacity = cimi.Int(kb)
			}
		}
	})
}

func eachMachine(st *cimi.SystemTemplate, f func(*cimi.MachineTemplate)) {
	for _, d := range st.ComponentDescriptors {
		if d.SystemTemplate != nil {
			eachMachine(d.SystemTemplate.Value, f)
		}
		if d.MachineTemplate != nil {
			f(d.MachineTemplate.Value)
		}
	}
}

// plain is the JSON of a template without its descriptor. Endpoints have names
// and states that follow from network, machine and card: they are numbered.
func plain(t testing.TB, st *cimi.SystemTemplate) string {
	t.Helper()
	var b bytes.Buffer
	if err := cimi.EncodeJSON(&b, st); err != nil {
		t.Fatal(err)
	}
	r, err := cimi.DecodeJSON(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	st = r.(*cimi.SystemTemplate)
	st.SetExtra(cimi.OVFDescriptor, nil)
	eachMachine(st, func(m *cimi.MachineTemplate) {
		// What user data is, is told by its own attribute.
		if p, ok := m.ExtraValue(cimi.OVFProperties).(map[string]any); ok {
			delete(p, "user-data")
			if len(p) == 0 {
				m.SetExtra(cimi.OVFProperties, nil)
			} else {
				m.SetExtra(cimi.OVFProperties, p)
			}
		}
	})
	rename := map[string]string{}
	for i := range st.ComponentDescriptors {
		d := &st.ComponentDescriptors[i]
		if d.ProtocolEndpointTemplate != nil {
			name := fmt.Sprintf("endpoint%d", i)
			rename[systemtemplate.Reference(d.Name)] = systemtemplate.Reference(name)
			d.Name = name
			d.ProtocolEndpointTemplate.Value.InitialState = ""
		}
	}
	number := func(refs []cimi.Ref[cimi.ProtocolEndpoint]) {
		for i := range refs {
			refs[i].Href = rename[refs[i].Href]
		}
	}
	eachMachine(st, func(m *cimi.MachineTemplate) {
		for _, n := range m.InterfaceTemplates {
			number(n.Value.Endpoints)
		}
	})
	for _, d := range st.ComponentDescriptors {
		if d.NetworkTemplate != nil {
			for _, s := range d.NetworkTemplate.Value.SegmentTemplates {
				number(s.Value.Endpoints)
			}
		}
	}
	b.Reset()
	if err := cimi.EncodeJSON(&b, st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// network ids follow their names: an edited name is the new id.
func followNames(st *cimi.SystemTemplate) {
	for _, d := range st.ComponentDescriptors {
		if d.NetworkTemplate != nil && strings.HasPrefix(d.Name, "edited") {
			d.NetworkTemplate.Value.SetExtra(cimi.OVFID, d.Name)
		}
	}
}

// TestEditAndImport edits one place of a template, takes it back to OVF and
// imports that: the edited value is there, and all else is as it was.
func TestEditAndImport(t *testing.T) {
	tried := map[string]int{}
	valid := map[string]*ovf.Envelope{}
	all := samples(t)
	paths := slices.Sorted(func(yield func(string) bool) {
		for p := range all {
			if !yield(p) {
				return
			}
		}
	})
	for _, path := range paths {
		b := all[path]
		// What is tried of a descriptor is told by itself, not by what else there is.
		pick := ovftest.Lot(b)
		env, err := ovf.Parse(b)
		if err != nil || env.Version() != ovf.V1 && env.Version() != ovf.V2 {
			continue
		}
		fresh := func() *cimi.SystemTemplate {
			st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
			if err != nil {
				return nil
			}
			return st
		}
		st := fresh()
		if st == nil || len(st.ComponentDescriptors) == 0 {
			continue
		}
		n := len(sites(st))
		for k := range n {
			if !strings.HasPrefix(path, "testdata") && k%15 != pick%15 {
				continue
			}
			st := fresh()
			s := sites(st)[k]
			r := rand.New(rand.NewPCG(uint64(pick), uint64(k)))
			s.edit(r)
			back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
			if err != nil {
				t.Errorf("%s: %s: %v", path, s.what, err)
				continue
			}
			again, _, err := systemtemplate.FromEnvelope(back, systemtemplate.Options{})
			if err != nil {
				t.Errorf("%s: %s: %v", path, s.what, err)
				continue
			}
			followNames(st)
			if want, got := plain(t, st), plain(t, again); want != got {
				t.Errorf("%s: %s:\n%s", path, s.what, firstDifference([]byte(want), []byte(got)))
			}
			tried[s.what]++
			if strings.HasPrefix(path, "testdata") {
				valid[fmt.Sprintf("%s: %s %d", path, s.what, k)] = back
			}
		}
	}
	validateAll(t, valid)
	var list []string
	for k, v := range tried {
		list = append(list, fmt.Sprintf("%s %d", k, v))
	}
	sort.Strings(list)
	t.Log(strings.Join(list, ", "))
}
