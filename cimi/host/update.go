package host

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// ApplyUpdate is old with what a consumer may write taken from next: names,
// descriptions, property values, start order, cpus, memory, MAC addresses and
// whether a card is enabled. Parts are matched by id. A difference elsewhere,
// or a part that came or went, gives an error that wraps ErrUnsupported;
// Descriptor, Created and Updated of next do not count. Neither argument is changed.
func ApplyUpdate(old, next *System) (*System, error) {
	out, err := clone(old)
	if err != nil {
		return nil, err
	}
	want, err := clone(next)
	if err != nil {
		return nil, err
	}
	if err := applySystem(out, want); err != nil {
		return nil, fmt.Errorf("system %s: %w", old.ID, err)
	}
	return out, nil
}

func clone(s *System) (*System, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	c := new(System)
	return c, json.Unmarshal(b, c)
}

func applySystem(out, want *System) error {
	if want.Name == "" {
		return fmt.Errorf("an empty name: %w", ErrUnsupported)
	}
	out.Name, out.Description, out.Properties = want.Name, want.Description, want.Properties
	err := inPairs("machines", out.Machines, want.Machines, func(m *Machine) string { return m.ID }, func(m, w *Machine) error {
		switch {
		case w.Name == "":
			return fmt.Errorf("machine %s: an empty name: %w", m.Name, ErrUnsupported)
		case w.CPUs < 0 || w.MemoryBytes < 0:
			return fmt.Errorf("machine %s: %d processors, %d bytes of memory: %w", m.Name, w.CPUs, w.MemoryBytes, ErrUnsupported)
		case len(w.NICs) != len(m.NICs):
			return fmt.Errorf("machine %s: other network cards: %w", m.Name, ErrUnsupported)
		}
		m.Name, m.Description, m.CPUs, m.MemoryBytes, m.StartOrder = w.Name, w.Description, w.CPUs, w.MemoryBytes, w.StartOrder
		for i := range m.NICs {
			m.NICs[i].MAC, m.NICs[i].Disabled = w.NICs[i].MAC, w.NICs[i].Disabled
		}
		return same("machine "+m.Name, m, w)
	})
	if err != nil {
		return err
	}
	err = inPairs("disks", out.Disks, want.Disks, func(d *Disk) string { return d.ID }, func(d, w *Disk) error {
		d.Name = w.Name
		return same("disk "+d.Name, d, w)
	})
	if err != nil {
		return err
	}
	err = inPairs("networks", out.Networks, want.Networks, func(n *Network) string { return n.ID }, func(n, w *Network) error {
		n.Name, n.Description = w.Name, w.Description
		return same("network "+n.Name, n, w)
	})
	if err != nil {
		return err
	}
	return inPairs("systems", out.Systems, want.Systems, func(s *System) string { return s.ID }, applySystem)
}

func inPairs[T any](what string, out, want []*T, id func(*T) string, f func(out, want *T) error) error {
	if len(out) != len(want) {
		return fmt.Errorf("%d %s instead of %d: %w", len(want), what, len(out), ErrUnsupported)
	}
	for i := range out {
		if id(out[i]) != id(want[i]) {
			return fmt.Errorf("%s: %s instead of %s: %w", what, id(want[i]), id(out[i]), ErrUnsupported)
		}
		if err := f(out[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

func same(what string, a, b any) error {
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("%s: a change of what is fixed: %w", what, ErrUnsupported)
	}
	return nil
}
