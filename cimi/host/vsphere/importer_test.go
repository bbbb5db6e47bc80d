package vsphere_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/ovf/importer"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// TestImporter times imports of one archive into two vCenters of their own, by
// this package and by what `govc import.ova -m` is made of, in turns, and
// compares the medians. testdata/bench/importer.sh runs it.
func TestImporter(t *testing.T) {
	mib, _ := strconv.Atoi(os.Getenv("CIMIMOVE_BENCH_IMPORTER"))
	if mib <= 0 {
		t.Skip("a measurement: testdata/bench/importer.sh runs it")
	}
	runs, _ := strconv.Atoi(os.Getenv("CIMIMOVE_BENCH_IMPORTS"))
	runs = cmp.Or(runs, 5)
	link, _ := strconv.Atoi(os.Getenv("CIMIMOVE_BENCH_LINK"))
	archive := packed(t, int64(mib)<<20)
	v := vctest.New(t, vctest.Options{Discard: true, Link: int64(link) * 1_000_000 / 8})
	ctx := context.Background()
	var ours, theirs []spent
	uploads := func() (n int64) {
		for _, size := range v.Uploaded() {
			n += size
		}
		return n
	}
	for i := range runs {
		theirs = append(theirs, timed(t, func() error { return byGovmomi(ctx, v, archive, fmt.Sprint("theirs", i)) }))
		ours = append(ours, timed(t, func() error {
			h := open(t, v, "")
			defer h.Close()
			pkg, err := files.Open(ctx, archive, files.OpenOptions{Manifest: manifest.Require})
			if err != nil {
				return err
			}
			defer pkg.Close()
			s, err := h.Import(ctx, pkg, host.ImportOptions{})
			if err == nil {
				t.Logf("content %s", s.Disks[0].ContentDigest)
			}
			return err
		}))
	}
	if n := uploads(); n < int64(mib)<<20*int64(2*runs) {
		t.Fatalf("only %d bytes have arrived in %d imports of %d MiB", n, 2*runs, mib)
	}
	byClock := func(a, b spent) int { return cmp.Compare(a.clock, b.clock) }
	slices.SortFunc(ours, byClock)
	slices.SortFunc(theirs, byClock)
	a, b := ours[runs/2].clock, theirs[runs/2].clock
	t.Logf("%d MiB, %d Mbit/s (0: no bound), medians of %d: govmomi's importer %.2f s, cimimove %.2f s, %.2f times as fast; %v, %v", mib, link, runs, b.Seconds(), a.Seconds(), b.Seconds()/a.Seconds(), theirs, ours)
	// A link decides for both; what is left is noise of a hundredth.
	if a.Seconds() > b.Seconds()*1.01 {
		t.Errorf("slower than govmomi's importer: %v, %v", ours, theirs)
	}
}

// spent is what an import took: by the clock, and of the processors, the
// vCenter's share with it.
type spent struct{ clock, cores time.Duration }

func (s spent) String() string {
	return fmt.Sprintf("%.2f s (%.2f core s)", s.clock.Seconds(), s.cores.Seconds())
}

func timed(t *testing.T, f func() error) spent {
	t.Helper()
	began, before := time.Now(), processorTime(t)
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return spent{time.Since(began), processorTime(t) - before}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// packed is an archive around a streamOptimized disk of that size in a file of
// the same, with a manifest of SHA-1, the only one that the simulator computes.
func packed(t *testing.T, size int64) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "importer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	img := raw.New(noise{}, size)
	l, err := vmdk.NewLayout(context.Background(), img, vmdk.StoredOptions{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := l.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	d := ovf.Draft{Files: []ovf.File{{ID: "f", Href: "disk1.vmdk", Size: l.Size()}}, Networks: []ovf.Network{{Name: "lan"}},
		Disks: []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(size), PopulatedSize: -1, Format: "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"}},
		Content: ovf.DraftContent{ID: "vm", Name: "vm", Hardware: []ovf.DraftHardware{hosttest.Hardware("",
			ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogic"}, hosttest.OnController("3", 0, "d"))}}}
	env, err := ovf.NewEnvelope(d)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := ova.NewLayout(ova.LayoutSpec{Name: "vm", Descriptor: "vm.ovf", Envelope: env.Bytes(), Algorithm: manifest.SHA1, Files: []ova.LayoutFile{{Name: "disk1.vmdk", Size: l.Size(), Content: content}}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "vm.ova")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, io.NewSectionReader(layout, 0, layout.Size())); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// noise is content that nothing compresses, the same each time.
type noise struct{}

var grain = func() (b [1<<20 + 7]byte) { rand.Read(b[:]); return b }()

func (noise) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], grain[(off+int64(n))%int64(len(grain)):])
	}
	return len(p), nil
}

// byGovmomi imports as govc import.ova -m does.
func byGovmomi(ctx context.Context, v *vctest.VCenter, archive, name string) error {
	at, err := url.Parse(v.Endpoint())
	if err != nil {
		return err
	}
	c, err := govmomi.NewClient(ctx, &url.URL{Scheme: "https", Host: at.Host, Path: "/sdk", User: url.UserPassword(vctest.User, vctest.Password)}, true)
	if err != nil {
		return err
	}
	defer c.Logout(ctx)
	finder := find.NewFinder(c.Client, false)
	dc, err := finder.Datacenter(ctx, vctest.Datacenter)
	if err != nil {
		return err
	}
	finder.SetDatacenter(dc)
	imp := importer.Importer{Log: func(string) (int, error) { return 0, nil }, Client: c.Client, Finder: finder, Datacenter: dc, VerifyManifest: true,
		Archive: &importer.TapeArchive{Path: archive, Opener: importer.Opener{Client: c.Client}}}
	if imp.Datastore, err = finder.Datastore(ctx, "LocalDS_0"); err != nil {
		return err
	}
	if imp.ResourcePool, err = finder.DefaultResourcePool(ctx); err != nil {
		return err
	}
	if imp.Folder, err = finder.DefaultFolder(ctx); err != nil {
		return err
	}
	_, err = imp.Import(ctx, "*.ovf", importer.Options{Name: &name})
	return err
}
