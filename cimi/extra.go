package cimi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// ExtensionNamespace is that of this project's own extension attributes. In
// XML they are elements of it after the operations.
const ExtensionNamespace = "https://github.com/cimimove/cimimove/ns/1"

// Names of this project's extension attributes.
const (
	OVFID            = "ovfId"            // every resource, read-only: id in the descriptor
	OVFDescriptor    = "ovfDescriptor"    // SystemTemplate, System: the kept descriptor
	OVFConfiguration = "ovfConfiguration" // System, read-only: deployment option
	OVFStartup       = "ovfStartup"       // System, Machine, templates: start order
	OVFProperties    = "ovfProperties"    // System, Machine, templates: property values
	OVFFindings      = "ovfFindings"      // Job: findings of an import or export
	ContentDigest    = "contentDigest"    // Volume, VolumeImage: content digest
	FreeCapacity     = "freeCapacity"     // CloudEntryPoint, read-only: kilobytes free for disks
	Delta            = "delta"            // Action of RelDelta: blocks of a disk
	ChangedOnly      = "changedOnly"      // Action of RelProve: what was read since it was written is not read again
	ChangesTracked   = "changesTracked"   // Volume, read-only: true where its host keeps track of what is written to it
	ExportPoints     = "exportPoints"     // Job of RelExportLive: objects of volume, the last part of its id, point, for RelBlocks, and held
)

// ExtensionAttributes lists the names of this project's extension attributes.
func ExtensionAttributes() []string {
	return []string{OVFID, OVFDescriptor, OVFConfiguration, OVFStartup, OVFProperties, OVFFindings, ContentDigest, FreeCapacity, Delta, ChangedOnly, ChangesTracked, ExportPoints}
}

// Extra is an attribute outside the standard, kept and written back (4.2.1.3).
type Extra struct {
	Name string
	// Namespace of the XML element; empty after JSON, which has none.
	Namespace string
	// Value is a string, json.Number, bool, nil, []any or map[string]any of these.
	// After XML numbers and booleans are strings.
	Value any
}

// Extensions are the attributes of a resource or structure that the model does not name.
type Extensions struct {
	Extra []Extra
}

// ExtraValue gives the value of an extension attribute, nil when it is absent.
func (e *Extensions) ExtraValue(name string) any {
	for _, x := range e.Extra {
		if x.Name == name {
			return x.Value
		}
	}
	return nil
}

// ExtraString gives the value of an extension attribute that is a string, or "".
func (e *Extensions) ExtraString(name string) string {
	s, _ := e.ExtraValue(name).(string)
	return s
}

// SetExtra sets one of this project's extension attributes. v is any value
// that encoding/json takes; nil and "" remove the attribute.
func (e *Extensions) SetExtra(name string, v any) {
	kept := e.Extra[:0:0]
	for _, x := range e.Extra {
		if x.Name != name {
			kept = append(kept, x)
		}
	}
	if v = plain(v); v != nil && v != "" {
		kept = append(kept, Extra{Name: name, Namespace: ExtensionNamespace, Value: v})
	}
	e.Extra = kept
}

// MapHrefs replaces the hrefs in the extension attributes, as MapURIs does those
// of the standard's.
func (e *Extensions) MapHrefs(f func(uri string) string) {
	for i, x := range e.Extra {
		e.Extra[i].Value = mapHrefs(x.Value, f)
	}
}

// Href is where an extension attribute that is a reference leads, "" for another.
func (x Extra) Href() string {
	obj, _ := x.Value.(map[string]any)
	for _, name := range []string{"href", "@href"} {
		if s, ok := obj[name].(string); ok {
			return s
		}
	}
	return ""
}

// sorted are the extension attributes in the order in which they are written.
func (e *Extensions) sorted() []Extra {
	return slices.SortedStableFunc(slices.Values(e.Extra), func(a, b Extra) int { return strings.Compare(a.Name, b.Name) })
}

func (e *Extensions) extensions() *Extensions { return e }

// plain brings any value into the types of Extra.Value; nil when it has no JSON.
func plain(v any) any {
	switch v := v.(type) {
	case nil, string, bool, json.Number:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out any
	if d.Decode(&out) != nil {
		return nil
	}
	return out
}
