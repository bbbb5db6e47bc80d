package validate_test

import (
	"bytes"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// A damage is done to a sound descriptor; nil where there is nothing to be
// damaged so. The finding must have one of the rules, or reading must fail where
// none is given.
type damage struct {
	name, rules string
	do          func(*ovf.Envelope) []byte
}

// attr sets an attribute of the standard on the first element that pick gives.
func attr(local, value string, pick func(*ovf.Envelope) *ovf.Element) func(*ovf.Envelope) []byte {
	return func(e *ovf.Envelope) []byte {
		x := pick(e)
		if x == nil {
			return nil
		}
		x.SetAttr(local, value)
		return e.Bytes()
	}
}

func disk(want func(ovf.Disk) bool) func(*ovf.Envelope) *ovf.Element {
	return func(e *ovf.Envelope) *ovf.Element {
		for _, d := range e.Disks() {
			if want(d) {
				return &d.Element
			}
		}
		return nil
	}
}

func items(e *ovf.Envelope, want func(ovf.Item) bool) *ovf.Item {
	for _, vs := range e.VirtualSystems() {
		for _, h := range vs.Hardware() {
			for _, it := range h.Items() {
				if len(it.Configuration) == 0 && !it.Marker() && it.InstanceID != "" && want(it) {
					return &it
				}
			}
		}
	}
	return nil
}

func field(name, value string, want func(ovf.Item) bool) func(*ovf.Envelope) []byte {
	return func(e *ovf.Envelope) []byte {
		it := items(e, want)
		if it == nil || it.SetField(name, value) != nil {
			return nil
		}
		return e.Bytes()
	}
}

func anyDisk(ovf.Disk) bool            { return true }
func withFile(d ovf.Disk) bool         { return d.FileRef != "" && !d.Shared }
func has(f string) func(ovf.Item) bool { return func(it ovf.Item) bool { return it.Field(f) != "" } }
func is(t int) func(ovf.Item) bool {
	return func(it ovf.Item) bool { return it.ResourceType == t && it.Field("VirtualQuantity") != "" }
}

func file(e *ovf.Envelope) *ovf.Element {
	if f := e.Files(); len(f) > 0 {
		return &f[0].Element
	}
	return nil
}

// twice doubles the text of an element.
func twice(e *ovf.Envelope, x ovf.Element) []byte {
	raw := x.Node().Raw()
	return bytes.Replace(e.Bytes(), raw, append(bytes.Clone(raw), raw...), 1)
}

func property(e *ovf.Envelope) *ovf.Element {
	for x := range e.Contents() {
		for _, p := range x.Properties() {
			if p.Key != "" && p.Type != "" {
				return &p.Element
			}
		}
	}
	return nil
}

// cut removes the declaration of a namespace that Envelope uses.
func cut(what string) func(*ovf.Envelope) []byte {
	return func(e *ovf.Envelope) []byte {
		_, name, prefixed := strings.Cut(what, "xmlns:")
		name, _, _ = strings.Cut(name, "=")
		if b := e.Bytes(); bytes.Count(b, []byte(what)) == 1 && (!prefixed || bytes.Contains(b, []byte("<"+name+":"))) && (prefixed || !strings.Contains(e.Tree().Root().QName(), ":")) {
			return bytes.Replace(b, []byte(what), nil, 1)
		}
		return nil
	}
}

var damages = []damage{
	{"a fileRef that leads nowhere", "OVF-DISK-003", attr("fileRef", "nowhere", disk(withFile))},
	{"a HostResource that leads nowhere", "OVF-HW-007", field("HostResource", "ovf:/disk/nowhere", func(it ovf.Item) bool {
		return len(it.HostResource) == 1 && strings.Contains(it.HostResource[0], "/disk/")
	})},
	{"a network that is not there", "OVF-NET-003", field("Connection", "nowhere", func(it ovf.Item) bool { return it.ResourceType == 10 && len(it.Connection) == 1 })},
	{"an id twice: File", "OVF-REF-002", func(e *ovf.Envelope) []byte {
		f := e.Files()
		if len(f) < 2 {
			return nil
		}
		f[1].SetAttr("id", f[0].ID)
		return e.Bytes()
	}},
	{"an id twice: Disk", "OVF-DISK-002", func(e *ovf.Envelope) []byte {
		if d := e.Disks(); len(d) > 0 {
			return twice(e, d[0].Element)
		}
		return nil
	}},
	{"an InstanceID twice", "OVF-HW-005", func(e *ovf.Envelope) []byte {
		if it := items(e, func(ovf.Item) bool { return true }); it != nil {
			return twice(e, it.Element)
		}
		return nil
	}},
	{"a network twice", "OVF-NET-002", func(e *ovf.Envelope) []byte {
		if n := e.Networks(); len(n) > 0 {
			return twice(e, n[0].Element)
		}
		return nil
	}},
	{"a machine twice", "OVF-XML-005 OVF-ID-002", func(e *ovf.Envelope) []byte { return twice(e, e.VirtualSystems()[0].Element) }},
	{"a parent that is not there", "OVF-HW-006", field("Parent", "98765", has("Parent"))},
	{"parents in a circle", "OVF-HW-013", func(e *ovf.Envelope) []byte {
		it := items(e, has("Parent"))
		if it == nil || it.SetField("Parent", it.InstanceID) != nil {
			return nil
		}
		return e.Bytes()
	}},
	{"a disk on itself", "OVF-DISK-010", func(e *ovf.Envelope) []byte {
		x := e.Disks()
		if len(x) == 0 {
			return nil
		}
		x[0].SetAttr("parentRef", x[0].ID)
		return e.Bytes()
	}},
	{"a unit of disks that is none", "OVF-DISK-004", attr("capacityAllocationUnits", "byte * 3^", disk(anyDisk))},
	{"a unit of disks that measures time", "OVF-DISK-004", attr("capacityAllocationUnits", "second", disk(anyDisk))},
	{"a unit of memory that is none", "OVF-HW-011", field("AllocationUnits", "parsec * 3", is(ovf.ResourceMemory))},
	{"a capacity that is none", "OVF-DISK-004", attr("capacity", "ten", disk(anyDisk))},
	{"a negative capacity", "OVF-DISK-004", attr("capacity", "-1", disk(anyDisk))},
	{"a capacity beyond 2^64", "OVF-DISK-004", attr("capacity", "99999999999999999999999999", disk(anyDisk))},
	{"memory that is no number", "OVF-HW-011", field("VirtualQuantity", "lots", is(ovf.ResourceMemory))},
	{"processors that are no number", "OVF-HW-011", field("VirtualQuantity", "1.5", is(ovf.ResourceProcessor))},
	{"a type that is no number", "OVF-HW-021", field("ResourceType", "disk", has("ResourceType"))},
	{"a size that is none", "OVF-REF-005", attr("size", "-5", file)},
	{"chunks of nothing", "OVF-REF-006", attr("chunkSize", "0", file)},
	{"a compression that is none", "OVF-REF-007", attr("compression", "rar", file)},
	{"an href that leaves the package", "OVF-REF-008", attr("href", "../../etc/passwd", file)},
	{"an href of the machine", "OVF-REF-008", attr("href", "/etc/passwd", file)},
	{"an href of another drive", "OVF-REF-008", attr("href", `C:\windows\disk.vmdk`, file)},
	{"an href that hides its dots", "OVF-REF-008", attr("href", "%2e%2e/disk.vmdk", file)},
	{"an href of a file system", "OVF-REF-008", attr("href", "file:///etc/passwd", file)},
	{"an empty href", "OVF-REF-003", attr("href", "", file)},
	{"a configuration that is not there", "OVF-CFG-001", func(e *ovf.Envelope) []byte {
		it := items(e, func(ovf.Item) bool { return true })
		if it == nil {
			return nil
		}
		it.SetAttr("configuration", "nowhere")
		return e.Bytes()
	}},
	{"a property type that is none", "OVF-PROP-004", attr("type", "colour", property)},
	{"a property twice", "OVF-PROP-002", func(e *ovf.Envelope) []byte {
		if p := property(e); p != nil {
			return twice(e, *p)
		}
		return nil
	}},
	{"a property without a key", "OVF-PROP-001", attr("key", "", property)},
	{"a value that is not of its type", "OVF-PROP-005", func(e *ovf.Envelope) []byte {
		p := property(e)
		if p == nil {
			return nil
		}
		p.SetAttr("type", "uint8")
		p.SetAttr("value", "256")
		return e.Bytes()
	}},
	{"an unknown required section", "OVF-XML-014", func(e *ovf.Envelope) []byte {
		c, ok := e.Content()
		if !ok {
			return nil
		}
		raw := c.Node().Raw()
		section := `<z:NewSection xmlns:z="urn:new" xmlns:o="` + e.Namespace() + `" o:required="true"><o:Info>new</o:Info></z:NewSection>`
		return bytes.Replace(e.Bytes(), raw, append([]byte(section), raw...), 1)
	}},
	{"a required element of an Item", "OVF-XML-009", func(e *ovf.Envelope) []byte {
		it := items(e, func(ovf.Item) bool { return true })
		if it == nil {
			return nil
		}
		at := it.FieldNode("InstanceID").Raw()
		raw := it.Node().Raw()
		with := bytes.Replace(raw, at, append([]byte(`<z:New xmlns:z="urn:new" xmlns:o="`+e.Namespace()+`" o:required="true"/>`), at...), 1)
		return bytes.Replace(e.Bytes(), raw, with, 1)
	}},
	{"no hardware", "OVF-HW-001", func(e *ovf.Envelope) []byte {
		for _, vs := range e.VirtualSystems() {
			if h := vs.Hardware(); len(h) == 1 {
				h[0].Node().Remove()
				return e.Bytes()
			}
		}
		return nil
	}},
	{"no InstanceID", "OVF-HW-002", func(e *ovf.Envelope) []byte {
		if it := items(e, has("ElementName")); it != nil {
			it.FieldNode("InstanceID").Remove()
			return e.Bytes()
		}
		return nil
	}},
	{"no ResourceType", "OVF-HW-003", func(e *ovf.Envelope) []byte {
		if it := items(e, has("ResourceType")); it != nil {
			it.FieldNode("ResourceType").Remove()
			return e.Bytes()
		}
		return nil
	}},
	{"an end that is missing", "", func(e *ovf.Envelope) []byte { return e.Bytes()[:len(e.Bytes())*2/3] }},
	{"another text behind", "", func(e *ovf.Envelope) []byte { return append(bytes.Clone(e.Bytes()), "<more/>"...) }},
	{"an entity that is not declared", "", func(e *ovf.Envelope) []byte {
		return bytes.Replace(e.Bytes(), []byte("<Info>"), []byte("<Info>&undeclared;"), 1)
	}},
	{"a namespace that is not the standard's", "", func(e *ovf.Envelope) []byte {
		return bytes.ReplaceAll(e.Bytes(), []byte(e.Namespace()), []byte("urn:other"))
	}},
	{"a prefix that is not declared: ovf", "OVF-XML-017", cut(` xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"`)},
	{"a prefix that is not declared: rasd", "OVF-XML-017", cut(` xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"`)},
	{"no namespace", "OVF-XML-002", cut(` xmlns="http://schemas.dmtf.org/ovf/envelope/1"`)},
	{"StartupSection of another machine", "OVF-ID-003", func(e *ovf.Envelope) []byte {
		for x := range e.Contents() {
			if s := x.Startup(); len(s) > 0 {
				s[0].SetAttr("id", "nowhere")
				return e.Bytes()
			}
		}
		return nil
	}},
	{"an order that is no number", "OVF-XML-016", func(e *ovf.Envelope) []byte {
		for x := range e.Contents() {
			if s := x.Startup(); len(s) > 0 {
				s[0].SetAttr("order", "first")
				return e.Bytes()
			}
		}
		return nil
	}},
}

// A sound descriptor of every folder of the corpora is damaged in each way; each
// damage is an error that names it. Drafts, whose habits others forbid, are left out.
func TestDamage(t *testing.T) {
	explained := disagreements(t)
	done, folders := map[string]int{}, map[string]int{}
	for _, l := range labels(t) {
		if l.class != sound_ || explained[l.name].kind != "" {
			continue
		}
		b, err := os.ReadFile(l.path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte{0xFF, 0xFE}) || bytes.HasPrefix(b, []byte{0xFE, 0xFF}) {
			continue // the damages are of text in UTF-8
		}
		env, err := ovf.Parse(b)
		if err != nil || len(env.VirtualSystems()) == 0 || env.Version() == ovf.V09 || env.Version() == ovf.VOVirt {
			continue
		}
		if folders[path.Dir(l.name)]++; folders[path.Dir(l.name)] > 1 {
			continue
		}
		for _, d := range damages {
			damaged := d.do(env.Clone())
			if damaged == nil || bytes.Equal(damaged, b) {
				continue
			}
			done[d.name]++
			if again, err := ovf.Parse(damaged); err == nil && !finds(again, d.rules) {
				t.Errorf("%s: %s: no error finding of %q", l.name, d.name, d.rules)
			}
		}
	}
	for _, d := range damages {
		t.Logf("%-40s %4d descriptors", d.name, done[d.name])
		if done[d.name] == 0 {
			t.Errorf("no descriptor was damaged: %s", d.name)
		}
	}
}

func finds(env *ovf.Envelope, rules string) bool {
	for _, f := range validate.Validate(env, validate.Options{}) {
		if f.Severity == ovf.Error && strings.Contains(rules, f.ID) {
			return true
		}
	}
	return false
}
