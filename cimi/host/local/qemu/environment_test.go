package qemu

import (
	"slices"
	"testing"
)

// TestEnvironment: a machine's process is not given the credentials of who
// started it.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "CIMIMOVE_SOURCE_PASSWORD=canary", "AWS_SECRET_ACCESS_KEY=canary", "HOME=/root", "HTTPS_PROXY=http://u:canary@p"})
	if !slices.Equal(got, []string{"PATH=/bin", "HOME=/root"}) {
		t.Errorf("%q", got)
	}
	if environment(nil) == nil {
		t.Error("nil stands for the whole environment")
	}
}
