package ovf

import (
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// ProductSection is product information with properties (DSP0243 9.5).
type ProductSection struct {
	Element
	Class, Instance                       string
	Info, Product, Vendor                 string
	Version, FullVersion                  string
	ProductURL, VendorURL, ApplicationURL string
	Properties                            []Property
}

// Property is a Property of a ProductSection.
type Property struct {
	Element
	Class, Instance  string // of its ProductSection
	Key              string
	Type             string // Table 6: uint8 … sint64, string, boolean, real32, real64
	Qualifiers       string // as written, Table 7
	Value            string // the default value
	HasValue         bool   // ovf:value is present
	UserConfigurable bool
	Password         bool
	Category         string // the text of the Category element before it
	Label            string
	Description      string
	// Values are the alternative defaults by configuration.
	Values []PropertyValue
}

// PropertyValue is the default of a property in one configuration.
type PropertyValue struct {
	Element
	Configuration string
	Value         string
}

// ProductSections of the content itself, not of its children.
func (c Content) ProductSections() []ProductSection {
	if c.node == nil {
		return nil
	}
	e := c.env
	var out []ProductSection
	for _, n := range c.sections("ProductSection") {
		p := ProductSection{Element: Element{e, n}, Class: e.attrOr(n, "class", ""), Instance: e.attrOr(n, "instance", ""),
			Info: e.text(n, "Info"), Product: e.text(n, "Product"), Vendor: e.text(n, "Vendor"),
			Version: e.text(n, "Version"), FullVersion: e.text(n, "FullVersion"),
			ProductURL: e.text(n, "ProductUrl"), VendorURL: e.text(n, "VendorUrl"), ApplicationURL: e.text(n, "AppUrl")}
		category := ""
		for k := range n.Children() {
			switch e.kind(k) {
			case "Category":
				category = trimmed(k)
			case "Property":
				q := Property{Element: Element{e, k}, Class: p.Class, Instance: p.Instance,
					Key: e.attrOr(k, "key", ""), Type: e.attrOr(k, "type", ""), Qualifiers: e.attrOr(k, "qualifiers", ""),
					UserConfigurable: e.boolAttr(k, "userConfigurable", false), Password: e.boolAttr(k, "password", false),
					Category: category, Label: e.text(k, "Label"), Description: e.text(k, "Description")}
				q.Value, q.HasValue = e.attr(k, "value")
				for _, v := range e.children(k, "Value") {
					pv := PropertyValue{Element: Element{e, v}, Configuration: e.attrOr(v, "configuration", "")}
					pv.Value, _ = e.attr(v, "value")
					q.Values = append(q.Values, pv)
				}
				p.Properties = append(p.Properties, q)
			default:
				// A category ends at the first element that is no Property (9.5).
				category = ""
			}
		}
		out = append(out, p)
	}
	return out
}

// Properties of all ProductSections of the content.
func (c Content) Properties() []Property {
	var out []Property
	for _, p := range c.ProductSections() {
		out = append(out, p.Properties...)
	}
	return out
}

// EnvKey is the key as the OVF environment has it: [class "."] key [":" instance].
func (p Property) EnvKey() string {
	k := p.Key
	if p.Class != "" {
		k = p.Class + "." + k
	}
	if p.Instance != "" {
		k += ":" + p.Instance
	}
	return k
}

// ValueIn is the default under a configuration (an id, not "").
func (p Property) ValueIn(configuration string) string {
	if configuration != "" {
		for _, v := range p.Values {
			for _, id := range strings.Fields(v.Configuration) {
				if id == configuration {
					return v.Value
				}
			}
		}
	}
	return p.Value
}

// AddProperty puts a property at the end of the ProductSection of its Class and
// Instance, which is made where there is none.
func (c Content) AddProperty(p Property) error {
	space := c.env.localSpace(c.node)
	w := draftWriter{ns: c.env.ns, version: c.env.version}
	for _, s := range c.ProductSections() {
		if s.Class == p.Class && s.Instance == p.Instance {
			f := w.property(p)
			f.Name.Space = c.env.localSpace(s.node)
			for i := range f.Children {
				f.Children[i].Name.Space = f.Name.Space
			}
			var last *xmltree.Node
			for n := range s.node.Children() {
				if c.env.kind(n) != "" {
					last = n // vendors' elements come behind
				}
			}
			_, err := s.node.Insert(f, last, last != nil)
			return err
		}
	}
	if c.env.version == V09 || c.env.version == VOVirt {
		return c.fail("property "+p.EnvKey(), "9.5", "a ProductSection cannot be made in a descriptor of version %s", c.env.version)
	}
	sec := w.product(ProductSection{Class: p.Class, Instance: p.Instance, Properties: []Property{p}})
	sec.Name.Space = space
	var after *xmltree.Node
	for n := range c.node.Children() {
		switch c.env.kind(n) {
		case "Info", "Name", "AnnotationSection":
			after = n
		}
	}
	_, err := c.node.Insert(sec, after, true)
	return err
}
