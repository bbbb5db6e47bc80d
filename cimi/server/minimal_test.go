package server_test

import (
	"testing"

	"github.com/cimimove/cimimove/cimi/server"
)

// TestMinimalConformance is clause 7.1 over plain HTTP, with a cloud in memory
// behind the server.
func TestMinimalConformance(t *testing.T) { serve(t, server.Options{}).Minimal() }
