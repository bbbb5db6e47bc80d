package systemtemplate_test

import (
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// TestNamesStay: a Network and a Volume whose names were made unique keep them
// when an edit sets the plain names free.
func TestNamesStay(t *testing.T) {
	env, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `"><References/>
<DiskSection><Info/><Disk ovf:diskId="two" ovf:capacity="512"/></DiskSection>
<NetworkSection><Info/><Network ovf:name="one"/></NetworkSection>
<VirtualSystemCollection ovf:id="one"><Info/>
<VirtualSystem ovf:id="two"><Info/><VirtualHardwareSection><Info/>
<Item><rasd:Connection>one</rasd:Connection><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
<Item><rasd:Connection>three</rasd:Connection><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem>
<VirtualSystem ovf:id="three"><Info/></VirtualSystem>
</VirtualSystemCollection></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, env, "")
	names := func(v *systemtemplate.View) (out []string) {
		for _, n := range v.Networks {
			out = append(out, n.OVFID+" is "+n.Name)
		}
		for _, d := range v.Volumes {
			out = append(out, d.Disk.OVFID+" is "+d.Name)
		}
		return out
	}
	was := []string{"one is one-2", "three is three-2", "two is two-2"}
	if got := names(want); !slices.Equal(got, was) {
		t.Fatalf("%q, want %q", got, was)
	}
	want.System.Name = "free"
	for _, m := range want.System.Machines() {
		m.Name += " free"
	}
	out, _, err := systemtemplate.Rewrite(env, want, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(read(t, out, "")); !slices.Equal(got, was) {
		t.Errorf("%q, want %q\n%s", got, was, out.Bytes())
	}
}

// TestProcessorWithoutHardware: what is said of the processor of a machine whose
// hardware is not described is there again.
func TestProcessorWithoutHardware(t *testing.T) {
	env, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `"><References/><VirtualSystem ovf:id="v"><Info/></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, env, "")
	m := want.System.Machines()[0]
	m.CPUArch, m.CPUSpeed = "MIPS", 1200
	out, _, err := systemtemplate.Rewrite(env, want, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := read(t, out, "").System.Machines()[0]; m.CPUArch != "MIPS" || m.CPUSpeed != 1200 {
		t.Errorf("%q at %d MHz\n%s", m.CPUArch, m.CPUSpeed, out.Bytes())
	}
}
