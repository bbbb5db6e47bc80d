package host

import (
	"encoding/json"

	"github.com/cimimove/cimimove/ovf"
)

// attributes is what OVF has no place for (mapping.md, "CIMI to OVF"): JSON in
// cimimove:attributes on the element it belongs to.
type attributes struct {
	// SystemName is the name of the System around a lone VirtualSystem.
	SystemName string `json:"systemName,omitempty"`
}

const attributesName = "attributes"

func attributesOf(c ovf.Content) (a attributes, ok bool) {
	s, ok := c.Node().Attr(ovf.NSCimimove, attributesName)
	if !ok || json.Unmarshal([]byte(s), &a) != nil {
		return attributes{}, false
	}
	return a, true
}

func setSystemName(c ovf.Content, name string) error {
	m := map[string]any{}
	if s, ok := c.Node().Attr(ovf.NSCimimove, attributesName); ok {
		if json.Unmarshal([]byte(s), &m) != nil {
			m = map[string]any{}
		}
	}
	m["systemName"] = name
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.Node().SetAttr(ovf.NSCimimove, attributesName, string(b), "cimimove")
	return nil
}
