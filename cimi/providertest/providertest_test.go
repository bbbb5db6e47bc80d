package providertest_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/providertest"
	"github.com/cimimove/cimimove/cimi/providertest/memory"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

func TestDirect(t *testing.T) {
	providertest.Run(t, func(tb testing.TB) cimi.Provider {
		p := memory.New()
		tb.Cleanup(func() { p.Close() })
		return p
	})
}

// TestWire runs the suite through server and client, in both formats and both
// versions; a page size of 2 makes every list paged.
func TestWire(t *testing.T) {
	for _, x := range []struct{ format, version string }{{"json", "2"}, {"xml", "2"}, {"json", "1"}, {"xml", "1"}} {
		format := x.format
		t.Run(format+x.version, func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, func(tb testing.TB) cimi.Provider {
				p := memory.New()
				h, err := server.New(p, server.Options{PageSize: 2, Users: []server.User{{Name: "op", Password: "pass", Role: server.Operator}}})
				if err != nil {
					tb.Fatal(err)
				}
				srv := httptest.NewServer(h)
				c, err := client.New(tb.Context(), srv.URL+"/cimi/"+x.version+"/cloudEntryPoint", client.Options{Format: format, User: "op", Password: "pass",
					Retry: fetch.Options{MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond}})
				if err != nil {
					tb.Fatal(err)
				}
				if got := int(c.Version()); got != int(x.version[0]-'0') {
					tb.Fatalf("the client found version %d", got)
				}
				tb.Cleanup(func() { c.Close(); srv.Close(); p.Close() })
				return c
			})
		})
	}
}
