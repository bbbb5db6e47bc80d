package libvirt_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest"
)

// hosts opens hosts over the libvirtd of this machine; query is added to the URI.
type hosts struct {
	query string
	pools map[host.Host]string
}

func newHosts(query string) hosts { return hosts{query, map[host.Host]string{}} }

func (k hosts) Open(t testing.TB) host.Host {
	pool, _ := libvirtd.Pool(t)
	return k.open(t, pool)
}

func (k hosts) open(t testing.TB, pool string) *libvirt.Host {
	t.Helper()
	h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool+k.query, libvirt.Options{Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	k.pools[h] = pool
	t.Cleanup(func() { h.Close() })
	return h
}

func (k hosts) Reopen(t testing.TB, h host.Host) host.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return k.open(t, k.pools[h])
}

func TestHostE2E(t *testing.T) {
	libvirtd.Need(t)
	for name, query := range map[string]string{"raw": "", "qcow2": "&format=qcow2"} {
		t.Run(name, func(t *testing.T) { hosttest.Run(t, newHosts(query)) })
	}
}

func TestProviderE2E(t *testing.T) {
	libvirtd.Need(t)
	providertest.Run(t, func(t testing.TB) cimi.Provider {
		pool, _ := libvirtd.Pool(t)
		h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool, libvirt.Options{Owner: "test"})
		if err != nil {
			t.Fatal(err)
		}
		p, err := provider.New(context.Background(), h, provider.Options{AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	})
}
