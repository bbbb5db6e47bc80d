package provider_test

import (
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest"
	"github.com/cimimove/cimimove/cimi/server"
)

func TestProvider(t *testing.T) {
	providertest.Run(t, func(t testing.TB) cimi.Provider { return open(t, t.TempDir(), provider.Options{}) })
}

// TestProviderOnTheWire is the same suite through server and client, in both
// formats and both versions.
func TestProviderOnTheWire(t *testing.T) {
	for _, x := range []struct{ format, version string }{{"json", "2"}, {"xml", "2"}, {"json", "1"}, {"xml", "1"}} {
		t.Run(x.format+x.version, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, func(tb testing.TB) cimi.Provider {
				h, err := server.New(open(tb, tb.TempDir(), provider.Options{}), server.Options{PageSize: 2})
				if err != nil {
					tb.Fatal(err)
				}
				srv := httptest.NewServer(h)
				c, err := client.New(tb.Context(), srv.URL+"/cimi/"+x.version+"/cloudEntryPoint", client.Options{Format: x.format})
				if err != nil {
					tb.Fatal(err)
				}
				if got := strconv.Itoa(int(c.Version())); got != x.version {
					tb.Fatalf("the client found version %s", got)
				}
				tb.Cleanup(func() { c.Close(); srv.Close() })
				return c
			})
		})
	}
}
