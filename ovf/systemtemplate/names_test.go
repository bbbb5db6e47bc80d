package systemtemplate_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// checkNames asserts that names, the numbers of quantities included, are
// unique over the tree, and that every #name resolves outwards.
func checkNames(t testing.TB, st *cimi.SystemTemplate) {
	t.Helper()
	seen := map[string]bool{}
	take := func(name string) {
		if name == "" || seen[name] {
			t.Errorf("name %q is empty or stands twice", name)
		}
		seen[name] = true
	}
	var walk func(st *cimi.SystemTemplate, outer []map[string]bool)
	walk = func(st *cimi.SystemTemplate, outer []map[string]bool) {
		own := map[string]bool{}
		scopes := append(outer[:len(outer):len(outer)], own)
		for _, d := range st.ComponentDescriptors {
			own[d.Name] = true
			take(d.Name)
			if q := cimi.IntValue(d.Quantity); q > 1 {
				for i := range q {
					take(fmt.Sprintf("%s%d", d.Name, i+1))
				}
			}
		}
		resolve := func(href string) {
			name, err := url.PathUnescape(strings.TrimPrefix(href, "#"))
			if err != nil || !strings.HasPrefix(href, "#") {
				t.Errorf("reference %q", href)
			}
			for _, s := range scopes {
				if s[name] {
					return
				}
			}
			t.Errorf("reference %q names no component", href)
		}
		for _, d := range st.ComponentDescriptors {
			if d.SystemTemplate != nil {
				walk(d.SystemTemplate.Value, scopes)
			}
			if d.MachineTemplate != nil {
				m := d.MachineTemplate.Value
				for _, v := range m.Volumes {
					resolve(v.Volume.Href)
				}
				for _, v := range m.VolumeTemplates {
					take(v.VolumeTemplate.Value.Name)
				}
				for _, i := range m.InterfaceTemplates {
					for _, e := range i.Value.Endpoints {
						resolve(e.Href)
					}
				}
			}
			if d.NetworkTemplate != nil {
				for _, s := range d.NetworkTemplate.Value.SegmentTemplates {
					for _, e := range s.Value.Endpoints {
						resolve(e.Href)
					}
				}
			}
		}
	}
	walk(st, nil)
}

// TestNamesUnique tries names that collide with each other, with -2 and with
// the numbers of quantities.
func TestNamesUnique(t *testing.T) {
	pool := []string{"a", "a1", "a11", "a12", "a2", "a-2", "a-21", "b", "b10", "lan", "lan.a.1", "disk", "a 1", "ä#%20", ""}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		pick := func() string { return xmlEscaper.Replace(pool[r.IntN(len(pool))]) }
		var b strings.Builder
		b.WriteString(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2" xmlns:rasd="` + ovf.NSRASD + `"><References/><DiskSection>`)
		disks := 1 + r.IntN(4)
		for i := range disks {
			fmt.Fprintf(&b, `<Disk ovf:diskId="%s%d" ovf:capacity="1024"/>`, pick(), i)
		}
		b.WriteString(`</DiskSection><NetworkSection>`)
		for range r.IntN(3) {
			fmt.Fprintf(&b, `<Network ovf:name="%s"/>`, pick())
		}
		b.WriteString(`</NetworkSection>`)
		var collection func(depth int)
		n := 0
		collection = func(depth int) {
			n++
			fmt.Fprintf(&b, `<VirtualSystemCollection ovf:id="c%d"><Info/><Name>%s</Name>`, n, pick())
			count := 1 + r.IntN(4)
			var inner strings.Builder
			for range count {
				n++
				if r.IntN(2) == 0 {
					fmt.Fprintf(&b, `<ScaleOutSection ovf:id="v%d"><InstanceCount ovf:default="%d"/></ScaleOutSection>`, n, 1+r.IntN(14))
				}
				fmt.Fprintf(&inner, `<VirtualSystem ovf:id="v%d"><Info/><Name>%s</Name><VirtualHardwareSection><Info/>`, n, pick())
				for i := range r.IntN(3) {
					fmt.Fprintf(&inner, `<Item><rasd:Connection>%s</rasd:Connection><rasd:InstanceID>%d</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>`, pick(), i+10)
				}
				inner.WriteString(`</VirtualHardwareSection></VirtualSystem>`)
			}
			b.WriteString(inner.String())
			if depth < 3 && r.IntN(2) == 0 {
				collection(depth + 1)
			}
			b.WriteString(`</VirtualSystemCollection>`)
		}
		collection(0)
		b.WriteString(`</Envelope>`)
		env, err := ovf.Parse([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkNames(t, st)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, b.String())
		}
	}
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;")
