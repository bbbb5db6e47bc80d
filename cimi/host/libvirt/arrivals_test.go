package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ova"
)

// identified is a package that says which one it is, as one from a cloud does.
type identified struct {
	ovf.Parallel
	version string
}

func (i identified) Version() string { return i.version }

// stored is a package of a machine with two disks in the stored form.
func stored(t testing.TB, version string, disks ...[]byte) identified {
	t.Helper()
	items := []ovf.Item{{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}}
	d := ovf.Draft{}
	spec := ova.LayoutSpec{Name: "vm", Descriptor: "vm.ovf"}
	for i, b := range disks {
		img, err := vmdk.Stored(context.Background(), raw.New(bytes.NewReader(b), int64(len(b))), vmdk.StoredOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id, file := fmt.Sprint("d", i), fmt.Sprintf("d%d.vmdk", i)
		spec.Files = append(spec.Files, ova.LayoutFile{Name: file, Size: img.Size(), Content: img})
		d.Files = append(d.Files, ovf.File{ID: "f" + id, Href: file, Size: img.Size()})
		d.Disks = append(d.Disks, ovf.Disk{ID: id, FileRef: "f" + id, Capacity: fmt.Sprint(len(b)), Format: streamOptimized, PopulatedSize: -1})
		items = append(items, hosttest.OnController("3", i, id))
	}
	d.Content = ovf.DraftContent{ID: "vm", Name: "vm", Hardware: []ovf.DraftHardware{hosttest.Hardware("", items...)}}
	env, err := ovf.NewEnvelope(d)
	if err != nil {
		t.Fatal(err)
	}
	spec.Envelope = env.Bytes()
	l, err := ova.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ova.Open(context.Background(), l, l.Size(), "vm.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	parallel, ok := ovf.Package(p).(ovf.Parallel)
	if !ok {
		t.Fatalf("%T cannot be read anywhere", p)
	}
	return identified{parallel, version}
}

// TestResumeE2E: an import that broke off in its second disk goes on there: what
// has arrived is not sent again but for a chunk, whether the process lives on or
// another one takes over; what is kept is shown nowhere, belongs to one package,
// and goes when it is forgotten.
func TestResumeE2E(t *testing.T) {
	libvirtd.Need(t)
	const chunk, size = 16 << 20, 100 << 20
	pool, _ := libvirtd.Pool(t)
	socket, sent, _ := libvirtd.Counting(t)
	open := func() *libvirt.Host {
		t.Helper()
		h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool+"&socket="+socket, libvirt.Options{Owner: "test", Chunk: chunk})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, second := hosttest.Content(1, size), hosttest.Content(2, size)
	clear(second[20<<20 : 30<<20])
	clear(second[90<<20:])
	const data = size + size - 20<<20
	// broken imports until so much of the second disk has come, and gives what
	// it has sent.
	broken := func(h *libvirt.Host, version string, at int64) int64 {
		t.Helper()
		before, shown, domains := sent.Load(), len(hosttest.Systems(t, h)), len(libvirtd.Domains(t, pool))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, err := h.Import(ctx, stored(t, version, first, second), host.ImportOptions{Resume: "run", Progress: func(p host.DiskProgress) {
			if p.Disk == "d1" && p.Done >= at {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("broken off at %d: %v", at, err)
		}
		if n := len(hosttest.Systems(t, h)) - shown; n != 0 {
			t.Errorf("%d Systems are shown of an import that broke off", n)
		}
		if n := len(libvirtd.Domains(t, pool)) - domains; n != 0 {
			t.Errorf("%d domains are left", n)
		}
		return sent.Load() - before
	}
	h := open()
	one := broken(h, "v1", 40<<20)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = open() // another process: what its owner left is undone, but for this
	two := broken(h, "v1", 70<<20)
	before := sent.Load()
	s, err := h.Import(context.Background(), stored(t, "v1", first, second), host.ImportOptions{Resume: "run"})
	if err != nil {
		t.Fatal(err)
	}
	three := sent.Load() - before
	// Two breaks; beside disks, records of some 100 KiB for each mark.
	if all := one + two + three; all > data+2*chunk+8<<20 {
		t.Errorf("sent %d + %d + %d = %d MiB of %d MiB: more than a chunk of %d MiB went twice", one>>20, two>>20, three>>20, all>>20, data>>20, chunk>>20)
	}
	if one < size || two > size || three > size {
		t.Errorf("the imports sent %d, %d and %d MiB: what broke off was not gone on with", one>>20, two>>20, three>>20)
	}
	t.Logf("%d MiB of data: sent %d, %d and %d MiB", data>>20, one>>20, two>>20, three>>20)
	for d := range s.AllDisks() {
		same(t, h, d, map[string][]byte{"d0": first, "d1": second}[d.OVFID])
	}
	for _, v := range libvirtd.Volumes(t, pool) {
		if strings.Contains(v, "arrival") {
			t.Errorf("%s is left after all has arrived", v)
		}
	}

	// Another package under the same key takes nothing over, and what was kept of
	// the first one goes.
	broken(h, "v2", 40<<20)
	if again := broken(h, "v3", 40<<20); again < size {
		t.Errorf("an import of another package sent %d MiB: it went on with what is not its own", again>>20)
	}
	if n := disks(t, pool); n != 3 && n != 4 { // the second may not have been kept yet
		t.Errorf("%d volumes of disks, want those of the System and of the package that waits", n)
	}
	if err := h.Forget(context.Background(), "run"); err != nil {
		t.Fatal(err)
	}
	if n := disks(t, pool); n != 2 {
		t.Errorf("%d volumes of disks after all is forgotten, want those of the System", n)
	}
	for d := range s.AllDisks() {
		same(t, h, d, map[string][]byte{"d0": first, "d1": second}[d.OVFID])
	}
	if err := errors.Join(h.Delete(context.Background(), s.ID), h.Close()); err != nil {
		t.Error(err)
	}
	if left := libvirtd.Volumes(t, pool); len(left) > 0 {
		t.Errorf("volumes are left: %v", left)
	}
}

// disks is how many volumes of disks there are.
func disks(t testing.TB, pool string) (n int) {
	t.Helper()
	for _, v := range libvirtd.Volumes(t, pool) {
		if strings.HasPrefix(v, "cimimove-disk-") {
			n++
		}
	}
	return n
}

// same wants a disk to hold that content.
func same(t testing.TB, h host.Host, d *host.Disk, want []byte) {
	t.Helper()
	img, err := h.OpenDisk(context.Background(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, len(want))
	if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("disk %s has another content: %v", d.OVFID, err)
	}
}
