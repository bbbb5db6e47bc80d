package host

import (
	"fmt"
	"iter"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// edit gives the kept descriptor with edits only where s differs from the view
// of it (mapping.md, "Keeping the original").
func edit(env *ovf.Envelope, s *System, systemTypes []string, finding func(ovf.Finding)) (*ovf.Envelope, error) {
	v, err := view(env, ViewOptions{Configuration: s.Configuration, SystemTypes: systemTypes, Properties: propertyValues(s.Properties)})
	if err != nil {
		return nil, fmt.Errorf("the kept descriptor: %w", err)
	}
	if sameParts(v.root, s) {
		err = v.want(s)
	} else if err = v.wantKept(s); err == nil {
		err = v.reshape(s)
	}
	if err != nil {
		return nil, err
	}
	v.wantProperties(s, finding)
	out, findings, err := systemtemplate.Rewrite(env, v.of, systemtemplate.Options{Configuration: v.of.Configuration, Supports: systemTypes})
	if err != nil {
		return nil, refused(err)
	}
	for _, f := range findings {
		finding(f)
	}
	return out, nil
}

// wantKept is want for the parts that the view and s both have.
func (v *viewer) wantKept(s *System) error {
	machines := map[string]*Machine{}
	for m := range s.AllMachines() {
		machines[machineKey(m)] = m
	}
	v.of.System.Name, v.of.System.Description = s.Name, s.Description
	for i, was := range slices.Collect(v.root.AllMachines()) {
		of, is := v.machines[i], machines[machineKey(was)]
		if of == nil || is == nil {
			continue
		}
		of.Name, of.Description, of.CPUs = is.Name, is.Description, is.CPUs
		if was.MemoryBytes != is.MemoryBytes {
			of.MemoryBytes = is.MemoryBytes
		}
		if was.StartOrder != is.StartOrder {
			if of.Startup == nil {
				of.Startup = &systemtemplate.Startup{}
			}
			of.Startup.Order = is.StartOrder
		}
		for k, n := range was.NICs {
			for _, now := range is.NICs {
				if n.OVFID != "" && n.OVFID == now.OVFID {
					wantCard(of.NICs[k], n, now)
				}
			}
		}
	}
	return nil
}

// want puts what differs between s and the view into what the view is of.
func (v *viewer) want(s *System) error {
	// Only differences are carried over: what a view rounds or cuts stays.
	set := func(to *string, was, is string) {
		if was != is {
			*to = is
		}
	}
	err := pairs("systems", v.root.All(), s.All(), func(i int, was, is *System) {
		if of := v.systems[i]; of != nil {
			set(&of.Name, was.Name, is.Name)
			set(&of.Description, was.Description, is.Description)
		}
	})
	if err != nil {
		return err
	}
	err = pairs("machines", v.root.AllMachines(), s.AllMachines(), func(i int, was, is *Machine) {
		of := v.machines[i]
		if of == nil {
			return // one element serves all instances: the first one's edits are theirs
		}
		set(&of.Name, was.Name, is.Name)
		set(&of.Description, was.Description, is.Description)
		if was.CPUs != is.CPUs {
			of.CPUs = is.CPUs
		}
		if was.MemoryBytes != is.MemoryBytes {
			of.MemoryBytes = is.MemoryBytes
		}
		if was.StartOrder != is.StartOrder {
			if of.Startup == nil {
				of.Startup = &systemtemplate.Startup{}
			}
			of.Startup.Order = is.StartOrder
		}
		for k := range min(len(was.NICs), len(is.NICs)) {
			wantCard(of.NICs[k], was.NICs[k], is.NICs[k])
		}
	})
	if err != nil {
		return err
	}
	err = pairs("disks", v.root.AllDisks(), s.AllDisks(), func(_ int, was, is *Disk) {
		set(&v.volumes[was].Name, was.Name, is.Name)
	})
	if err != nil {
		return err
	}
	return pairs("networks", v.root.AllNetworks(), s.AllNetworks(), func(i int, was, is *Network) {
		of := v.of.Networks[i]
		set(&of.Name, was.Name, is.Name)
		set(&of.Description, was.Description, is.Description)
	})
}

func wantCard(of *systemtemplate.NIC, was, is NIC) {
	if was.MAC != is.MAC {
		of.MAC = is.MAC
		for _, e := range of.Endpoints {
			e.Address = is.MAC
		}
	}
	if was.Disabled != is.Disabled {
		of.Disabled = is.Disabled
	}
}

// wantProperties sets the values of properties; passwords are not exported.
func (v *viewer) wantProperties(s *System, finding func(ovf.Finding)) {
	for _, key := range s.Passwords {
		finding(ovf.Finding{ID: "MAP-PROP-002", Severity: ovf.Warning, Object: "property " + key, Message: "a password is not exported", Clause: "DSP0243 9.5"})
	}
	secret := func(content string, props []systemtemplate.Property) {
		for i, p := range props {
			if p.Password && (slices.Contains(s.Passwords, p.Key) || slices.Contains(s.Passwords, content+"/"+p.Key)) {
				props[i].Value = p.Element.ValueIn(v.of.Configuration)
			}
		}
	}
	for _, of := range v.systems {
		if of != nil {
			secret(of.OVFID, of.Properties)
		}
	}
	for _, of := range v.machines {
		if of != nil {
			secret(of.OVFID, of.Properties)
		}
	}
}

// pairs walks two sequences that must have the same length.
func pairs[T any](what string, was, is iter.Seq[T], f func(i int, was, is T)) error {
	a, b := slices.Collect(was), slices.Collect(is)
	if len(a) != len(b) {
		return fmt.Errorf("%d %s, the kept descriptor describes %d: %w", len(b), what, len(a), ErrUnsupported)
	}
	for i := range a {
		f(i, a[i], b[i])
	}
	return nil
}
