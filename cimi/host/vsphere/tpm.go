package vsphere

import (
	"context"
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// tpm gives the machine a virtual TPM, empty as every new one is: what was
// sealed by the old one needs its recovery key (AC-26). vCenter takes one only
// where it has a key provider to encrypt it with.
func (d *devices) tpm(ctx context.Context, it ovf.Item) error {
	has, err := d.p.h.hasKeyProvider(ctx)
	if err != nil {
		return err
	}
	if !has {
		if it.Required {
			return fmt.Errorf("the package demands a virtual TPM, and the vCenter has no default key provider: set one up: %w", host.ErrUnsupported)
		}
		d.p.find("VSPHERE-TPM-001", ovf.Warning, "machine "+d.m.Name, "it is made without a virtual TPM: the vCenter has no default key provider; disks sealed by the old one need their recovery key")
		return nil
	}
	d.p.find("VSPHERE-TPM-001", ovf.Warning, "machine "+d.m.Name, "its virtual TPM is a new, empty one: disks sealed by the old one need their recovery key")
	x := &types.VirtualTPM{}
	x.Key = d.key()
	d.list = append(d.list, x)
	return nil
}

// hasKeyProvider tells whether the vCenter has a default key provider.
func (h *Host) hasKeyProvider(ctx context.Context) (bool, error) {
	m := h.conn.ServiceContent.CryptoManager
	if m == nil {
		return false, nil
	}
	res, err := methods.GetDefaultKmsCluster(ctx, h.conn, &types.GetDefaultKmsCluster{This: *m, DefaultsToParent: types.NewBool(true)})
	var general *types.RuntimeFault // and nothing more particular: there is none
	if isFault[*types.NotSupported](err) || isFault[*types.MethodNotFound](err) || reflect.TypeOf(faultOf(err)) == reflect.TypeOf(general) {
		return false, nil
	}
	if err != nil {
		return false, explain(err)
	}
	return res.Returnval != nil && res.Returnval.Id != "", nil
}
