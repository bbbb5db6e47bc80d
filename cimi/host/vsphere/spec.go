package vsphere

import (
	"context"
	"fmt"
	"slices"
	"strings"

	govmomiovf "github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// planned is what an import asks the vCenter to make.
type planned struct {
	system *host.System
	spec   types.BaseImportSpec
	// disks leads from the key by which a lease names a device, MACHINE/DEVICE,
	// to the disk that goes there; files to files of the package.
	disks map[string]*host.Disk
	files map[string]string // href by key
	// machines are the names they get in the vCenter, by id.
	machines map[string]string
	app      string // id of the vApp; empty for a single machine
}

// places are the vApp that the System is, and the devices that disks are put
// on, by id.
func (p *planned) places() map[string]string {
	out := map[string]string{}
	if p.app != "" {
		out[p.system.ID] = p.app
	}
	for key, d := range p.disks {
		out[d.ID] = key[strings.LastIndexByte(key, '/')+1:]
	}
	return out
}

// planner makes the import specification of a System.
type planner struct {
	h       *Host
	env     *ovf.Envelope // of the package; its kept descriptor
	s       *host.System
	out     *planned
	finding func(ovf.Finding)
	names   map[string]bool // of machines that are taken
	nets    map[string]network
}

// plan decides everything about a System that arrives, and refuses what the
// vCenter would refuse after the upload (AC-35).
func (h *Host) plan(ctx context.Context, env *ovf.Envelope, s *host.System, finding func(ovf.Finding)) (*planned, error) {
	if finding == nil {
		finding = func(ovf.Finding) {}
	}
	p := &planner{h: h, env: env, s: s, finding: finding, names: map[string]bool{}, nets: map[string]network{},
		out: &planned{system: s, disks: map[string]*host.Disk{}, files: map[string]string{}, machines: map[string]string{}}}
	inv, err := h.look(ctx)
	if err != nil {
		return nil, err
	}
	for _, vm := range inv.machines {
		p.names[vm.Name] = true
	}
	for _, a := range inv.apps {
		p.names[a.Name] = true
	}
	if err := p.networks(ctx, inv); err != nil {
		return nil, err
	}
	p.addresses(inv)
	if !s.Collection && len(s.Machines) == 1 && len(s.Systems) == 0 {
		p.out.spec, err = p.machine(ctx, s, s.Machines[0])
		return p.out, err
	}
	if !h.place.vApps {
		return nil, fmt.Errorf("system %s is a collection, and the cluster takes no vApps because DRS is off: switch DRS on, or name a pool of a host (?pool=): %w", s.Name, host.ErrUnsupported)
	}
	p.out.app = host.NewID()
	p.out.spec, err = p.vApp(ctx, s, p.out.app)
	return p.out, err
}

func (p *planner) find(id string, severity ovf.Severity, object, format string, args ...any) {
	p.finding(ovf.Finding{ID: id, Severity: severity, Object: object, Message: fmt.Sprintf(format, args...)})
}

// name is a free name in the vCenter: the one wanted, else with part of the id.
func (p *planner) name(want, id string) string {
	want = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' || r == '\\' || r == '%' {
			return '-'
		}
		return r
	}, want))
	if r := []rune(want); len(r) > 71 { // 80 less a dash and eight digits
		want = string(r[:71])
	}
	if want == "" {
		want = "machine"
	}
	if p.names[want] {
		want += "-" + id[:min(8, len(id))]
	}
	p.names[want] = true
	return want
}

// vApp is the specification of a collection.
func (p *planner) vApp(ctx context.Context, s *host.System, id string) (*types.VirtualAppImportSpec, error) {
	spec := &types.VirtualAppImportSpec{Name: p.name(s.Name, id), ResourcePoolSpec: types.DefaultResourceConfigSpec()}
	spec.VAppConfigSpec.Annotation, spec.VAppConfigSpec.InstanceUuid = s.Description, uuidOf(id)
	c, described := p.env.ByID(s.OVFID)
	startup := map[string]ovf.StartupItem{}
	if described {
		spec.VAppConfigSpec.VmConfigSpec = p.appliance(c)
		for _, item := range c.Startup() {
			startup[item.ID] = item
		}
	}
	for _, m := range s.Machines {
		k, err := p.machine(ctx, s, m)
		if err != nil {
			return nil, err
		}
		k.EntityConfig = entity(startup[m.OVFID], m.StartOrder)
		spec.Child = append(spec.Child, k)
	}
	for _, inner := range s.Systems {
		k, err := p.vApp(ctx, inner, inner.ID)
		if err != nil {
			return nil, err
		}
		k.EntityConfig = entity(startup[inner.OVFID], startup[inner.OVFID].Order)
		spec.Child = append(spec.Child, k)
	}
	return spec, nil
}

