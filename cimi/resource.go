// Package cimi is the model of the Cloud Infrastructure Management Interface
// (DSP0263 2.0.0): resources, their JSON and XML, the Provider that serves
// them and its errors.
//
// An attribute is named once, in the cimi tag of its struct field; JSON, XML,
// ResourceMetadata, $select, $filter and $orderby all follow from it.
package cimi

// Resource is a CIMI resource: a pointer to one of this package's struct types.
type Resource interface {
	// Base gives the common attributes (5.7.1) for reading and writing.
	Base() *Common
	// TypeName is the name of the type without namespace: "Machine", "JobCollection".
	TypeName() string
}
