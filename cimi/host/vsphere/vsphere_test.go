package vsphere_test

import (
	"context"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// open opens a vCenter as its operator.
func open(t testing.TB, v *vctest.VCenter, query string) *vsphere.Host {
	t.Helper()
	h, err := vsphere.Open(context.Background(), v.Endpoint()+query, options(t, v))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func options(t testing.TB, v *vctest.VCenter) vsphere.Options {
	return vsphere.Options{User: vctest.User, Password: vctest.Password, Connection: fetch.Connection{Pin: v.Pin()}, Owner: "test", Spool: t.TempDir(),
		Retry: fetch.Options{MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond}}
}

type hosts struct{ of map[host.Host]*vctest.VCenter }

func (k hosts) Open(t testing.TB) host.Host {
	return k.open(t, vctest.New(t, vctest.Options{}))
}

func (k hosts) open(t testing.TB, v *vctest.VCenter) host.Host {
	h := open(t, v, "")
	k.of[h] = v
	t.Cleanup(func() { h.Close() })
	return h
}

func (k hosts) Reopen(t testing.TB, h host.Host) host.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return k.open(t, k.of[h])
}

func TestHost(t *testing.T) {
	ovftest.Slow(t)
	hosttest.Run(t, hosts{map[host.Host]*vctest.VCenter{}})
}
