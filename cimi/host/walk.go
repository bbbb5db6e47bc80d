package host

import (
	"crypto/rand"
	"encoding/hex"
	"iter"
)

// NewID makes an id that is never made again: 128 random bits in hexadecimal,
// safe as a file name and in a URL.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// All is the System and those nested in it, outer ones first.
func (s *System) All() iter.Seq[*System] {
	return func(yield func(*System) bool) { s.all(yield) }
}

func (s *System) all(yield func(*System) bool) bool {
	if !yield(s) {
		return false
	}
	for _, k := range s.Systems {
		if !k.all(yield) {
			return false
		}
	}
	return true
}

// AllMachines are the machines of the System and of those nested in it.
func (s *System) AllMachines() iter.Seq[*Machine] {
	return each(s, func(s *System) []*Machine { return s.Machines })
}

// AllDisks are the disks of the System and of those nested in it.
func (s *System) AllDisks() iter.Seq[*Disk] {
	return each(s, func(s *System) []*Disk { return s.Disks })
}

// AllNetworks are the networks of the System and of those nested in it.
func (s *System) AllNetworks() iter.Seq[*Network] {
	return each(s, func(s *System) []*Network { return s.Networks })
}

func each[T any](s *System, of func(*System) []*T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for k := range s.All() {
			for _, v := range of(k) {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Empty tells whether a System has no part left.
func (s *System) Empty() bool {
	return len(s.Machines)+len(s.Disks)+len(s.Networks)+len(s.Systems) == 0
}

// Disk is the disk with that id, nil when there is none.
func (s *System) Disk(id string) *Disk {
	for d := range s.AllDisks() {
		if d.ID == id {
			return d
		}
	}
	return nil
}
