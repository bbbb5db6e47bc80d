// Package cimi is the model of the Cloud Infrastructure Management Interface
// (DSP0263 2.0.0): resources, their JSON and XML, the Provider that serves
// them and its errors.
//
// An attribute is named once, in the cimi tag of its struct field; JSON, XML,
// ResourceMetadata, $select, $filter and $orderby all follow from it (see
// Attribute). What the model does not know is kept in Extra and written back.
//
// Decoding is liberal in syntax (numbers as strings, a missing namespace),
// encoding is strict.
package cimi

import "strings"

// Resource is a CIMI resource: a pointer to one of this package's struct types.
type Resource interface {
	// Base gives the common attributes (5.7.1) for reading and writing.
	Base() *Common
	// TypeName is the name of the type without namespace: "Machine", "JobCollection".
	TypeName() string
}

// Common are the attributes that every resource has (5.7.1). Of a Collection
// only ID, Updated, Parent and Operations are used.
type Common struct {
	ID               string                 `cimi:"id,uri,fixed,mandatory,cmandatory"`
	Name             string                 `cimi:"name,mandatory"`
	Description      string                 `cimi:"description,mandatory"`
	Created          *Time                  `cimi:"created,fixed"`
	Updated          *Time                  `cimi:"updated,ro"`
	Parent           *Ref[Unknown]          `cimi:"parent,mandatory,since=2"`
	Properties       map[string]string      `cimi:"properties"`
	ResourceMetadata *Ref[ResourceMetadata] `cimi:"resourceMetadata,ro,since=2"`
	// Operations are those that this consumer may use now (4.2).
	Operations []Operation `cimi:"operations,ro,item=operation,last"`
	Extensions
	// Erased names attributes given as null (JSON) or as an empty element (XML):
	// in a template by reference they erase the template's value (4.2.1.1).
	Erased []string
}

// Base gives the common attributes; it makes every struct that embeds Common half a Resource.
func (c *Common) Base() *Common { return c }

// Operation is what a consumer may do with a resource, and where to send it (4.2).
type Operation struct {
	Rel  string `cimi:"rel,attr,std"`
	Href string `cimi:"href,uri,attr"`
	// Available is nil for the default, true.
	Available *bool `cimi:"available,attr"`
}

// Operation gives the operation with this rel, nil when it is not offered or
// not available now. Of the standard's rels the last word counts: "import"
// finds http://schemas.dmtf.org/cimi/2/action/import, and that finds cimi/1's;
// "delete" finds an ".../action/delete" as well.
func (c *Common) Operation(rel string) *Operation {
	for i, o := range c.Operations {
		if (o.Rel == rel || standardRel(o.Rel) == standardRel(rel)) && (o.Available == nil || *o.Available) {
			return &c.Operations[i]
		}
	}
	return nil
}

// standardRel shortens a rel of the standard to its last word; others stay whole.
func standardRel(rel string) string {
	for _, ns := range []string{Namespace, Namespace1, namespaceDrafts} {
		if word, ok := strings.CutPrefix(rel, ns+"/action/"); ok {
			return word
		}
	}
	return rel
}

// Unknown is a resource whose type this package does not model: the common
// attributes are read, everything else is in Extra. It is also what a
// reference without a declared type points to.
type Unknown struct {
	Common
	// Type is the last part of the type URI, URI the whole of it.
	Type string
	URI  string
}

func (u *Unknown) TypeName() string { return u.Type }
