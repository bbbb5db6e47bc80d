package migrate_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/providertest/bare"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
)

// bared is the cloud over HTTP as another one shows it, in the dialect of a
// version.
func (c *cloud) bared(v cimi.Version, as func(cimi.Provider) cimi.Provider) migrate.Endpoint {
	c.t.Helper()
	handler, err := server.New(as(c.p), server.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	c.t.Cleanup(s.Close)
	return dialed(c.t, entryOf(s.URL, v))
}

func entryOf(url string, v cimi.Version) string {
	if v == cimi.V1 {
		return url + "/cimi/1/cloudEntryPoint"
	}
	return url + "/cimi/2/cloudEntryPoint"
}

func dialed(t testing.TB, url string) migrate.Endpoint {
	t.Helper()
	p, err := client.New(context.Background(), url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return migrate.Endpoint{Name: url, URL: url, Provider: p}
}

func asBare(p cimi.Provider) cimi.Provider { return bare.Provider{Provider: p} }
func withoutSystems(p cimi.Provider) cimi.Provider {
	return bare.Provider{Provider: p, NoSystems: true}
}