// entity is a place in the start order of a vApp (DSP0243 9.7).
func entity(item ovf.StartupItem, order int) *types.VAppEntityConfigInfo {
	e := &types.VAppEntityConfigInfo{StartOrder: int32(order), StartDelay: int32(item.StartDelay), StopDelay: int32(item.StopDelay),
		WaitingForGuest: types.NewBool(item.WaitingForGuest), StartAction: "powerOn", StopAction: "powerOff", DestroyWithParent: types.NewBool(true)}
	if item.StartAction != "" {
		e.StartAction = item.StartAction
	}
	if item.StopAction != "" {
		e.StopAction = item.StopAction
	}
	return e
}

// machine is the specification of a machine of s.
func (p *planner) machine(ctx context.Context, s *host.System, m *host.Machine) (*types.VirtualMachineImportSpec, error) {
	name := p.name(m.Name, m.ID)
	p.out.machines[m.ID] = name
	spec := types.VirtualMachineConfigSpec{Name: name, Annotation: m.Description, InstanceUuid: uuidOf(m.ID),
		NumCPUs: int32(max(m.CPUs, 1)), MemoryMB: memory(m.MemoryBytes),
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest64),
		Files:   &types.VirtualMachineFileInfo{VmPathName: "[" + p.h.place.datastore.Name() + "]"}}
	if s.Disks != nil {
		if ds := firstStorage(p.s, m); ds != "" {
			found, err := p.datastore(ctx, ds)
			if err != nil {
				return nil, err
			}
			spec.Files.VmPathName = "[" + found + "]"
		}
	}
	var hw ovf.VirtualHardware
	c, described := p.env.ByID(m.OVFID)
	if described {
		hw, _ = c.HardwareFor(func(t string) bool { return slices.Contains(p.h.place.versions, t) })
		p.describe(&spec, c, hw)
	}
	d := &devices{p: p, m: m, hw: hw, spec: &spec, name: name}
	if err := d.build(ctx); err != nil {
		return nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return &types.VirtualMachineImportSpec{ConfigSpec: spec}, nil
}

// firstStorage is where a machine's first disk goes, empty for the default.
func firstStorage(s *host.System, m *host.Machine) string {
	for _, a := range m.Attachments {
		if d := s.Disk(a.DiskID); d != nil {
			return d.Storage
		}
	}
	return ""
}

// describe takes over what the descriptor says of a machine beyond its parts.
func (p *planner) describe(spec *types.VirtualMachineConfigSpec, c ovf.Content, hw ovf.VirtualHardware) {
	if os, ok := c.OperatingSystem(); ok {
		if os.VMwareType != "" {
			spec.GuestId = os.VMwareType
		} else if id := govmomiovf.CIMOSTypeToGuestID(govmomiovf.CIMOSType(os.ID), os.Version); id != "" {
			spec.GuestId = string(id)
		}
	}
	for _, t := range hw.SystemTypes {
		if slices.Contains(p.h.place.versions, t) {
			spec.Version = t
			break
		}
	}
	if n := hw.CoresPerSocket(p.s.Configuration); n > 0 && spec.NumCPUs%int32(n) == 0 {
		spec.NumCoresPerSocket = types.NewInt32(int32(n))
	}
	vapp := p.appliance(c)
	vapp.OvfEnvironmentTransport = hw.Transport
	if i, ok := c.Install(); ok {
		vapp.InstallBootRequired, vapp.InstallBootStopDelay = types.NewBool(true), int32(i.InitialBootStopDelay)
	}
	if len(vapp.Product)+len(vapp.Property)+len(vapp.Eula)+len(vapp.OvfEnvironmentTransport) > 0 || vapp.InstallBootRequired != nil {
		spec.VAppConfig = &vapp
	}
	p.configure(spec, hw)
}
