package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// foreign is a domain that was made by others (virt-manager, virsh, …), shown
// as a System of one machine. Its descriptor is made of its description, the
// same each time; ids follow from its UUID.
type foreign struct {
	system *host.System
	places map[string]place // of disks; a place without pool is a path
	nvram  string           // path of the firmware's variables, where it has any
}

// foreign are the Systems of domains that are not ours, by name. One that
// cannot be described hides no other.
func (h *Host) foreign(ctx context.Context, domains map[string]known) []*host.System {
	var out []*host.System
	for _, id := range slices.Sorted(maps.Keys(domains)) {
		if f, err := h.foreignSystem(ctx, id); err == nil {
			out = append(out, f.system)
		}
	}
	slices.SortStableFunc(out, func(a, b *host.System) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}

// isForeign tells whether a System is a domain that others made.
func (h *Host) isForeign(ctx context.Context, id string) bool {
	_, err := h.ledger.Get(ctx, id)
	return errors.Is(err, host.ErrNotFound)
}

// foreignSystem reads the domain whose UUID a System's id is.
func (h *Host) foreignSystem(ctx context.Context, id string) (*foreign, error) {
	if len(id) != 32 {
		return nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	var x domainXML
	var state host.PowerState
	sizes := map[string]int64{}
	err := h.onDomain(ctx, id, func(l *lv.Libvirt, d lv.Domain) error {
		text, err := l.DomainGetXMLDesc(d, lv.DomainXMLInactive)
		if is(err, lv.ErrNoDomain) {
			return fmt.Errorf("system %s: %w", id, host.ErrNotFound)
		}
		if err != nil {
			return err
		}
		x = domainXML{}
		if err := xml.Unmarshal([]byte(text), &x); err != nil {
			return fmt.Errorf("domain %s: its description: %w", d.Name, err)
		}
		if state, err = stateOf(l, d); err != nil {
			return err
		}
		for _, k := range x.Devices.Disks {
			if n, err := diskSize(l, d, k); err == nil {
				sizes[k.Target.Dev] = n
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if x.Machine.XMLNS == Namespace || x.Machine.System != "" {
		// Ours, in the middle of an import or after its record was lost.
		return nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	f, err := describe(id, &x, state, sizes)
	if err != nil {
		return nil, err
	}
	h.tracks(ctx, f.system, f.places)
	return f, nil
}

// diskSize is the capacity of a domain's disk in bytes.
func diskSize(l *lv.Libvirt, d lv.Domain, k diskXML) (int64, error) {
	vol, err := volumeOf(l, k.Source)
	if err == nil {
		_, capacity, _, err := l.StorageVolGetInfo(vol)
		return int64(capacity), err
	}
	_, capacity, _, err := l.DomainGetBlockInfo(d, k.Target.Dev, 0)
	return int64(capacity), err
}

func volumeOf(l *lv.Libvirt, s diskSourceXML) (lv.StorageVol, error) {
	if s.Pool != "" {
		p, err := l.StoragePoolLookupByName(s.Pool)
		if err != nil {
			return lv.StorageVol{}, err
		}
		return l.StorageVolLookupByName(p, s.Volume)
	}
	return l.StorageVolLookupByPath(first(s.File, s.Dev))
}

// derived is an id that follows from the domain's and a name within it.
func derived(domain, name string) string {
	sum := sha256.Sum256([]byte(domain + "/" + name))
	return hex.EncodeToString(sum[:16])
}

// describe makes the System.
func describe(id string, x *domainXML, state host.PowerState, sizes map[string]int64) (*foreign, error) {
	d := drafted(x, sizes)
	env, err := ovf.NewEnvelope(d)
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", x.Name, err)
	}
	s, err := host.View(env, host.ViewOptions{})
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", x.Name, err)
	}
	f := &foreign{system: s, places: map[string]place{}, nvram: x.OS.NVRAM}
	s.ID, s.Descriptor, s.DescriptorName = id, env.Bytes(), "domain.ovf"
	renamed := map[string]string{}
	for _, k := range s.Disks {
		fresh := derived(id, k.OVFID)
		renamed[k.ID], k.ID = fresh, fresh
		k.ContentBytes = k.CapacityBytes
		for _, dev := range x.Devices.Disks {
			if dev.Target.Dev == k.OVFID {
				f.places[fresh] = placeOf(dev.Source)
			}
		}
	}
	for _, n := range s.Networks {
		fresh := derived(id, "network "+n.OVFID)
		renamed[n.ID], n.ID, n.External = fresh, fresh, true
	}
	for _, m := range s.Machines {
		m.ID, m.State, m.CPUArch = id, state, x.OS.Type.Arch
		for i := range m.Attachments {
			m.Attachments[i].DiskID = renamed[m.Attachments[i].DiskID]
		}
		for i := range m.NICs {
			m.NICs[i].Network = renamed[m.NICs[i].Network]
		}
	}
	return f, nil
}

func placeOf(s diskSourceXML) place {
	if s.Pool != "" {
		return place{s.Pool, s.Volume}
	}
	if s.Protocol != "" {
		return place{"", s.Protocol + "://" + s.Name}
	}
	return place{"", first(s.File, s.Dev)}
}

// encoded are the places as the ledger has them.
func (f *foreign) encoded() map[string]string { return encodePlaces(f.places) }
