package host

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// freeze decides what the package holds.
func (x *export) freeze(ctx context.Context, s *System, caps Capabilities) error {
	finding := func(f ovf.Finding) { x.state.Findings = append(x.state.Findings, f) }
	s, err := named(s)
	if err != nil {
		return err
	}
	var env *ovf.Envelope
	if len(s.Descriptor) == 0 {
		s.DescriptorName = "system.ovf"
		env, err = build(s, finding)
	} else {
		if env, err = ovf.Parse(bytes.Clone(s.Descriptor)); err != nil {
			return fmt.Errorf("system %s: the kept descriptor: %w", s.Name, err)
		}
		env, err = edit(env, s, caps.VirtualSystemTypes, finding)
	}
	if err != nil {
		return fmt.Errorf("system %s: %w", s.Name, err)
	}
	if err := x.freezeFiles(ctx, env, s); err != nil {
		return fmt.Errorf("system %s: %w", s.Name, err)
	}
	if s.CertificateName != "" {
		finding(ovf.Finding{ID: "MAP-SIG-001", Severity: ovf.Warning, Object: s.CertificateName,
			Message: "the signature is void: the package was written anew", Clause: "DSP0243 5.2"})
	}
	x.state.Layout, x.state.System = frozenVersion, s.ID
	x.state.Envelope = env.Bytes()
	x.state.Descriptor = path.Base(s.DescriptorName)
	return nil
}

// freezeFiles goes through References: disks are written anew, other files are
// taken as they are.
func (x *export) freezeFiles(ctx context.Context, env *ovf.Envelope, s *System) error {
	base := strings.TrimSuffix(path.Base(s.DescriptorName), path.Ext(s.DescriptorName))
	taken := map[string]bool{path.Base(s.DescriptorName): true, base + ".mf": true, base + ".cert": true}
	kept := map[string]bool{}
	for _, n := range s.FileNames {
		kept[n] = true
	}
	byOVFID := map[string]*Disk{}
	for d := range s.AllDisks() {
		if _, ok := byOVFID[d.OVFID]; !ok {
			byOVFID[d.OVFID] = d
		}
	}
	for _, f := range env.Files() {
		taken[cleanOr(f.Href)] = true
	}
	if err := separate(env, s, byOVFID, taken); err != nil {
		return err
	}
	for _, f := range env.Files() {
		delete(taken, cleanOr(f.Href)) // each takes its name in its turn
	}
	taken[path.Base(s.DescriptorName)], taken[base+".mf"], taken[base+".cert"] = true, true, true
	byFile := map[string]*Disk{}
	for _, od := range env.Disks() {
		if d, ok := byOVFID[od.ID]; ok && !od.Blank() {
			if _, twice := byFile[od.FileRef]; !twice {
				byFile[od.FileRef] = d
			}
		}
	}
	for _, f := range env.Files() {
		if kept[f.Href] {
			taken[cleanOr(f.Href)] = true
		}
	}
	stored := map[string]*vmdk.Layout{}
	for _, f := range env.Files() {
		d, isDisk := byFile[f.ID]
		if !isDisk {
			if !kept[f.Href] {
				continue // the descriptor itself, or a companion
			}
			delete(kept, f.Href)
			if err := x.freezeKept(ctx, f, cleanOr(f.Href)); err != nil {
				return err
			}
			continue
		}
		l, err := x.layout(ctx, d, s)
		if err != nil {
			return err
		}
		stored[f.ID] = l
		b, err := l.MarshalBinary()
		if err != nil {
			return err
		}
		img, err := x.image(ctx, d)
		if err != nil {
			return err
		}
		name := freeName(taken, vmdkName(f))
		x.state.Files = append(x.state.Files, frozenFile{Name: name, Size: l.Size(), Disk: d.ID, Stored: b, Digest: contentOf(d, img)})
		space := env.Namespace()
		if cleanOr(f.Href) != name {
			f.Node().SetAttr(space, "href", name, "ovf")
		}
		f.Node().SetAttr(space, "size", strconv.FormatInt(l.Size(), 10), "ovf")
		f.Node().RemoveAttr(space, "compression")
		f.Node().RemoveAttr(space, "chunkSize")
	}
	for _, name := range s.FileNames {
		if kept[name] { // no entry of References names it
			if err := x.freezeWhole(ctx, name, freeName(taken, cleanOr(name))); err != nil {
				return err
			}
		}
	}
	return editDisks(env, s, byOVFID, stored)
}

