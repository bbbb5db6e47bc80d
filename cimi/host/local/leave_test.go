package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
)

// TestFullStore: where not even the database can be written any more, what a
// failed import wrote gives its room back all the same.
func TestFullStore(t *testing.T) {
	dir := t.TempDir()
	h, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "run"} {
		path := filepath.Join("disks", "half"+key+".raw")
		if err := os.WriteFile(filepath.Join(dir, path), []byte("half a disk"), 0o600); err != nil {
			t.Fatal(err)
		}
		if key != "" {
			h.db.Close() // from here on nothing can be recorded
		}
		in := &incoming{host: h, key: key}
		err := in.leave(t.Context(), fmt.Errorf("disk d: %w", host.ErrNoSpace), []string{path})
		if (err != nil) != (key != "") {
			t.Errorf("key %q: %v", key, err)
		}
		if _, err := os.Stat(filepath.Join(dir, path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("key %q: %s is still there", key, path)
		}
	}
	h.lock.Close()
}
