package edit

import (
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// configuration leaves what one deployment option selects (DSP0243 9.8): its
// Items, combined, and its values of properties; then there are no options.
func (e *editor) configuration() error {
	if e.opts.Configuration == "" {
		return nil
	}
	id, err := e.env.Configuration(e.opts.Configuration)
	if err != nil {
		return unfit("configuration "+e.opts.Configuration, err)
	}
	err = e.sections(func(_ ovf.Content, h ovf.VirtualHardware) error {
		return pick(h.Items(), h.EffectiveItems(id), id)
	})
	if err != nil {
		return err
	}
	for c := range e.env.Contents() {
		if err := pick(c.AllocationItems(), c.ResourceAllocation(id), id); err != nil {
			return err
		}
		for _, s := range c.ScaleOutSections() {
			n, ok := c.ScaleOut(s.ID, id)
			for _, k := range s.Counts {
				if ok && k.Same(n.Element) {
					k.RemoveAttr("configuration")
				} else {
					k.Remove()
				}
			}
		}
		for _, p := range c.Properties() {
			if v := p.ValueIn(id); v != p.Value {
				p.SetAttr("value", v)
			}
			for _, v := range p.Values {
				v.Remove()
			}
		}
	}
	for _, s := range e.env.Sections() {
		if s.Kind == "DeploymentOptionSection" {
			s.Remove()
		}
	}
	return nil
}

// pick leaves those of items that the configuration selects; what several with
// one InstanceID say is combined in the first of them.
func pick(items, combined []ovf.Item, id string) error {
	keep := func(it ovf.Item) (ovf.Item, bool) {
		i := slices.IndexFunc(combined, func(c ovf.Item) bool { return c.Same(it.Element) })
		if i < 0 {
			return ovf.Item{}, false
		}
		return combined[i], true
	}
	var gone []ovf.Item
	for _, it := range items {
		whole, kept := keep(it)
		switch {
		case !it.In(id), !kept && !it.Marker():
			gone = append(gone, it) // after others have taken over what it supplies
			continue
		case kept:
			if err := whole.Settle(); err != nil {
				return err
			}
		}
		if strings.TrimSpace(strings.Join(it.Configuration, "")) != "" {
			it.RemoveAttr("configuration")
		}
	}
	for _, it := range gone {
		it.Remove()
	}
	return nil
}
