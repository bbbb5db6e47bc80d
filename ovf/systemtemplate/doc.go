// Package systemtemplate maps OVF descriptors to CIMI SystemTemplates and back
// (DSP0263 4.3, 5.13.4 and Annex A; DSP0243).
//
// It promises that nothing is lost in silence: what the other side cannot hold
// is a Finding with a rule id of the MAP- table (see Rules); that a template
// made from a descriptor carries it, so that an unedited template gives the
// descriptor back byte for byte; and that an edited one changes only what was
// edited. It reads no files and opens no connections.
//
// Between the two models stands the View: Systems, Machines, Volumes and
// Networks in plain types, with unique names and the ids of the descriptor.
// A hypervisor that imports a package takes the View directly (Read), and one
// that exports compares its Systems with it (Rewrite), or builds a descriptor
// for Systems that never had one (Build).
//
//	Envelope --Read--> View --Template--> SystemTemplate
//	Envelope <--Rewrite, Build-- View <--Parse-- SystemTemplate
package systemtemplate
