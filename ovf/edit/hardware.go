package edit

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// quantity sets VirtualQuantity of the first InstanceID of a kind in each
// configuration, and removes the others of that kind, so that the sum is right.
func (e *editor) quantity(kind int, value, units string) error {
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		id, found := "", false
		for _, it := range h.Items() {
			if it.ResourceType != kind || it.Marker() {
				continue
			}
			if found && it.InstanceID != id {
				it.Remove()
				continue
			}
			id, found = it.InstanceID, true
			if err := it.SetField("VirtualQuantity", value); err != nil {
				return err
			}
			if units != "" {
				if err := it.SetField("AllocationUnits", units); err != nil {
					return err
				}
			}
		}
		if !found {
			return refuse("VirtualSystem "+c.ID, "there is no Item of resource type %d to change", kind)
		}
		return nil
	})
}

func (e *editor) processors() error {
	n := e.opts.CPUs
	switch {
	case n == 0:
		return nil
	case n < 0:
		return refuse("processors", "%d is no number of processors", n)
	}
	if err := e.quantity(ovf.ResourceProcessor, strconv.Itoa(n), ""); err != nil {
		return err
	}
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		for _, it := range h.Items() {
			if it.ResourceType != ovf.ResourceProcessor {
				continue
			}
			for k := range it.Node().Children() {
				if k.Name() == (xmltree.Name{Space: ovf.NSVMW, Local: "CoresPerSocket"}) {
					if cores, err := strconv.Atoi(strings.TrimSpace(k.Text())); err != nil || cores <= 0 || n%cores != 0 {
						e.find(RuleCores, "VirtualSystem "+c.ID, "%q cores per socket do not divide %d processors; the entry is left out", k.Text(), n)
						k.Remove()
						break
					}
				}
			}
		}
		for _, r := range h.Ranges("") {
			if r.ResourceType == ovf.ResourceProcessor {
				e.inside(c, r, uint64(n))
			}
		}
		return nil
	})
}

func (e *editor) inside(c ovf.Content, r ovf.Range, n uint64) {
	if r.Min != nil && r.Min.VirtualQuantity != nil && n < *r.Min.VirtualQuantity || r.Max != nil && r.Max.VirtualQuantity != nil && n > *r.Max.VirtualQuantity {
		e.find(RuleRange, "VirtualSystem "+c.ID, "%d is outside of the range that the package gives for item %s", n, r.InstanceID)
	}
}

func (e *editor) memory() error {
	n := e.opts.MemoryBytes
	switch {
	case n == 0:
		return nil
	case n < 0:
		return refuse("memory", "%d bytes are no size of memory", n)
	case n%(1<<20) == 0:
		return e.quantity(ovf.ResourceMemory, strconv.FormatInt(n>>20, 10), "byte * 2^20")
	}
	return e.quantity(ovf.ResourceMemory, strconv.FormatInt(n, 10), "byte")
}

// buses: how a controller of each bus is written, and how many drives it takes.
var buses = map[string]struct {
	resourceType, subType string
	drives                int
}{"ide": {"5", "PIIX4", 2}, "scsi": {"6", "lsilogic", 16}, "sata": {"20", "AHCI", 30}, "nvme": {"20", "vmware.nvme.controller", 15}}

func (e *editor) controllers() error {
	for _, from := range slices.Sorted(maps.Keys(e.opts.Controllers)) {
		to := e.opts.Controllers[from]
		bus, ok := buses[to]
		if _, known := buses[from]; !ok || !known {
			return refuse("controllers", "%s=%s: known are ide, scsi, sata and nvme", from, to)
		}
		if from == to {
			continue
		}
		err := e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
			next := 0
			for _, k := range h.Controllers("") {
				if k.Bus == to {
					next = max(next, k.Number+1)
				}
			}
			for _, k := range h.Controllers("") {
				if k.Bus != from {
					continue
				}
				for _, f := range [][2]string{{"ResourceType", bus.resourceType}, {"ResourceSubType", bus.subType}, {"Address", strconv.Itoa(next)}, {"OtherResourceType", ""}} {
					if err := k.SetField(f[0], f[1]); err != nil {
						return err
					}
				}
				next++
				if err := e.drives(c, h, k, to, bus.drives); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drives gives those on a controller an address that its new bus has. A SCSI
// controller has address 7 itself.
func (e *editor) drives(c ovf.Content, h ovf.VirtualHardware, k ovf.Controller, bus string, room int) error {
	taken := map[int]bool{}
	fits := func(unit int) bool {
		return unit >= 0 && unit < room && !taken[unit] && (bus != "scsi" || unit != 7)
	}
	var move []ovf.Drive
	for _, d := range h.Drives("") {
		switch {
		case d.Parent != k.InstanceID:
		case fits(d.Unit):
			taken[d.Unit] = true
		default:
			move = append(move, d)
		}
	}
	for _, d := range move {
		unit := 0
		for unit < room && !fits(unit) {
			unit++
		}
		if unit >= room {
			return refuse("item "+d.InstanceID, "a controller of bus %s takes %d drives, item %s has more", bus, room, k.InstanceID)
		}
		taken[unit] = true
		e.find(RuleController, fmt.Sprintf("VirtualSystem %s, item %s", c.ID, d.InstanceID), "address %q becomes %d on %s", d.AddressOnParent, unit, bus)
		if err := d.SetField("AddressOnParent", strconv.Itoa(unit)); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) addresses() error {
	seen := map[string]string{}
	random := e.opts.Random
	if random == nil {
		random = rand.Reader
	}
	switch e.opts.MAC {
	case "", KeepMAC, RegenerateMAC, StripMAC:
	default:
		return refuse("MAC policy", "%q is none, expected keep, regenerate or strip", e.opts.MAC)
	}
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		byID := map[string]string{}
		for _, it := range h.Items() {
			if it.ResourceType != ovf.ResourceEthernet || it.Marker() {
				continue
			}
			old, mac := it.Address, ""
			object := "VirtualSystem " + c.ID + ", item " + it.InstanceID
			switch e.opts.MAC {
			case StripMAC:
			case RegenerateMAC:
				if mac = byID[it.InstanceID]; mac == "" {
					var err error
					if mac, err = newMAC(random, seen); err != nil {
						return err
					}
					byID[it.InstanceID] = mac
				}
			default:
				key := bare(old)
				if other, ok := seen[key]; ok && key != "" && other != object {
					e.find(RuleMAC, object, "the MAC address %s is that of %s too", old, other)
				}
				seen[key] = object
				continue
			}
			name := "Address"
			if it.Field(name) == "" && it.Field("MACAddress") != "" {
				name = "MACAddress"
			}
			if err := it.SetField(name, mac); err != nil {
				return err
			}
			if m, ok := c.VirtualBox(); ok && old != "" {
				m.ReplaceMAC(old, mac)
			}
		}
		return nil
	})
}

func bare(mac string) string {
	return strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(mac))
}

// newMAC is a locally administered unicast address that is not in seen.
func newMAC(random io.Reader, seen map[string]string) (string, error) {
	for {
		var b [6]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("a new MAC address: %w", err)
		}
		b[0] = b[0]&^1 | 2
		mac := fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
		if _, taken := seen[bare(mac)]; !taken {
			seen[bare(mac)] = mac
			return mac, nil
		}
	}
}
