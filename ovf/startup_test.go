package ovf_test

import (
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// TestStartupOfEnvelope: XenCenter writes the order of start beside the content
// that it is about, be that a collection or one virtual system.
func TestStartupOfEnvelope(t *testing.T) {
	const head = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"><References/>` +
		`<StartupSection><Info/><Item ovf:id="a" ovf:order="2" ovf:startDelay="30"/><Item ovf:id="b" ovf:order="1"/></StartupSection>`
	for content, want := range map[string]int{
		`<VirtualSystem ovf:id="a"><Info/></VirtualSystem>`: 2,
		`<VirtualSystemCollection ovf:id="c"><Info/><VirtualSystem ovf:id="a"><Info/></VirtualSystem><VirtualSystem ovf:id="b"><Info/></VirtualSystem></VirtualSystemCollection>`:                                                                         2,
		`<VirtualSystemCollection ovf:id="c"><Info/><StartupSection><Info/><Item ovf:id="a" ovf:order="7"/></StartupSection><VirtualSystem ovf:id="a"><Info/></VirtualSystem><VirtualSystem ovf:id="b"><Info/></VirtualSystem></VirtualSystemCollection>`: 3,
	} {
		e, err := ovf.Parse([]byte(head + content + `</Envelope>`))
		if err != nil {
			t.Fatal(err)
		}
		c, _ := e.Content()
		items := c.Startup()
		if len(items) != want {
			t.Fatalf("%s: %d entries, want %d", content, len(items), want)
		}
		// What stands in the collection itself comes first.
		if first := items[0]; first.ID != "a" || want == 2 && (first.Order != 2 || first.StartDelay != 30) || want == 3 && first.Order != 7 {
			t.Errorf("%s: the first entry is %+v", content, first)
		}
		for _, k := range c.Children() {
			if n := len(k.Startup()); n != 0 {
				t.Errorf("%s of the collection has %d entries", k.ID, n)
			}
		}
	}
}
