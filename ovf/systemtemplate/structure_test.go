package systemtemplate_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// edited takes a template of testdata through an edit and back to OVF.
func edited(t *testing.T, file string, opts systemtemplate.Options, edit func(*cimi.SystemTemplate)) *ovf.Envelope {
	t.Helper()
	env, err := tryEdit(t, file, opts, edit)
	if err != nil {
		t.Fatal(err)
	}
	validate(t, file, env)
	return env
}

func tryEdit(t *testing.T, file string, opts systemtemplate.Options, edit func(*cimi.SystemTemplate)) (*ovf.Envelope, error) {
	t.Helper()
	st, _, err := systemtemplate.FromEnvelope(parse(t, "testdata/"+file+".ovf"), opts)
	if err != nil {
		t.Fatal(err)
	}
	edit(st)
	env, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
	return env, err
}

func component(st *cimi.SystemTemplate, name string) *cimi.ComponentDescriptor {
	i := slices.IndexFunc(st.ComponentDescriptors, func(d cimi.ComponentDescriptor) bool { return d.Name == name })
	return &st.ComponentDescriptors[i]
}

func read(t *testing.T, env *ovf.Envelope, configuration string) *systemtemplate.View {
	t.Helper()
	v, _, err := systemtemplate.Read(env, systemtemplate.Options{Configuration: configuration})
	if err != nil {
		t.Fatalf("%v\n%s", err, env.Bytes())
	}
	return v
}

func machineNamed(t *testing.T, v *systemtemplate.View, name string) *systemtemplate.Machine {
	t.Helper()
	for _, m := range v.System.AllMachines() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no machine %q", name)
	return nil
}

// newMachine is a machine with a disk and a card on a network, native to CIMI.
func newMachine(name, endpoint string) cimi.ComponentDescriptor {
	return cimi.ComponentDescriptor{Name: name, Type: cimi.TypeURI("Machine"), MachineTemplate: cimi.RefBy(&cimi.MachineTemplate{
		MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(2), Memory: cimi.Int(1 << 20)}),
		VolumeTemplates: []cimi.TemplateVolumeTemplate{{VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{
			Common:       cimi.Common{Name: name + "-disk"},
			VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1024)}),
			VolumeImage:  cimi.RefBy(&cimi.VolumeImage{ImageLocation: name + ".vmdk", Bootable: cimi.Bool(true)}),
		})}},
		InterfaceTemplates: []cimi.Ref[cimi.NetworkInterfaceTemplate]{*cimi.RefBy(&cimi.NetworkInterfaceTemplate{
			InitialState: cimi.StateEnabled, Endpoints: []cimi.Ref[cimi.ProtocolEndpoint]{{Href: "#" + endpoint}}})},
	})}
}

func addMachine(st *cimi.SystemTemplate, name, network string) {
	endpoint := network + "." + name + ".1"
	s := component(st, network).NetworkTemplate.Value.SegmentTemplates[0].Value
	s.Endpoints = append(s.Endpoints, cimi.Ref[cimi.ProtocolEndpoint]{Href: "#" + endpoint})
	st.ComponentDescriptors = append(st.ComponentDescriptors, newMachine(name, endpoint), cimi.ComponentDescriptor{
		Name: endpoint, Type: cimi.TypeURI("ProtocolEndpoint"),
		ProtocolEndpointTemplate: cimi.RefBy(&cimi.ProtocolEndpointTemplate{Address: "00:50:56:01:02:03", Origin: "STATIC"})})
}

func TestAddMachine(t *testing.T) {
	for file, network := range map[string]string{"two-tier": "back", "hardware-sections": "lan", "shared-disk": "lan"} {
		env := edited(t, file, systemtemplate.Options{}, func(st *cimi.SystemTemplate) { addMachine(st, "extra", network) })
		v := read(t, env, "")
		m := machineNamed(t, v, "extra")
		if v.Single || m.CPUs != 2 || m.MemoryBytes != 1<<30 || len(m.Attachments) != 1 || len(m.NICs) != 1 ||
			m.Attachments[0].Volume.Name != "extra-disk" || !m.Attachments[0].Volume.Bootable ||
			m.NICs[0].MAC != "00:50:56:01:02:03" || m.NICs[0].Endpoints[0].Network.Name != network {
			t.Errorf("%s: %+v\n%s", file, m, env.Bytes())
		}
		before := read(t, parse(t, "testdata/"+file+".ovf"), "")
		if got, want := len(v.System.AllMachines()), len(before.System.AllMachines())+1; got != want || v.System.Name != before.System.Name {
			t.Errorf("%s: %d machines in %q, want %d in %q", file, got, v.System.Name, want, before.System.Name)
		}
	}
}

