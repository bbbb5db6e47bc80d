package provider_test

import (
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest"
)

func TestProvider(t *testing.T) {
	providertest.Run(t, func(t testing.TB) cimi.Provider { return open(t, t.TempDir(), provider.Options{}) })
}
