package migrate_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestSourceRanInBetween: a source that was at rest whenever somebody looked, but
// ran, and wrote, after its disks had passed: the run does not end well, and the
// destination holds nothing of it.
func TestSourceRanInBetween(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, c := range []struct {
		via migrate.Via
		at  string // write of the journal after which it is written to
	}{
		{migrate.ViaRelay, "done transfer"}, {migrate.ViaRelay, "done verify"}, {migrate.ViaDirect, "done transfer"},
		{migrate.ViaResources, "done transfer"},
	} {
		t.Run(string(c.via)+" "+c.at, func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.remote(), b.remote()
			e := newEngine(t, src, dst)
			e.Journal.AfterWrite(func(what string) {
				if what == c.at {
					a.writeDisks()
				}
			})
			_, err := move(t, e, migrate.Options{Source: src, Destination: dst, Via: c.via})
			if !errors.Is(err, migrate.ErrSourceChanged) {
				t.Errorf("got %v", err)
			}
			wantClass(t, err, migrate.ClassRefused, migrate.Source)
			if left := b.systems(); len(left) != 0 || b.diskFiles() != 0 {
				t.Errorf("the destination holds %v, %d disks", left, b.diskFiles())
			}
		})
	}
}

// writeDisks writes a byte to every disk, as a machine does that runs for a
// while.
func (c *cloud) writeDisks() {
	files, err := filepath.Glob(filepath.Join(c.dir, "disks", "*"))
	if err != nil || len(files) == 0 {
		c.t.Errorf("disks %v: %v", files, err)
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt([]byte("ran"), 0)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			c.t.Error(err)
		}
	}
}