func TestRemoveMachine(t *testing.T) {
	env := edited(t, "two-tier", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		st.ComponentDescriptors = slices.DeleteFunc(st.ComponentDescriptors, func(d cimi.ComponentDescriptor) bool { return d.Name == "web" })
	})
	text := string(env.Bytes())
	for _, gone := range []string{`ovf:id="web"`, "web-root", "web.vmdk", "00:50:56:00:00:01"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still there:\n%s", gone, text)
		}
	}
	for _, kept := range []string{"db-root", "db.vmdk", `ovf:id="data" ovf:order="1"`, "front end"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s is gone:\n%s", kept, text)
		}
	}
}

func TestRemoveDiskAndCard(t *testing.T) {
	env := edited(t, "three-nics", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		m := st.ComponentDescriptors[0].MachineTemplate.Value
		m.VolumeTemplates = slices.DeleteFunc(m.VolumeTemplates, func(v cimi.TemplateVolumeTemplate) bool { return v.VolumeTemplate.Value.Name == "delta" })
		m.InterfaceTemplates = m.InterfaceTemplates[1:]
		st.ComponentDescriptors = slices.DeleteFunc(st.ComponentDescriptors, func(d cimi.ComponentDescriptor) bool {
			return d.Name == "spare" || strings.HasPrefix(d.Name, "a/b")
		})
	})
	text := string(env.Bytes())
	for _, gone := range []string{"delta", `"base"`, "base.vmdk", "spare", "a/b", "00:0a"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is still there:\n%s", gone, text)
		}
	}
	m := read(t, env, "").System.Machines()[0]
	if len(m.Attachments) != 2 || len(m.NICs) != 2 {
		t.Errorf("%d disks, %d cards", len(m.Attachments), len(m.NICs))
	}
}

// TestOtherConfigurations: an edit under one configuration is none under others.
func TestOtherConfigurations(t *testing.T) {
	for _, config := range []string{"small", "large", "huge"} {
		env := edited(t, "deployment-options", systemtemplate.Options{Configuration: config}, func(st *cimi.SystemTemplate) {
			m := st.ComponentDescriptors[0].MachineTemplate.Value
			m.MachineConfig.Value.CPU, m.MachineConfig.Value.Memory = cimi.Int(7), cimi.Int(777)
			m.SetExtra(cimi.OVFProperties, map[string]string{"mode": "slow"})
			st.ComponentDescriptors[2].ProtocolEndpointTemplate.Value.Address = "00:50:56:00:00:77"
			st.ComponentDescriptors[2].ProtocolEndpointTemplate.Value.Origin = "STATIC"
			m.VolumeTemplates = m.VolumeTemplates[:1]
		})
		before := parse(t, "testdata/deployment-options.ovf")
		for _, c := range []string{"small", "large", "huge"} {
			is, was := read(t, env, c).System.Machines()[0], read(t, before, c).System.Machines()[0]
			if c == config {
				if is.CPUs != 7 || is.MemoryBytes != 777*1024 || is.Properties[1].Value != "slow" || is.NICs[0].MAC != "00:50:56:00:00:77" || len(is.Attachments) != 1 {
					t.Errorf("%s edited: %d, %d, %v\n%s", c, is.CPUs, is.MemoryBytes, is.Properties, env.Bytes())
				}
				continue
			}
			if is.CPUs != was.CPUs || is.MemoryBytes != was.MemoryBytes || is.Properties[1].Value != "fast" || is.NICs[0].MAC != "" || len(is.Attachments) != 2 {
				t.Errorf("%s, while %s was edited: %d, %d, %v\n%s", c, config, is.CPUs, is.MemoryBytes, is.Properties, env.Bytes())
			}
		}
	}
}

