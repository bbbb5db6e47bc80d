package vsphere_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// cloud is a vCenter of its own, as a cloud.
func cloud(t testing.TB) cimi.Provider {
	t.Helper()
	p, err := provider.New(context.Background(), open(t, vctest.New(t, vctest.Options{}), ""),
		provider.Options{AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestProvider(t *testing.T) {
	providertest.Run(t, cloud)
}

// TestProviderOnTheWire: the same vCenter as a cloud on the network.
func TestProviderOnTheWire(t *testing.T) {
	ovftest.Slow(t)
	providertest.Run(t, func(t testing.TB) cimi.Provider {
		h, err := server.New(cloud(t), server.Options{PageSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		c, err := client.New(t.Context(), srv.URL+"/cloudEntryPoint", client.Options{Format: "xml", Retry: fetch.Options{MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	})
}