// editDisks brings DiskSection up to date with the disks and their new files.
func editDisks(env *ovf.Envelope, s *System, byOVFID map[string]*Disk, stored map[string]*vmdk.Layout) error {
	space := env.Namespace()
	uri, _ := formats.URI(disk.VMDK)
	for _, od := range env.Disks() {
		d, ok := byOVFID[od.ID]
		if !ok {
			continue
		}
		was, err := od.CapacityIn(s.Configuration, propertyValues(s.Properties))
		if err != nil {
			was = -1 // it said nothing that counts
		}
		if wholeSectors(was) != d.CapacityBytes {
			od.Node().SetAttr(space, "capacity", strconv.FormatInt(d.CapacityBytes, 10), "ovf")
			if od.AllocationUnits != "" {
				od.Node().SetAttr(space, "capacityAllocationUnits", "byte", "ovf")
			}
		}
		l, ok := stored[od.FileRef]
		if !ok {
			continue
		}
		if f, known := formats.OfURI(od.ContentFormat()); !known || f != disk.VMDK {
			od.SetFormat(uri)
		}
		if od.PopulatedSize >= 0 {
			od.Node().SetAttr(space, "populatedSize", strconv.FormatInt(l.DataBytes(), 10), "ovf")
		}
	}
	return nil
}

// layout opens the disk and lays it out in the stored form.
func (x *export) layout(ctx context.Context, d *Disk, s *System) (*vmdk.Layout, error) {
	img, err := x.image(ctx, d)
	if err != nil {
		return nil, err
	}
	adapter := vmdk.LSILogic
	for m := range s.AllMachines() {
		for _, a := range m.Attachments {
			if a.DiskID == d.ID && a.Controller == "ide" {
				adapter = vmdk.IDE
			}
		}
	}
	l, err := vmdk.NewLayout(ctx, img, vmdk.StoredOptions{Adapter: adapter})
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", d.Name, err)
	}
	return l, nil
}

func (x *export) image(ctx context.Context, d *Disk) (disk.Image, error) {
	if img, ok := x.images[d.ID]; ok {
		return img, nil
	}
	img, err := x.from.Disk(ctx, d)
	if err != nil {
		return nil, err
	}
	x.images[d.ID] = img
	return img, nil
}

// freezeKept takes a file of References as it came: in its chunks (DSP0243 7.1)
// where it came so.
func (x *export) freezeKept(ctx context.Context, f ovf.File, name string) error {
	if f.ChunkSize <= 0 {
		return x.freezeWhole(ctx, f.Href, name)
	}
	r, err := x.from.File(ctx, f.Href)
	if err != nil {
		return err
	}
	size := r.Size()
	if err := r.Close(); err != nil {
		return err
	}
	for i, off := 0, int64(0); off < size || i == 0; i, off = i+1, off+f.ChunkSize {
		x.state.Files = append(x.state.Files, frozenFile{Name: ovf.ChunkName(name, i), Kept: f.Href, Offset: off, Size: min(f.ChunkSize, size-off)})
	}
	return nil
}

func (x *export) freezeWhole(ctx context.Context, href, name string) error {
	r, err := x.from.File(ctx, href)
	if err != nil {
		return err
	}
	x.state.Files = append(x.state.Files, frozenFile{Name: name, Kept: href, Size: r.Size()})
	return r.Close()
}

// vmdkName is the name of a disk written anew: that of its file, with the
// extension that it deserves now.
func vmdkName(f ovf.File) string {
	name := cleanOr(f.Href)
	if f.Compressed() {
		for _, ext := range []string{".gz", ".bz2", ".xz", ".zst"} {
			name = strings.TrimSuffix(name, ext)
		}
	}
	if !strings.EqualFold(path.Ext(name), ".vmdk") {
		switch strings.ToLower(path.Ext(name)) {
		case ".img", ".raw", ".qcow2", ".vhd", ".vhdx", ".vdi":
			name = strings.TrimSuffix(name, path.Ext(name))
		}
		name += ".vmdk"
	}
	return name
}

func cleanOr(href string) string {
	if name, err := ovf.CleanName(href); err == nil {
		return name
	}
	return href
}

func freeName(taken map[string]bool, name string) string {
	ext := path.Ext(name)
	free := name
	for i := 2; taken[free]; i++ {
		free = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), i, ext)
	}
	taken[free] = true
	return free
}