// TestMarkersWithoutUnits: a range marker that counts in its memory's unit keeps its
// value when that unit changes, in the configuration that is edited and in others.
func TestMarkersWithoutUnits(t *testing.T) {
	b, err := os.ReadFile("testdata/deployment-options.ovf")
	if err != nil {
		t.Fatal(err)
	}
	marker := regexp.MustCompile(`(<Item ovf:bound="m..">)\s*<rasd:AllocationUnits>[^<]*</rasd:AllocationUnits>`)
	if b = marker.ReplaceAll(b, []byte("$1")); bytes.Count(b, []byte("AllocationUnits>")) == 0 {
		t.Fatal("no memory has units")
	}
	before, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"small", "large", "huge"} {
		st, _, err := systemtemplate.FromEnvelope(before, systemtemplate.Options{Configuration: config})
		if err != nil {
			t.Fatal(err)
		}
		st.ComponentDescriptors[0].MachineTemplate.Value.MachineConfig.Value.Memory = cimi.Int(777)
		env, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"small", "large", "huge"} {
			is, was := read(t, env, c).System.Machines()[0].MemoryRange, read(t, before, c).System.Machines()[0].MemoryRange
			if (is == nil) != (was == nil) || was != nil && (*is.Max != *was.Max || c != config && *is.Min != *was.Min || *is.Min%1024 != 0) {
				t.Errorf("%s, while %s was edited: %v, was %v\n%s", c, config, is, was, env.Bytes())
			}
		}
	}
}

func TestProperties(t *testing.T) {
	set := func(key, value string) func(*cimi.SystemTemplate) {
		return func(st *cimi.SystemTemplate) { st.SetExtra(cimi.OVFProperties, map[string]string{key: value}) }
	}
	env := edited(t, "two-tier", systemtemplate.Options{}, set("org.example.shop.secret", "new"))
	if !strings.Contains(string(env.Bytes()), `ovf:value="new"`) {
		t.Error("a password cannot be written")
	}
	for _, key := range []string{"org.example.shop.fixed", "nobody"} {
		var refused *systemtemplate.RefusedError
		if _, err := tryEdit(t, "two-tier", systemtemplate.Options{}, set(key, "x")); !errors.As(err, &refused) {
			t.Errorf("%s: %v, want a RefusedError", key, err)
		}
	}
	st, _, err := systemtemplate.FromEnvelope(parse(t, "testdata/two-tier.ovf"), systemtemplate.Options{Properties: map[string]string{"shop/org.example.shop.title": "Ours"}})
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
	if err != nil || !strings.Contains(string(back.Bytes()), `ovf:value="Ours"`) {
		t.Errorf("a value given at import: %v", err)
	}
	_, _, err = systemtemplate.Read(parse(t, "testdata/two-tier.ovf"), systemtemplate.Options{Properties: map[string]string{"org.example.shop.fixed": "x"}})
	var refused *systemtemplate.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("%v, want a RefusedError", err)
	}
}

// TestMoveToNetwork plugs a card into another network, a new one.
func TestMoveToNetwork(t *testing.T) {
	env := edited(t, "three-nics", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		lan := component(st, "lan").NetworkTemplate.Value.SegmentTemplates[0].Value
		moved := lan.Endpoints[1]
		lan.Endpoints = lan.Endpoints[:1]
		st.ComponentDescriptors = append(st.ComponentDescriptors, cimi.ComponentDescriptor{Name: "dmz", Type: cimi.TypeURI("Network"),
			NetworkTemplate: cimi.RefBy(&cimi.NetworkTemplate{SegmentTemplates: []cimi.Ref[cimi.ProtocolSegmentTemplate]{
				*cimi.RefBy(&cimi.ProtocolSegmentTemplate{Protocol: "Ethernet", Endpoints: []cimi.Ref[cimi.ProtocolEndpoint]{moved}})}})})
	})
	m := read(t, env, "").System.Machines()[0]
	if got := m.NICs[2].Endpoints[0].Network.OVFID; got != "dmz" {
		t.Errorf("the card is on %q", got)
	}
	if got := m.NICs[1].Endpoints[0].Network.OVFID; got != "lan" {
		t.Errorf("the other card is on %q", got)
	}
}

// TestBootOrder makes another disk the boot disk.
func TestBootOrder(t *testing.T) {
	env := edited(t, "two-tier", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		m := component(st, "data").SystemTemplate.Value.ComponentDescriptors[0].MachineTemplate.Value
		m.VolumeTemplates[0].VolumeTemplate.Value.VolumeImage.Value.Bootable = nil
		m.VolumeTemplates[1].VolumeTemplate.Value.VolumeImage = cimi.RefBy(&cimi.VolumeImage{ImageLocation: "data.vmdk", Bootable: cimi.Bool(true)})
	})
	m := machineNamed(t, read(t, env, ""), "web-2")
	if a := m.Attachments[0]; a.Volume.Disk.OVFID != "db-data" || !a.Volume.Bootable || a.Volume.Disk.Href != "data.vmdk" {
		t.Errorf("%+v\n%s", a.Volume, env.Bytes())
	}
}

