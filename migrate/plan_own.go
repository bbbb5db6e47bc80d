package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// ownDisks reads the storage of a machine that is no Volume (5.14.1.1.1).
func ownDisks(ctx context.Context, p cimi.Provider, machine string) (*cimi.Machine, []DiskShape, error) {
	r, err := p.Get(ctx, machine, cimi.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	m, ok := r.(*cimi.Machine)
	if !ok {
		return nil, nil, fmt.Errorf("%s: expected a Machine, the cloud answered a %s", machine, r.TypeName())
	}
	all, err := listIfThere(ctx, p, cimi.HrefOf(m.Disks))
	if err != nil {
		return nil, nil, err
	}
	var out []DiskShape
	for _, r := range all {
		d, ok := r.(*cimi.Disk)
		if !ok {
			continue
		}
		x := DiskShape{ID: d.ID, OVFID: d.ExtraString(cimi.OVFID), Name: d.Name, Capacity: cimi.IntValue(d.Capacity), Of: machine, place: d.InitialLocation}
		def(&x.Name, d.ID)
		out = append(out, x)
	}
	return m, out, nil
}

// planOwnDisks finds fault with machines that have disks which are no Volumes.
func (p *Plan) planOwnDisks(ctx context.Context, rule, why, hint string) error {
	for _, m := range p.shape.Machines {
		_, disks, err := ownDisks(ctx, p.opts.Source.Provider, m.ID)
		if err != nil {
			return at(StepPlan, Source, m.Name, err)
		}
		p.findOwn(rule, m.Name, disks, why, hint)
	}
	return nil
}

func (p *Plan) findOwn(rule, machine string, disks []DiskShape, why, hint string) {
	for _, d := range disks {
		p.find(rule, ovf.Error, "machine "+machine, fmt.Sprintf("has a disk of its own (%s), which is no Volume: %s", d.Name, why), hint)
	}
}

// planOwn moves disks of machines that are no Volumes: the source makes an image
// of the machine (5.14.7.1), and the destination the machine from one. That one
// tells the content of the disk that a machine boots from, so others, and those
// of a machine that boots from a Volume, become Volumes.
func (p *Plan) planOwn(ctx context.Context) error {
	var source *target
	for i := range p.shape.Machines {
		m := &p.shape.Machines[i]
		machine, disks, err := ownDisks(ctx, p.opts.Source.Provider, m.ID)
		if err != nil {
			return at(StepPlan, Source, m.Name, err)
		}
		if len(disks) == 0 {
			continue
		}
		if source == nil {
			t, err := readTarget(ctx, p.opts.Source)
			if err != nil {
				return at(StepPlan, Source, p.opts.Source.Name, err)
			}
			source = &t
		}
		can, err := p.imagesOf(ctx, machine, *source)
		if err != nil {
			return at(StepPlan, Source, m.Name, err)
		}
		if !can {
			p.findOwn(RuleLocalDisk, m.Name, disks, "the source makes no image of the machine (capture, DSP0263 5.14.7.1), and has none",
				"move its content to a Volume; --allow "+RuleLocalDisk+" moves the machine without it")
			continue
		}
		boots := !slices.ContainsFunc(p.shape.Disks, func(d DiskShape) bool { return d.Bootable && slices.Contains(m.Attached, d.ID) })
		for k, d := range disks {
			first := k == 0 && boots
			d.Kept = first && cimi.HrefOf(p.target.entry.MachineImages) != ""
			if !d.Kept {
				if why := p.noVolumes(); why != "" {
					p.findOwn(RuleLocalDisk, m.Name, []DiskShape{d}, "at the destination it had to be one, and "+why, "--allow "+RuleLocalDisk+" moves the machine without it")
					continue
				}
				d.Bootable = first
				p.find(RuleOwnDisk, ovf.Warning, "machine "+m.Name, fmt.Sprintf("has a disk of its own (%s), which becomes a Volume at the destination", d.Name), "")
			}
			p.addDisk(d)
			m.attach(d)
		}
	}
	return nil
}

// attach adds a disk that the machine has.
func (m *MachineShape) attach(d DiskShape) {
	m.Disks++
	m.Attached = append(m.Attached, d.ID)
	if d.place != "" {
		if m.Places == nil {
			m.Places = map[string]string{}
		}
		m.Places[d.ID] = d.place
	}
}

// addDisk adds a disk to those that move.
func (p *Plan) addDisk(d DiskShape) {
	p.shape.Disks = append(p.shape.Disks, d)
	p.Disks = append(p.Disks, PlannedDisk{Name: d.Name, ID: d.OVFID, CapacityBytes: d.Capacity * 1000, Storage: lookup(p.opts.Storage, d.Name)})
	p.Bytes += d.Capacity * 1000
}

// noVolumes says why no Volume with content can be made at the destination,
// empty when one can.
func (p *Plan) noVolumes() string {
	e := p.target.entry
	switch {
	case cimi.HrefOf(e.VolumeImages) == "":
		return "it offers no images of Volumes"
	case cimi.HrefOf(e.Systems) == "" && cimi.HrefOf(e.Volumes) == "":
		return "it offers no Volumes"
	}
	return ""
}

// imagesOf tells whether the source makes images of a machine, or has a
// snapshot of it that is read instead.
func (p *Plan) imagesOf(ctx context.Context, m *cimi.Machine, source target) (bool, error) {
	if captures(m, source) {
		return true, nil
	}
	snapshots, err := listIfThere(ctx, p.opts.Source.Provider, cimi.HrefOf(m.Snapshots))
	return len(snapshots) > 0, err
}

// captures tells whether a cloud makes images of a machine. An operation is
// shown while it is available; a machine that runs may have it when it rests.
func captures(m *cimi.Machine, cloud target) bool {
	described := cloud.metadata["Machine"]
	switch {
	case cimi.HrefOf(cloud.entry.MachineImages) == "":
		return false
	case m.Operation(cimi.ActionCapture) != nil:
		return true
	case described != nil && len(described.Actions) > 0:
		return cloud.offers("Machine", cimi.ActionCapture)
	}
	return runs(m.State)
}
