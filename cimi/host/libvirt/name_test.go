package libvirt_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// TestSameNameE2E: machines of one name that come to a libvirtd at once, each by
// another client, all become domains: the name is the first one's, the others'
// have part of their ids.
func TestSameNameE2E(t *testing.T) {
	libvirtd.Need(t)
	const clients, times = 4, 10
	var all []host.Host
	for k := newHosts(""); len(all) < clients; {
		all = append(all, k.Open(t))
	}
	for range times {
		errs := make([]error, clients)
		made := make([]*host.System, clients)
		var wg sync.WaitGroup
		for i, h := range all {
			pkg := stored(t, "v1", make([]byte, 1<<20))
			wg.Go(func() { made[i], errs[i] = h.Import(context.Background(), pkg, host.ImportOptions{}) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, h := range all {
			if err := h.Delete(context.Background(), made[i].ID); err != nil {
				t.Error(err)
			}
		}
	}
}
