package vsphere_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// running is the sample in a vCenter, with disks that are thin or thick, started.
func running(t *testing.T, v *vctest.VCenter, disk string) (*vsphere.Host, *host.System, *hosttest.Sample) {
	t.Helper()
	h, sample := open(t, v, "?disk="+disk), hosttest.NewSample(t, "shop", 1)
	s, err := h.Import(t.Context(), hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Machines {
		if err := h.Start(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return h, s, sample
}

// rewrite has the guest of the machine that has disk1 write to it.
func rewrite(t *testing.T, v *vctest.VCenter, seed byte) {
	t.Helper()
	if err := v.SetDisk("database", 0, raw.New(bytes.NewReader(hosttest.Content(seed, 1<<20)), 1<<20)); err != nil {
		t.Fatal(err)
	}
}

func bytesOf(t *testing.T, x host.Export) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func snapshots(v *vctest.VCenter) int { return v.Snapshots("database") + v.Snapshots("web") }

// TestLiveInPlace: flat disks of machines that run are read where they lie, by
// ranges, whatever is written meanwhile and whoever ends the session, and again
// by the process that comes after; the snapshots go when they are not retained.
func TestLiveInPlace(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	h, s, sample := running(t, v, "thick")
	// What was blank, and was written to, goes along.
	scratch := hosttest.Content(5, 1<<20)
	if err := v.SetDisk("database", 1, raw.New(bytes.NewReader(scratch), 1<<20)); err != nil {
		t.Fatal(err)
	}
	sample.Disks["scratch"] = scratch
	v.NFC(func(method, file string) int { t.Errorf("%s of %s by a lease", method, file); return http.StatusGone })
	var flat atomic.Int64
	v.Folder(func(file string) int {
		if strings.HasSuffix(file, "-flat.vmdk") && flat.Add(1) == 5 {
			return http.StatusUnauthorized
		}
		return 0
	})
	x, err := h.Export(ctx, s.ID, host.ExportOptions{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := v.Sent(); n > 2<<20 {
		t.Errorf("%d bytes came before one was asked for", n)
	}
	rewrite(t, v, 9)
	first := bytesOf(t, x)
	if n := snapshots(v); n != 2 || flat.Load() < 6 {
		t.Errorf("there are %d snapshots; %d requests", n, flat.Load())
	}
	state, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Retain(ctx, nil); err != nil || snapshots(v) != 2 {
		t.Errorf("an export that is open was not retained: %v", err)
	}
	if err := errors.Join(x.Close(), h.Close()); err != nil {
		t.Fatal(err)
	}
	rewrite(t, v, 11)
	h = open(t, v, "?disk=thick")
	defer h.Close()
	if err := h.Retain(ctx, [][]byte{state}); err != nil || snapshots(v) != 2 {
		t.Errorf("what is wanted was not retained: %v", err)
	}
	y, err := h.Export(ctx, s.ID, host.ExportOptions{Frozen: state})
	if err != nil {
		t.Fatal(err)
	}
	if again := bytesOf(t, y); !bytes.Equal(again, first) || y.Version() != x.Version() {
		t.Error("opened again it is another one")
	}
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Retain(ctx, nil); err != nil || snapshots(v) != 0 {
		t.Errorf("%d snapshots are left: %v", snapshots(v), err)
	}
	if _, err := h.Export(ctx, s.ID, host.ExportOptions{Frozen: state}); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("without its snapshot: %v", err)
	}
	v.NFC(nil)
	back, _ := hosttest.Importing(t, h, first, host.ImportOptions{Name: "back"})
	for _, d := range back.Disks {
		img, err := h.OpenDisk(ctx, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		want := sample.Disks[d.OVFID]
		got := make([]byte, len(want))
		if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("disk %s has not the content of the snapshot: %v", d.OVFID, err)
		}
	}
}

// TestLiveNotInPlace: what the datastore does not give is fetched by a lease,
// and the snapshot goes at once.
func TestLiveNotInPlace(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusNotImplemented} {
		v := vctest.New(t, vctest.Options{})
		h, s, _ := running(t, v, "thick")
		defer h.Close()
		v.Folder(func(file string) int {
			if strings.HasSuffix(file, "-flat.vmdk") {
				return status
			}
			return 0
		})
		x, err := h.Export(t.Context(), s.ID, host.ExportOptions{Live: true})
		if err != nil {
			t.Errorf("%d: %v", status, err)
			continue
		}
		if n := snapshots(v); n != 0 || len(bytesOf(t, x)) == 0 || len(v.OpenLeases()) != 0 {
			t.Errorf("%d: %d snapshots and %d leases are left", status, n, len(v.OpenLeases()))
		}
		x.Close()
	}
}

// TestLiveInPlaceFails: a System that cannot be exported leaves no snapshot.
func TestLiveInPlaceFails(t *testing.T) {
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	h, s, _ := running(t, v, "thick")
	defer h.Close()
	v.Deny("CreateSnapshot_Task", "VirtualMachine.State.CreateSnapshot")
	if _, err := h.Export(t.Context(), s.ID, host.ExportOptions{Live: true}); err == nil || !strings.Contains(err.Error(), "CreateSnapshot") {
		t.Errorf("without the privilege: %v", err)
	}
	v.Deny("CreateSnapshot_Task", "")
	v.NFC(func(string, string) int { return http.StatusNotFound })
	v.Folder(func(file string) int {
		if strings.HasPrefix(file, "web/") {
			return http.StatusForbidden
		}
		return 0
	})
	if _, err := h.Export(t.Context(), s.ID, host.ExportOptions{Live: true}); err == nil || snapshots(v) != 0 {
		t.Errorf("%d snapshots are left: %v", snapshots(v), err)
	}
}

// TestLiveTracked: of thin disks whose host tracks changes it is known what was
// ever written; they are read where they lie, and nothing else of them is. What
// is told and cannot be true counts as nothing.
func TestLiveTracked(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, told := range map[string]func(*types.DiskChangeInfo){
		"":            nil,
		"no progress": func(i *types.DiskChangeInfo) { i.Length = 0 },
		"beyond the end": func(i *types.DiskChangeInfo) {
			i.ChangedArea = append(i.ChangedArea, types.DiskChangeExtent{Start: 1 << 40, Length: 1})
		},
		"before": func(i *types.DiskChangeInfo) { i.ChangedArea = []types.DiskChangeExtent{{Start: -512, Length: 512}} },
		"not ascending": func(i *types.DiskChangeInfo) {
			i.ChangedArea = []types.DiskChangeExtent{{Start: 512, Length: 512}, {Start: 0, Length: 512}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vctest.New(t, vctest.Options{})
			h, s, sample := running(t, v, "thin")
			defer h.Close()
			if err := errors.Join(v.Track("database"), v.Track("web")); err != nil {
				t.Fatal(err)
			}
			// Holes between data.
			want := append(append(hosttest.Content(3, 256<<10), make([]byte, 1<<20)...), hosttest.Content(4, 128<<10)...)
			if err := v.SetDisk("database", 0, raw.New(bytes.NewReader(want), int64(len(want)))); err != nil {
				t.Fatal(err)
			}
			sample.Disks["disk1"] = want
			v.Areas(told)
			x, err := h.Export(t.Context(), s.ID, host.ExportOptions{Live: true})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if untold := slices.ContainsFunc(x.Findings(), func(f ovf.Finding) bool { return f.ID == "VSPHERE-CBT-001" }); untold != (told != nil) || (v.Calls("ExportSnapshot") > 0) != (told != nil) || (snapshots(v) == 0) != (told != nil) {
				t.Errorf("the findings are %+v, %d leases were asked for, %d snapshots are there", x.Findings(), v.Calls("ExportSnapshot"), snapshots(v))
			}
			sent := v.Sent()
			archive := bytesOf(t, x)
			if n := v.Sent() - sent; told == nil && n > 2*(hosttest.DiskSize+1<<20) {
				t.Errorf("%d bytes came of the disks", n)
			}
			back, _ := hosttest.Importing(t, h, archive, host.ImportOptions{Name: "back"})
			for _, d := range back.Disks {
				img, err := h.OpenDisk(t.Context(), d.ID)
				if err != nil {
					t.Fatal(err)
				}
				defer img.Close()
				got := make([]byte, len(sample.Disks[d.OVFID]))
				if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, sample.Disks[d.OVFID]) {
					t.Errorf("disk %s has another content: %v", d.OVFID, err)
				}
			}
		})
	}
}
