package ovftest

import (
	"os"
	"testing"
)

// Slow skips a test that takes long where CIMIMOVE_SLOW is not set: `go test ./...`
// alone is for who works on something. `.ci/run` sets it, and runs each such test
// (TestSlowTestsRun).
func Slow(t testing.TB) {
	t.Helper()
	if os.Getenv("CIMIMOVE_SLOW") == "" {
		t.Skip("set CIMIMOVE_SLOW=1 to run it: it takes long")
	}
}
