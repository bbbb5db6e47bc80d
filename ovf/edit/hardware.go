package edit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// quantity sets VirtualQuantity of the first InstanceID of a kind in each
// configuration, and removes the others of that kind, so that the sum is right.
func quantity(c ovf.Content, h ovf.VirtualHardware, kind int, value, units string) error {
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
}

func (e *editor) processors() error {
	if err := known(e, "processors", e.opts.CPUs); err != nil {
		return err
	}
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		n, ok := of(e.opts.CPUs, c.ID)
		if !ok {
			return nil
		}
		if n <= 0 {
			return refuse("processors of "+c.ID, "%d is no number of processors", n)
		}
		if err := quantity(c, h, ovf.ResourceProcessor, strconv.Itoa(n), ""); err != nil {
			return err
		}
		for _, it := range h.Items() {
			if it.ResourceType == ovf.ResourceProcessor {
				e.cores(c, it, n)
			}
		}
		for _, r := range h.Ranges("") {
			if r.ResourceType == ovf.ResourceProcessor {
				e.inside(c, r, uint64(n))
			}
		}
		if m, ok := c.VirtualBox(); ok {
			m.SetCPUs(n)
		}
		return nil
	})
}

// cores removes vmw:CoresPerSocket where it does not divide the processors.
func (e *editor) cores(c ovf.Content, it ovf.Item, n int) {
	for k := range it.Node().Children() {
		if k.Name() != (xmltree.Name{Space: ovf.NSVMW, Local: "CoresPerSocket"}) {
			continue
		}
		if cores, err := strconv.Atoi(strings.TrimSpace(k.Text())); err != nil || cores <= 0 || n%cores != 0 {
			e.find(RuleCores, "VirtualSystem "+c.ID, "%q cores per socket do not divide %d processors; the entry is left out", k.Text(), n)
			k.Remove()
			return
		}
	}
}

func (e *editor) inside(c ovf.Content, r ovf.Range, n uint64) {
	if r.Min != nil && r.Min.VirtualQuantity != nil && n < *r.Min.VirtualQuantity || r.Max != nil && r.Max.VirtualQuantity != nil && n > *r.Max.VirtualQuantity {
		e.find(RuleRange, "VirtualSystem "+c.ID, "%d is outside of the range that the package gives for item %s", n, r.InstanceID)
	}
}

func (e *editor) memory() error {
	if err := known(e, "memory", e.opts.MemoryBytes); err != nil {
		return err
	}
	return e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		n, ok := of(e.opts.MemoryBytes, c.ID)
		if !ok {
			return nil
		}
		if n <= 0 {
			return refuse("memory of "+c.ID, "%d bytes are no size of memory", n)
		}
		value, units := strconv.FormatInt(n, 10), "byte"
		if n%(1<<20) == 0 {
			value, units = strconv.FormatInt(n>>20, 10), "byte * 2^20"
		}
		if err := quantity(c, h, ovf.ResourceMemory, value, units); err != nil {
			return err
		}
		for _, r := range h.Ranges("") {
			if r.ResourceType == ovf.ResourceMemory {
				e.insideBytes(c, r, n)
			}
		}
		if m, ok := c.VirtualBox(); ok {
			m.SetMemory((n + 1<<20 - 1) >> 20)
		}
		return nil
	})
}

func (e *editor) insideBytes(c ovf.Content, r ovf.Range, n int64) {
	bytes := func(it *ovf.Item) (int64, bool) {
		if it == nil || it.VirtualQuantity == nil {
			return 0, false
		}
		b, err := it.MemoryBytes()
		return b, err == nil
	}
	least, hasLeast := bytes(r.Min)
	most, hasMost := bytes(r.Max)
	if hasLeast && n < least || hasMost && n > most {
		e.find(RuleRange, "VirtualSystem "+c.ID, "%d bytes are outside of the range that the package gives for item %s", n, r.InstanceID)
	}
}

// buses: how a controller of each bus is written, and how many drives it takes.
var buses = map[string]struct {
	resourceType, subType string
	drives                int
}{"ide": {"5", "PIIX4", 2}, "scsi": {"6", "lsilogic", 16}, "sata": {"20", "AHCI", 30}, "nvme": {"20", "vmware.nvme.controller", 15}}

// CheckControllers refuses a map of controllers with a bus that is not known.
func CheckControllers(m map[string]string) error {
	for _, from := range slices.Sorted(maps.Keys(m)) {
		_, ok := buses[m[from]]
		if _, known := buses[from]; !ok || !known {
			return refuse("controllers", "%s=%s: known are ide, scsi, sata and nvme", from, m[from])
		}
	}
	return nil
}

func (e *editor) controllers() error {
	if err := CheckControllers(e.opts.Controllers); err != nil {
		return err
	}
	for _, from := range slices.Sorted(maps.Keys(e.opts.Controllers)) {
		to := e.opts.Controllers[from]
		if from == to {
			continue
		}
		err := e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
			// Each configuration may have controllers of its own.
			configurations := []string{""}
			for _, k := range e.env.Configurations() {
				configurations = append(configurations, k.ID)
			}
			for _, configuration := range configurations {
				if err := e.turn(c, h, configuration, from, to); err != nil {
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

// turn makes the controllers of one bus, under a configuration, those of another.
func (e *editor) turn(c ovf.Content, h ovf.VirtualHardware, configuration, from, to string) error {
	bus := buses[to]
	next := 0
	for _, k := range h.Controllers(configuration) {
		if k.Bus == to {
			next = max(next, k.Number+1)
		}
	}
	for _, k := range h.Controllers(configuration) {
		if k.Bus != from {
			continue
		}
		if _, ok := c.VirtualBox(); ok {
			e.find(RuleVirtualBox, "VirtualSystem "+c.ID, "VirtualBox's own description (vbox:Machine) still has the %s controller", from)
		}
		for _, f := range [][2]string{{"ResourceType", bus.resourceType}, {"ResourceSubType", bus.subType}, {"Address", strconv.Itoa(next)}, {"OtherResourceType", ""}} {
			if err := k.SetField(f[0], f[1]); err != nil {
				return err
			}
		}
		next++
		if err := e.drives(c, h, k, configuration, to, bus.drives); err != nil {
			return err
		}
	}
	return nil
}

// drives gives those on a controller an address that its new bus has. A SCSI
// controller has address 7 itself.
func (e *editor) drives(c ovf.Content, h ovf.VirtualHardware, k ovf.Controller, configuration, bus string, room int) error {
	taken := map[int]bool{}
	fits := func(unit int) bool {
		return unit >= 0 && unit < room && !taken[unit] && (bus != "scsi" || unit != 7)
	}
	var move []ovf.Drive
	for _, d := range h.Drives(configuration) {
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
