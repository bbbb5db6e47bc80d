package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

const nested = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References/>
  <VirtualSystemCollection ovf:id="all"><Info/>
    <StartupSection><Info/>
      <Item ovf:id="db" ovf:order="1" ovf:startDelay="5" ovf:stopDelay="1"/>
      <Item ovf:id="inner" ovf:order="2" ovf:startDelay="7"/>
      <Item ovf:id="web" ovf:order="3"/>
      <Item ovf:id="proxy" ovf:order="3" ovf:startDelay="2"/>
      <Item ovf:id="never" ovf:order="4" ovf:startAction="none"/>
    </StartupSection>
    <VirtualSystem ovf:id="late"><Info/></VirtualSystem>
    <VirtualSystem ovf:id="web"><Info/></VirtualSystem>
    <VirtualSystem ovf:id="proxy"><Info/></VirtualSystem>
    <VirtualSystem ovf:id="db"><Info/></VirtualSystem>
    <VirtualSystem ovf:id="never"><Info/></VirtualSystem>
    <VirtualSystemCollection ovf:id="inner"><Info/>
      <StartupSection><Info/><Item ovf:id="b" ovf:order="1" ovf:startDelay="3"/><Item ovf:id="a" ovf:order="2"/></StartupSection>
      <VirtualSystem ovf:id="a"><Info/></VirtualSystem>
      <VirtualSystem ovf:id="b"><Info/></VirtualSystem>
    </VirtualSystemCollection>
  </VirtualSystemCollection>
</Envelope>`

// TestStartPlan: orders, delays, nested collections, what is not ordered.
func TestStartPlan(t *testing.T) {
	env, err := ovf.Parse([]byte(nested))
	if err != nil {
		t.Fatal(err)
	}
	s, err := host.View(env, host.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Descriptor = []byte(nested)
	show := func(groups []host.StartGroup, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, g := range groups {
			var names []string
			for _, m := range g.Machines {
				names = append(names, m.Name)
			}
			out = append(out, fmt.Sprintf("%s %.0f", strings.Join(names, "+"), g.Delay.Seconds()))
		}
		return strings.Join(out, ", ")
	}
	if got, want := show(host.StartPlan(s, s)), "db 5, b 3, a 7, web+proxy 2, late 0"; got != want {
		t.Errorf("start %s\nwant  %s", got, want)
	}
	if got, want := show(host.StopPlan(s, s)), "never+late 0, web+proxy 0, a 0, b 0, db 1"; !strings.HasSuffix(got, "web+proxy 0, a 0, b 0, db 1") {
		t.Errorf("stop %s\nwant %s", got, want)
	}
	if got := show(host.StartPlan(s, s.Systems[0])); got != "b 3, a 0" {
		t.Errorf("the inner System starts %s", got)
	}
	for m := range s.AllMachines() {
		if m.Name == "late" {
			m.StartOrder = 1 // as a consumer may set it
		}
	}
	if got := show(host.StartPlan(s, s)); !strings.HasPrefix(got, "late+db 5") {
		t.Errorf("after a change of order: %s", got)
	}
}
