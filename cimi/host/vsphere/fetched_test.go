package vsphere_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestFetchedOnce: a disk that is opened again and again is fetched once, as long
// as its machine rests; then anew, and it tells so.
func TestFetchedOnce(t *testing.T) {
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	vm := made(t, v, "quiet")
	h := open(t, v, "")
	defer h.Close()
	id := shown(t, h, "quiet").Disks[0].ID
	read := func(seed byte) (version string) {
		t.Helper()
		img, err := h.OpenDisk(ctx, id)
		if err != nil {
			t.Error(err)
			return ""
		}
		got, want := make([]byte, 1<<20), hosttest.Content(seed, 1<<20)
		if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("it has another content: %v", err)
		}
		version = img.(interface{ Version() string }).Version()
		if err := img.Close(); err != nil {
			t.Error(err)
		}
		return version
	}
	write := func(seed byte) {
		t.Helper()
		if err := v.SetDisk("quiet", 0, raw.New(bytes.NewReader(hosttest.Content(seed, 1<<20)), 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	first := read(1)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got := read(1); got != first || got == "" {
				t.Errorf("the version is %q, was %q", got, first)
			}
		})
	}
	all.Wait()
	if n := v.Calls("ExportVm"); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
	task, err := vm.PowerOn(ctx)
	ran(t, task, err)
	write(2)
	task, err = vm.PowerOff(ctx)
	ran(t, task, err)
	if got := read(2); got == first || v.Calls("ExportVm") != 2 {
		t.Errorf("after it ran the version is %q, as before; fetched %d times", got, v.Calls("ExportVm"))
	}
}
