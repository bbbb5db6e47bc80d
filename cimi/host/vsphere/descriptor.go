package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	govmomiovf "github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// described is a System of others as the vCenter describes it: what CIMI has no
// words for, such as products, properties, the guest's system, firmware and
// start order with its delays, stands in that descriptor. Where the vCenter
// makes none, CIMI's view of the System is all there is, with a finding.
func (k *holdings) described(ctx context.Context, s *host.System) (*host.System, []ovf.Finding, error) {
	inv, err := k.h.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	params := types.OvfCreateDescriptorParams{Name: s.Name, ExportOption: []string{"mac"}}
	byPath := map[string]*host.Disk{}
	for d := range s.AllDisks() {
		if key := k.keys[d.ID]; key != "" {
			path := fmt.Sprintf("disk-%d.vmdk", len(byPath)+1)
			byPath[path] = d
			params.OvfFiles = append(params.OvfFiles, types.OvfFile{DeviceId: key, Path: path, Size: max(k.stored[d.ID], 1)})
		}
	}
	for _, v := range k.nvram {
		if v.key != "" {
			params.OvfFiles = append(params.OvfFiles, types.OvfFile{DeviceId: v.key, Path: v.href, Size: int64(len(v.content))})
		}
	}
	var of types.ManagedObjectReference
	switch vm, app := inv.byID[s.ID], inv.byApp[s.ID]; {
	case vm != nil:
		of = vm.Self
	case app != nil:
		of = app.Self
	default:
		return nil, nil, fmt.Errorf("system %s is gone from the vCenter: %w", s.Name, host.ErrNotFound)
	}
	res, err := govmomiovf.NewManager(k.h.conn.Client).CreateDescriptor(ctx, of, params)
	if err != nil || res.OvfDescriptor == "" {
		if err == nil {
			err = refusal(res)
		}
		if ctx.Err() != nil || faultOf(err) == nil {
			return nil, nil, explain(err)
		}
		return s, []ovf.Finding{{ID: "VSPHERE-OVF-001", Severity: ovf.Warning, Object: "system " + s.Name, Clause: "DSP0243 6",
			Message: fmt.Sprintf("the vCenter makes no descriptor of it (%v): it is described by what CIMI shows, without devices other than disks and cards, firmware, products and properties", explain(err))}}, nil
	}
	var found []ovf.Finding
	for _, w := range append(res.Error, res.Warning...) {
		found = append(found, ovf.Finding{ID: "VSPHERE-OVF-002", Severity: ovf.Warning, Object: "system " + s.Name, Clause: "DSP0243 6",
			Message: fmt.Sprintf("the vCenter's descriptor is not all that it is: %s (%s)", strings.TrimSpace(w.LocalizedMessage), kind(w.Fault))})
	}
	env, err := ovf.Parse([]byte(res.OvfDescriptor))
	if err != nil {
		return nil, nil, fmt.Errorf("system %s: the vCenter's descriptor: %w", s.Name, err)
	}
	paths := map[string]string{} // by id of the File
	for _, f := range env.Files() {
		paths[f.ID] = f.Href
	}
	for _, od := range env.Disks() {
		if d := byPath[paths[od.FileRef]]; d != nil {
			d.OVFID = od.ID
			delete(byPath, paths[od.FileRef])
		}
	}
	for path, d := range byPath {
		return nil, nil, fmt.Errorf("system %s: the vCenter's descriptor has not the disk %s (%s): %w", s.Name, d.Name, path, host.ErrUnsupported)
	}
	if err := k.describeVariables(s, env); err != nil {
		return nil, nil, err
	}
	s.DescriptorName = "system.ovf"
	s, err = host.Redescribe(s, env.Bytes(), k.h.Capabilities())
	return s, found, err
}

// refusal is why there is no descriptor.
func refusal(res *types.OvfCreateDescriptorResult) error {
	for _, e := range res.Error {
		return &refused{e}
	}
	return errors.New("it answers with nothing")
}

type refused struct{ types.LocalizedMethodFault }

func (r *refused) Error() string                { return r.LocalizedMessage }
func (r *refused) Fault() types.BaseMethodFault { return r.LocalizedMethodFault.Fault }
