package endpoint_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/endpoint"
)

// TestLeaveAbsentRefuses: a folder that cannot be made is refused as it is where it
// would be made, by its own name.
func TestLeaveAbsentRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink("gone", nowhere); err != nil {
		t.Fatal(err)
	}
	for _, cloud := range []string{nowhere, filepath.Join(nowhere, "cloud")} {
		o, err := endpoint.Open(context.Background(), "local:"+cloud, endpoint.Options{LeaveAbsent: true})
		if err == nil {
			o.Close()
		}
		if err == nil || !strings.Contains(err.Error(), cloud) || strings.Contains(err.Error(), "absent") {
			t.Errorf("%s: %v", cloud, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
