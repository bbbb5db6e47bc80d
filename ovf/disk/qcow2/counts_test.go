package qcow2_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// dotted has a byte in every 64 KiB, so that every cluster counts and little is
// written.
type dotted struct{}

func (dotted) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at := (off + 65535) &^ 65535; at < off+int64(len(p)); at += 65536 {
		p[at-off] = 1
	}
	return len(p), nil
}

// TestManyBlocksOfCounts: an image of more than the 4 GiB that two blocks of
// reference counts tell of.
func TestManyBlocksOfCounts(t *testing.T) {
	ovftest.Slow(t)
	qemu := disktest.Tool(t, "qemu-img")
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img := raw.New(dotted{}, 5<<30)
	if _, err := qcow2.Write(context.Background(), img, f, disk.EncodeOptions{NoDigest: true}); err != nil {
		t.Fatal(err)
	}
	disktest.Run(t, qemu, "check", "-f", "qcow2", path)
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	back, err := qcow2.Open(f, st.Size(), path)
	if err != nil {
		t.Fatal(err)
	}
	if at, equal, err := disk.Compare(context.Background(), img, back); err != nil || !equal {
		t.Errorf("differs at %d (%v)", at, err)
	}
}
