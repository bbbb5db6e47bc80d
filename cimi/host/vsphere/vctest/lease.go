package vctest

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Lease is what a test may know of a lease, open or past.
type Lease struct {
	Import bool
	// State is ready, done, or error for one that was aborted or expired.
	State   types.HttpNfcLeaseState
	Expired bool
	// Progress is every percentage that was told, in order.
	Progress []int32
}

// lease is an HttpNfcLease (vSphere API) of an import or an export.
type lease struct {
	mo.HttpNfcLease
	v        *VCenter
	isImport bool
	entity   types.ManagedObjectReference // what an import made; zero for an export
	files    map[string]content           // by the last part of the URL

	mu    sync.Mutex
	notes Lease
	timer *time.Timer
	over  bool
	sums  map[string]types.HttpNfcLeaseManifestEntry
}

// newLease makes a lease that is being prepared. prepare makes what it is for.
func (v *VCenter) newLease(isImport bool, prepare func(*lease, *types.HttpNfcLeaseInfo) error) *lease {
	l := &lease{v: v, isImport: isImport, files: map[string]content{}, sums: map[string]types.HttpNfcLeaseManifestEntry{}}
	l.notes = Lease{Import: isImport, State: types.HttpNfcLeaseStateInitializing}
	l.State = types.HttpNfcLeaseStateInitializing
	l.Self.Type = "HttpNfcLease"
	l.Mode = string(types.HttpNfcLeaseModePushOrGet)
	info := &types.HttpNfcLeaseInfo{LeaseTimeout: int32(max(1, v.opts.LeaseTimeout/time.Second))}
	v.model.Map().Put(l)
	info.Lease = l.Self
	v.mu.Lock()
	v.leases[l.Self.Value] = l
	v.mu.Unlock()
	go func() {
		if err := prepare(l, info); err != nil {
			l.end(nil, types.HttpNfcLeaseStateError, err)
			l.remove()
			return
		}
		info.Entity = l.entity
		l.mu.Lock()
		l.timer = time.AfterFunc(v.opts.LeaseTimeout, l.expire)
		l.notes.State = types.HttpNfcLeaseStateReady
		l.mu.Unlock()
		l.update(nil, types.PropertyChange{Name: "info", Val: info}, types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateReady})
	}()
	return l
}

// offer gives the lease a file of the machine that has that reference and name.
func (l *lease) offer(info *types.HttpNfcLeaseInfo, vm types.ManagedObjectReference, name string, c content) {
	file := vm.Value + strings.NewReplacer("/", "-", ":", "-").Replace(c.key) + path.Ext(c.file.Path)
	c.named = "/" + vm.Value + c.key
	l.files[file] = c
	info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{Key: c.named, ImportKey: "/" + name + c.key,
		Disk: types.NewBool(c.disk), Url: l.v.esx.URL + nfcPrefix + l.Self.Value + "/" + file, SslThumbprint: l.v.thumbprint, TargetId: path.Base(c.file.Path)})
	l.v.mu.Lock()
	if told := l.v.told; told != "" {
		info.DeviceUrl[len(info.DeviceUrl)-1].SslThumbprint = told
	}
	l.v.mu.Unlock()
	if c.disk {
		info.TotalDiskCapacityInKB += c.capacity / 1024
	}
}

// update changes properties on behalf of ctx, which may hold the lease's lock
// already; nil for a call of ours.
func (l *lease) update(ctx *simulator.Context, changes ...types.PropertyChange) {
	if ctx == nil {
		own := *l.v.model.Service.Context
		ctx = &own
	}
	ctx.WithLock(l, func() { ctx.Update(l, changes) })
}

// end ends the lease; false when it has ended already.
func (l *lease) end(ctx *simulator.Context, state types.HttpNfcLeaseState, fault error) bool {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return false
	}
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.notes.State = state
	_, l.notes.Expired = fault.(*timedOut)
	notes := l.notes
	l.mu.Unlock()
	l.v.mu.Lock()
	delete(l.v.leases, l.Self.Value)
	l.v.past = append(l.v.past, notes)
	l.v.mu.Unlock()
	changes := []types.PropertyChange{{Name: "state", Val: state}}
	if fault != nil {
		changes = append(changes, types.PropertyChange{Name: "error", Val: localized(fault)})
	}
	l.update(ctx, changes...)
	return true
}

