package libvirt

import (
	"errors"
	"testing"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
)

// TestSettled: what passes is waited for, whoever says it; the rest is not.
func TestSettled(t *testing.T) {
	const invalid = uint32(lv.ErrOperationInvalid)
	for _, c := range []struct {
		err   error
		waits bool
	}{
		{lv.Error{Code: invalid, Message: "volume 'a' is still in use."}, true},
		{lv.Error{Code: invalid, Message: "Requested operation is not valid: volume 'a' is still being allocated."}, true},
		{&stream.Error{Code: invalid, Message: "volume 'a' is still being allocated."}, true},
		{lv.Error{Code: invalid, Message: "the pool is not active because it was stopped"}, false},
		{lv.Error{Code: uint32(lv.ErrNoStorageVol), Message: "no volume in use"}, false},
	} {
		calls := 0
		err := settled(t.Context(), func() error {
			if calls++; calls < 3 {
				return c.err
			}
			return nil
		})
		if c.waits && (err != nil || calls != 3) || !c.waits && (!errors.Is(err, c.err) || calls != 1) {
			t.Errorf("%v: %d calls: %v", c.err, calls, err)
		}
	}
}
