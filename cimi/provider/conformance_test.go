package provider_test

import (
	"net/http/httptest"
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

// TestProviderOnTheWire is the same suite through server and client.
func TestProviderOnTheWire(t *testing.T) {
	for _, format := range []string{"json", "xml"} {
		t.Run(format, func(t *testing.T) {
			providertest.Run(t, func(tb testing.TB) cimi.Provider {
				h, err := server.New(open(tb, tb.TempDir(), provider.Options{}), server.Options{PageSize: 2})
				if err != nil {
					tb.Fatal(err)
				}
				srv := httptest.NewServer(h)
				c, err := client.New(tb.Context(), srv.URL+"/cloudEntryPoint", client.Options{Format: format})
				if err != nil {
					tb.Fatal(err)
				}
				tb.Cleanup(func() { c.Close(); srv.Close() })
				return c
			})
		})
	}
}
