package provider_test

import (
	"net/http/httptest"
	"testing"

	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest/wire"
	"github.com/cimimove/cimimove/cimi/server"
)

// TestMinimalConformanceLocal is clause 7.1 over plain HTTP, with the embedded
// cloud on the local host behind the server.
func TestMinimalConformanceLocal(t *testing.T) {
	h, err := server.New(open(t, t.TempDir(), provider.Options{}), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	(&wire.Cloud{T: t, URL: srv.URL}).Minimal()
}