// localized is an error as the API tells it.
func localized(err error) *types.LocalizedMethodFault {
	out := &types.LocalizedMethodFault{Fault: &types.SystemError{Reason: err.Error()}, LocalizedMessage: err.Error()}
	if f, ok := vimFault(err); ok {
		out.Fault = f
	}
	return out
}

func vimFault(err error) (types.BaseMethodFault, bool) {
	if soap.IsSoapFault(err) {
		f, ok := soap.ToSoapFault(err).VimFault().(types.BaseMethodFault)
		return f, ok
	}
	if f, ok := err.(types.HasFault); ok {
		return f.Fault(), true
	}
	return nil, false
}

func (l *lease) expire() {
	if l.end(nil, types.HttpNfcLeaseStateError, &timedOut{}) {
		l.remove()
	}
}

type timedOut struct{}

func (*timedOut) Error() string                { return "the lease timed out" }
func (*timedOut) Fault() types.BaseMethodFault { return &types.Timedout{} }

// remove takes back what an import has made.
func (l *lease) remove() {
	if l.entity.Value == "" {
		return
	}
	_ = l.v.destroy(l.entity) // gone already, if it is not there
}

func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *lease) HttpNfcLeaseComplete(ctx *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	body := &methods.HttpNfcLeaseCompleteBody{}
	if !l.end(ctx, types.HttpNfcLeaseStateDone, nil) {
		body.Fault_ = simulator.Fault("", &types.InvalidState{})
		return body
	}
	body.Res = new(types.HttpNfcLeaseCompleteResponse)
	return body
}

func (l *lease) HttpNfcLeaseAbort(ctx *simulator.Context, _ *types.HttpNfcLeaseAbort) soap.HasFault {
	body := &methods.HttpNfcLeaseAbortBody{}
	if !l.end(ctx, types.HttpNfcLeaseStateError, fmt.Errorf("aborted by the client")) {
		body.Fault_ = simulator.Fault("", &types.InvalidState{})
		return body
	}
	go l.remove()
	body.Res = new(types.HttpNfcLeaseAbortResponse)
	return body
}

func (l *lease) HttpNfcLeaseProgress(_ *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	body := &methods.HttpNfcLeaseProgressBody{}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.timer == nil || req.Percent < 0 || req.Percent > 100 {
		body.Fault_ = simulator.Fault("", &types.InvalidState{})
		return body
	}
	l.notes.Progress = append(slices.Clip(l.notes.Progress), req.Percent)
	l.timer.Reset(l.v.opts.LeaseTimeout)
	body.Res = new(types.HttpNfcLeaseProgressResponse)
	return body
}

func (l *lease) HttpNfcLeaseGetManifest(*simulator.Context, *types.HttpNfcLeaseGetManifest) soap.HasFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	res := new(types.HttpNfcLeaseGetManifestResponse)
	l.v.mu.Lock()
	tell := l.v.tell
	l.v.mu.Unlock()
	for _, m := range l.sums {
		if tell != nil && !tell(&m) {
			continue
		}
		res.Returnval = append(res.Returnval, m)
	}
	return &methods.HttpNfcLeaseGetManifestBody{Res: res}
}

// OpenLeases are those that have not ended.
func (v *VCenter) OpenLeases() []Lease {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []Lease
	for _, l := range v.leases {
		l.mu.Lock()
		out = append(out, l.notes)
		l.mu.Unlock()
	}
	return out
}

// PastLeases are those that have ended, in that order.
func (v *VCenter) PastLeases() []Lease {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.past)
}

func (v *VCenter) lease(id string) *lease {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.leases[id]
}

type internalKey struct{}

// internal marks calls of ours, which are not counted, denied or interrupted.
func internal() context.Context {
	return context.WithValue(context.Background(), internalKey{}, true)
}
