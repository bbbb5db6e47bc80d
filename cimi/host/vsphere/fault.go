package vsphere

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// A PermissionError names the privilege that the account lacks.
type PermissionError struct {
	Privilege string // such as VirtualMachine.Provisioning.GetVmFiles
	Object    string // what it is needed on
	Err       error
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("the account lacks the privilege %s on %s; a role with it must be given there", e.Privilege, e.Object)
}

// Unwrap shows the kind of error to who asks for its class.
func (e *PermissionError) Unwrap() error {
	return &cimi.SecurityError{Message: "no permission", Err: e.Err}
}

// explain makes a fault of vCenter an error that says what to do, and wraps what
// callers of a host.Host ask for.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var denied *PermissionError
	if errors.As(err, &denied) || errors.Is(err, context.Canceled) {
		return err
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return &cimi.SecurityError{Message: "its certificate is not trusted (--ca-file or --tls-pin says which one is)", Err: untrusted.Err}
	}
	var other *fetch.PinError
	if errors.As(err, &other) {
		return &cimi.SecurityError{Message: "it shows another certificate than the one that is trusted", Err: other}
	}
	f := faultOf(err)
	if f == nil {
		return withoutURL(err)
	}
	switch x := f.(type) {
	case *types.NoPermission:
		p := &PermissionError{Privilege: x.PrivilegeId, Object: "the vCenter", Err: err}
		if x.Object != nil {
			p.Object = x.Object.Type + " " + x.Object.Value
		}
		if p.Privilege == "" && len(x.MissingPrivileges) > 0 {
			p.Privilege = strings.Join(x.MissingPrivileges[0].PrivilegeIds, ", ")
		}
		return p
	case *types.InvalidLogin:
		return &cimi.SecurityError{Message: "the vCenter does not accept this user name and password", Err: err}
	case *types.NotAuthenticated:
		return &cimi.SecurityError{Message: "the session with the vCenter has ended", Err: err}
	case *types.ManagedObjectNotFound:
		return fmt.Errorf("%s %s: %w: %w", x.Obj.Type, x.Obj.Value, host.ErrNotFound, err)
	case *types.DuplicateName:
		return fmt.Errorf("the name %s: %w: %w", x.Name, host.ErrExists, err)
	case *types.InvalidPowerState:
		return fmt.Errorf("it is %s: %w: %w", x.ExistingState, host.ErrBusy, err)
	case *types.NoDiskSpace:
		return &host.NoSpaceError{Object: "datastore " + x.Datastore, Free: -1, Err: err}
	case *types.InsufficientStorageSpace:
		return &host.NoSpaceError{Object: "the vCenter's datastores", Free: -1, Err: err}
	case *types.FileNotFound:
		return fmt.Errorf("file %s: %w: %w", x.File, host.ErrNotFound, err)
	case *types.NotSupported, *types.MethodNotFound, *types.DeviceUnsupportedForVmPlatform, *types.VmConfigFault, *types.InvalidVmConfig:
		return fmt.Errorf("%w: %s: %w", host.ErrUnsupported, kind(f), err)
	}
	return err
}

// faultOf is the fault in an error, nil where there is none.
func faultOf(err error) types.BaseMethodFault {
	var f interface {
		Fault() types.BaseMethodFault
	}
	if errors.As(err, &f) {
		return f.Fault()
	}
	return nil
}

func isFault[T types.BaseMethodFault](err error) bool {
	_, ok := faultOf(err).(T)
	return ok
}

// kind is the name of a fault in the vSphere API.
func kind(f types.BaseMethodFault) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", f), "*types.")
}
