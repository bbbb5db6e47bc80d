package ovftest

import (
	"os"
	"regexp"
	"testing"
)

// Slow skips a test that takes long where CIMIMOVE_SLOW is not set: `go test ./...`
// alone is for who works on something. 1 runs all of them, another value those whose
// names that regular expression matches. `.ci/run` runs each (TestSlowTestsRun).
func Slow(t testing.TB) {
	t.Helper()
	switch which := os.Getenv("CIMIMOVE_SLOW"); which {
	case "":
		t.Skip("set CIMIMOVE_SLOW=1 to run it: it takes long")
	case "1":
	default:
		names, err := regexp.Compile(which)
		if err != nil {
			t.Fatalf("CIMIMOVE_SLOW is 1 or a regular expression: %v", err)
		}
		if !names.MatchString(t.Name()) {
			t.Skipf("CIMIMOVE_SLOW=%s does not mean it", which)
		}
	}
}