func TestSharedDiskNeedsVersion2(t *testing.T) {
	_, err := tryEdit(t, "two-tier", systemtemplate.Options{}, func(st *cimi.SystemTemplate) {
		st.ComponentDescriptors = append(st.ComponentDescriptors, cimi.ComponentDescriptor{Name: "quorum", Type: cimi.TypeURI("Volume"),
			VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Type: cimi.VolumeMapped, Capacity: cimi.Int(1)})})})
	})
	var refused *systemtemplate.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("%v, want a RefusedError", err)
	}
}

// TestEmptyAnnotation: a section without its element gets it.
func TestEmptyAnnotation(t *testing.T) {
	env, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `"><References/><VirtualSystem ovf:id="v"><Info/><AnnotationSection/></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, env, "")
	want.System.Machines()[0].Description = "a note"
	out, _, err := systemtemplate.Rewrite(env, want, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, out, "").System.Machines()[0].Description; got != "a note" {
		t.Errorf("%q\n%s", got, out.Bytes())
	}
	if env.Edited() {
		t.Error("the descriptor that was handed in is edited")
	}
}

// TestCardWithoutNetwork: its address, which a template does not show, stays;
// a host that knows better can change it.
func TestCardWithoutNetwork(t *testing.T) {
	text := `<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `"><References/><VirtualSystem ovf:id="v"><Info/><VirtualHardwareSection><Info/>` +
		`<Item><rasd:Address>00:50:56:00:00:01</rasd:Address><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>` +
		`</VirtualHardwareSection></VirtualSystem></Envelope>`
	env, err := ovf.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
	if err != nil || string(back.Bytes()) != text {
		t.Errorf("%v\n%s", err, back.Bytes())
	}
	want := read(t, env, "")
	want.System.Machines()[0].NICs[0].MAC = "00:50:56:00:00:02"
	out, _, err := systemtemplate.Rewrite(env, want, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, out, "").System.Machines()[0].NICs[0].MAC; got != "00:50:56:00:00:02" {
		t.Errorf("%q\n%s", got, out.Bytes())
	}
}

// TestOVirtAddressOfCard: a changed MAC address goes where oVirt reads it, and
// the address on the bus stays.
func TestOVirtAddressOfCard(t *testing.T) {
	const slot = "<rasd:Address>{type=pci, slot=0x03}</rasd:Address>"
	env, err := ovf.Parse([]byte(`<ovf:Envelope xmlns:ovf="` + ovf.NSOVirt + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><References/>` +
		`<Content ovf:id="v" xsi:type="ovf:VirtualSystem_Type"><Name>m</Name><Section xsi:type="ovf:VirtualHardwareSection_Type"><Info/>` +
		`<Item><rasd:InstanceId>1</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType><rasd:Connection>lan</rasd:Connection>` +
		`<rasd:MACAddress>00:1a:4a:00:00:01</rasd:MACAddress>` + slot + `</Item></Section></Content></ovf:Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, env, "")
	want.System.Machines()[0].NICs[0].MAC = "00:1a:4a:00:00:02"
	out, _, err := systemtemplate.Rewrite(env, want, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out.Bytes()); !strings.Contains(got, slot) || !strings.Contains(got, "<rasd:MACAddress>00:1a:4a:00:00:02<") {
		t.Error(got)
	}
}

// TestDiskUndescribed: a hard disk that leads to no Disk is no silent loss.
func TestDiskUndescribed(t *testing.T) {
	env, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `"><References/><VirtualSystem ovf:id="v"><Info/><VirtualHardwareSection><Info/>` +
		`<Item><rasd:ElementName>Hard disk 1</rasd:ElementName><rasd:HostResource/><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>` +
		`<Item><rasd:ElementName>CD</rasd:ElementName><rasd:HostResource/><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>15</rasd:ResourceType></Item>` +
		`</VirtualHardwareSection></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	_, findings, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		if f.ID == systemtemplate.DiskUndescribed {
			got = append(got, string(f.Severity)+" "+f.Message)
		}
	}
	if len(got) != 1 || !strings.HasPrefix(got[0], "warning") || !strings.Contains(got[0], "Hard disk 1") {
		t.Errorf("%q", got)
	}
}
