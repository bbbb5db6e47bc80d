package local_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/host/local/qemu"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func runner(t testing.TB, dir string) *local.Runner {
	t.Helper()
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := local.Run(context.Background(), h)
	if err != nil {
		h.Close()
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

type runners struct{}

func (runners) Open(t testing.TB) host.Host { return runner(t, t.TempDir()) }
func (runners) Reopen(t testing.TB, h host.Host) host.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return runner(t, h.(*local.Runner).Dir())
}

// TestRunner: what runs machines keeps them as well.
func TestRunner(t *testing.T) {
	ovftest.Slow(t)
	hosttest.Run(t, runners{})
}

// bootable makes a System of one machine with a disk that boots and a blank one.
func bootable(t testing.TB, m host.Maker, id string, opts bootdisk.Options) *host.System {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	bootdisk.Build(t, path, id, opts)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	system := &host.Disk{ID: host.NewID(), Name: "system", CapacityBytes: img.Size(), Boot: true}
	scratch := &host.Disk{ID: host.NewID(), Name: "scratch", CapacityBytes: 1 << 20}
	s := &host.System{ID: host.NewID(), Name: id, Disks: []*host.Disk{system, scratch}, Machines: []*host.Machine{{ID: host.NewID(), Name: id, State: host.Stopped,
		CPUs: 1, MemoryBytes: 256 << 20, Attachments: []host.Attachment{{DiskID: scratch.ID, Controller: "virtio"}, {DiskID: system.ID, Controller: "scsi", Boot: true}},
		NICs: []host.NIC{{MAC: "52:54:00:00:00:01", Type: "E1000"}, {Disabled: true}}}}}
	fill := host.CopyOf(img, nil)
	if err := m.Make(context.Background(), s, func(ctx context.Context, d *host.Disk, sink disk.Sink) error {
		if d.ID != system.ID {
			return nil
		}
		return fill(ctx, d, sink)
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func console(t testing.TB, r *local.Runner, machine string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Dir(), "run", machine, qemu.SerialLog))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func state(t testing.TB, r *local.Runner, s *host.System) host.PowerState {
	t.Helper()
	now, err := r.System(context.Background(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now.Machines[0].State
}

// TestRunnerBoots: a machine comes up, outlives the process that started it, is
// busy while it runs, shuts down when asked, and is exported with what it has
// become.
func TestRunnerBoots(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
	ctx, dir := context.Background(), filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 9))
	r := runner(t, dir)
	s := bootable(t, r, "stays", bootdisk.Options{Stay: true})
	m := s.Machines[0].ID
	if err := r.Start(ctx, m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runner(t, dir).Stop(ctx, m, true) })
	if err := r.Pause(ctx, m); err != nil || state(t, r, s) != host.Paused {
		t.Errorf("paused: %s, %v", state(t, r, s), err)
	}
	if err := r.Start(ctx, m); err != nil || state(t, r, s) != host.Started {
		t.Errorf("resumed: %s, %v", state(t, r, s), err)
	}
	if _, err := r.Export(ctx, s.ID, host.ExportOptions{}); !errors.Is(err, host.ErrBusy) {
		t.Errorf("an export of a machine that runs: %v", err)
	}
	if err := r.Delete(ctx, s.ID); !errors.Is(err, host.ErrBusy) {
		t.Errorf("deleting a machine that runs: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = runner(t, dir) // another process
	if state(t, r, s) != host.Started {
		t.Fatalf("after a restart it is %s", state(t, r, s))
	}
	waitFor(t, "the marker", func() bool { return strings.Contains(console(t, r, m), bootdisk.Marker+"stays") })
	version := r.Version()
	if err := r.Stop(ctx, m, false); err != nil {
		t.Fatal(err)
	}
	if state(t, r, s) != host.Stopped || !strings.Contains(console(t, r, m), "CIMIMOVE-POWER-BUTTON") || r.Version() == version {
		t.Errorf("after a stop: %s, %s", state(t, r, s), console(t, r, m))
	}
	x, err := r.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	now, err := r.System(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	// It mounts read-only and writes nothing: the digest is the same.
	if now.Disks[0].ContentDigest != s.Disks[0].ContentDigest {
		t.Errorf("the disk has another content after it was only read")
	}
	// Nothing runs any more: powered off by force, and ended while we were away.
	if err := r.Start(ctx, m); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(ctx, m, true); err != nil || state(t, r, s) != host.Stopped {
		t.Errorf("forced to stop: %s, %v", state(t, r, s), err)
	}
	if err := r.Start(ctx, m); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	vm, err := qemu.Attach(ctx, filepath.Join(dir, "run", m))
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Quit(ctx); err != nil {
		t.Fatal(err)
	}
	r = runner(t, dir)
	if state(t, r, s) != host.Stopped {
		t.Errorf("it ended while nobody watched, and is %s", state(t, r, s))
	}
	if err := r.Delete(ctx, s.ID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", m)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a deleted machine: %v", err)
	}
}

// TestWrittenDisks: a disk that was blank and is written to gets a File, and
// one that shared a File with another gets its own.
func TestWrittenDisks(t *testing.T) {
	r := runner(t, t.TempDir())
	sample := hosttest.NewSample(t, "app", 1)
	ctx := context.Background()
	s, err := r.Import(ctx, hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// As a machine would: it is started, writes, and stops.
	m := s.Machines[0]
	if err := r.Start(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	var scratch *host.Disk
	for d := range s.AllDisks() {
		if d.OVFID == "scratch" {
			scratch = d
		}
	}
	f, err := os.OpenFile(filepath.Join(r.Dir(), "disks", scratch.ID+".raw"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	written := bytes.Repeat([]byte("written "), 1000)
	if _, err := f.WriteAt(written, 70000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := r.Stop(ctx, m.ID, true); err != nil {
		t.Fatal(err)
	}
	x, err := r.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	b := make([]byte, x.Size())
	if err := disk.ReadFull(x, b, 0); err != nil {
		t.Fatal(err)
	}
	again, err := r.Import(ctx, hosttest.Package(t, b), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for d := range again.AllDisks() {
		if d.OVFID != "scratch" {
			continue
		}
		img, err := r.OpenDisk(ctx, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(written))
		if err := disk.ReadFull(img, got, 70000); err != nil || !bytes.Equal(got, written) {
			t.Errorf("what was written to a blank disk is lost: %v", err)
		}
		img.Close()
	}
	env, err := ovf.Parse(again.Descriptor)
	if err != nil || len(env.Files()) != 4 {
		t.Errorf("%d files, %v", len(env.Files()), err)
	}
}
