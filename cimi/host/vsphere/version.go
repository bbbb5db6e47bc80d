package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
)

var _ host.Versioner = (*Host)(nil)

// poweredOn are the events of a machine that was started.
var poweredOn = []string{"VmPoweredOnEvent", "DrsVmPoweredOnEvent"}

// ContentVersion tells of the machine's last start, by the event of it: the time
// of a start is kept for a machine that runs only, and its configuration may be
// written down some time after it has stopped.
func (h *Host) ContentVersion(ctx context.Context, diskID string) (string, error) {
	m, d, k, err := h.attachedDisk(ctx, diskID)
	if err != nil || m == nil {
		return "", err
	}
	vm, err := h.machine(ctx, m.ID)
	if err != nil || vm == nil {
		return "", err
	}
	at, ok := places(vm, m, k.noted)[diskID]
	events := h.conn.ServiceContent.EventManager
	if !ok || events == nil {
		return "", nil
	}
	res, err := methods.QueryEvents(ctx, h.conn.Client, &types.QueryEvents{This: *events, Filter: types.EventFilterSpec{
		EventTypeId: poweredOn,
		Entity:      &types.EventFilterSpecByEntity{Entity: vm.Self, Recursion: types.EventFilterSpecRecursionOptionSelf},
	}})
	if isFault[*types.NotImplemented](err) || isFault[*types.NoPermission](err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("disk %s: when machine %s was started last: %w", d.Name, m.Name, explain(err))
	}
	var last int32
	for _, e := range res.Returnval {
		last = max(last, e.GetEvent().Key)
	}
	file, _ := flatFile(at.disk)
	return fmt.Sprintf("%s of %s, started %d", file.String(), vm.Self.Value, last), nil
}
