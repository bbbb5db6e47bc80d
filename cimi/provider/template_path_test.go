package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/provider"
)

// templates stores SystemTemplates of which each has those after the colon
// within it, by reference, and gives their ids by name.
func templates(t *testing.T, p *provider.Provider, all ...string) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, name := range all {
		s := &cimi.SystemTemplate{}
		s.Name, _, _ = strings.Cut(name, ":")
		acc, err := p.Create(t.Context(), "systemTemplates", s)
		if err != nil {
			t.Fatal(err)
		}
		ids[s.Name] = acc.Location
	}
	for _, line := range all {
		name, inner, _ := strings.Cut(line, ":")
		s := &cimi.SystemTemplate{}
		s.Name = name
		for i, k := range strings.Fields(inner) {
			s.ComponentDescriptors = append(s.ComponentDescriptors, cimi.ComponentDescriptor{Name: fmt.Sprint("inner", i),
				Type: cimi.TypeURI("System"), SystemTemplate: cimi.RefTo[cimi.SystemTemplate](ids[k])})
		}
		if _, err := p.Update(t.Context(), ids[name], s, cimi.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// TestTemplateWithinItself: a SystemTemplate that contains itself by reference
// is refused where it would be used, and what is merely used twice is not.
func TestTemplateWithinItself(t *testing.T) {
	p := open(t, t.TempDir(), provider.Options{})
	ids := templates(t, p, "self:self", "one:two", "two:three", "three:two", "twice:leaf leaf", "leaf:")
	for name, bad := range map[string]bool{"self": true, "one": true, "three": true, "twice": false} {
		r := &cimi.SystemCreate{SystemTemplate: cimi.RefTo[cimi.SystemTemplate](ids[name])}
		acc, err := p.Create(t.Context(), "systems", r)
		if bad != (cimi.StatusOf(err) == 400 && strings.Contains(err.Error(), "within itself: systemTemplates/")) {
			t.Errorf("a System of %s: %v", name, err)
		}
		if err == nil && acc.Job != "" {
			wait(t, p, acc.Job)
		}
		if !bad {
			continue
		}
		if _, err := p.Invoke(t.Context(), ids[name], &cimi.Action{Action: cimi.ActionExport}); cimi.StatusOf(err) != 400 {
			t.Errorf("export of %s: %v", name, err)
		}
	}
	if n := len(list(t, p, "systems")); n != 1 {
		t.Errorf("%d Systems, want that of twice", n)
	}
}
