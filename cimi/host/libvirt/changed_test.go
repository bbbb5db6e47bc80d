package libvirt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf/disk"
)

// tracked is a machine that runs and was exported Live, with one disk of 8 MiB.
type tracked struct {
	t       testing.TB
	h       *libvirt.Host
	s       *host.System
	domain  string
	pool    string
	file    string // of the disk
	state   []byte // of the export
	point   string
	machine string
}

// trackedMachine makes one in a pool of its own.
func trackedMachine(t testing.TB, query string) *tracked {
	t.Helper()
	hosts := newHosts(query)
	k := &tracked{t: t, h: hosts.Open(t).(*libvirt.Host)}
	k.pool = hosts.pools[k.h]
	k.s, k.domain = running(t, k.h, hosttest.Content(3, 8<<20))
	k.machine = k.s.Machines[0].ID
	files, err := filepath.Glob(filepath.Join("/var/tmp", k.pool, "cimimove-disk-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v: %v", files, err)
	}
	k.file = files[0]
	k.write("write -P 1 0 64k")
	k.export()
	return k
}

func (k *tracked) export() {
	k.t.Helper()
	x, _ := live(k.t, k.h, k.s.ID, host.ExportOptions{})
	var err error
	if k.state, err = x.State(); err != nil {
		k.t.Fatal(err)
	}
	points, held := host.FrozenPoints(k.state)
	k.point = points[k.s.Disks[0].ID]
	if !held || len(points) > 1 {
		k.t.Errorf("the points are %v, held: %t", points, held)
	}
	if err := x.Close(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *tracked) write(command string) {
	k.t.Helper()
	libvirtd.Write(k.t, k.domain, k.s.Disks[0].ID, command)
}

func (k *tracked) start() {
	k.t.Helper()
	if err := k.h.Start(context.Background(), k.machine); err != nil {
		k.t.Fatal(err)
	}
}

func (k *tracked) stop() {
	k.t.Helper()
	if err := k.h.Stop(context.Background(), k.machine, true); err != nil {
		k.t.Fatal(err)
	}
}

func (k *tracked) changed() ([]disk.Extent, error) {
	return k.h.ChangedSince(context.Background(), k.s.Disks[0].ID, k.point)
}

// forget gives the export up, after which nothing may be left of it.
func (k *tracked) forget() {
	k.t.Helper()
	if err := k.h.Retain(context.Background(), nil); err != nil {
		k.t.Error(err)
	}
	if left := copied(k.t, k.pool); len(left) > 0 {
		k.t.Errorf("left are %v", left)
	}
	if ours := slices.DeleteFunc(k.checkpoints(), func(s string) bool { return !strings.HasPrefix(s, "cimimove-") }); len(ours) > 0 {
		k.t.Errorf("left are checkpoints %v", ours)
	}
	for name := range libvirtd.Bitmaps(k.t, k.file) {
		if strings.HasPrefix(name, "cimimove-") {
			k.t.Errorf("left is bitmap %s", name)
		}
	}
	if out := libvirtd.Virsh(k.t, "list", "--all", "--name"); strings.Contains(out, "cimimove-eraser") {
		k.t.Errorf("left are domains %s", out)
	}
}

func (k *tracked) checkpoints() []string {
	k.t.Helper()
	return strings.Fields(libvirtd.Virsh(k.t, "checkpoint-list", k.domain, "--name"))
}

// TestChangedE2E: of a qcow2 volume it is known what its machine has written since a
// Live export, over ends and starts of the machine and of this process; when the
// export is given up, of a machine at rest or one that runs, nothing is left of that.
func TestChangedE2E(t *testing.T) {
	libvirtd.Need(t)
	for _, at := range []string{"rest", "work"} {
		t.Run("given up at "+at, func(t *testing.T) {
			k := trackedMachine(t, "&format=qcow2")
			ctx := context.Background()
			if now, err := k.h.System(ctx, k.s.ID); err != nil || now.Disks[0].Tracked {
				t.Errorf("with a checkpoint there is, another is announced: %+v: %v", now, err)
			}
			if _, err := k.changed(); !errors.Is(err, host.ErrBusy) {
				t.Errorf("of a machine that runs: %v", err)
			}
			k.write("write -P 2 3M 4k")
			k.stop()
			k.start()
			k.write("write -P 2 6M 128k")
			k.stop()
			if err := k.h.Retain(ctx, [][]byte{k.state}); err != nil {
				t.Fatal(err)
			}
			got, err := k.changed()
			if want := []disk.Extent{{Offset: 3 << 20, Length: 64 << 10}, {Offset: 6 << 20, Length: 128 << 10}}; err != nil || !slices.Equal(got, want) {
				t.Errorf("it says %v, expected %v: %v", got, want, err)
			}
			if len(libvirtd.Bitmaps(t, k.file)) != 1 {
				t.Errorf("there are bitmaps %v", libvirtd.Bitmaps(t, k.file))
			}
			if at == "work" {
				k.start()
			}
			k.forget()
			if at == "work" {
				libvirtd.Idle(t, k.domain)
				if now, err := k.h.System(ctx, k.s.ID); err != nil || !now.Disks[0].Tracked {
					t.Errorf("it could be tracked again: %+v: %v", now.Disks[0], err)
				}
				k.stop()
			}
			if _, err := k.changed(); !errors.Is(err, host.ErrChanged) {
				t.Errorf("of an export that was given up: %v", err)
			}
			k.forget() // what QEMU stores when it ends
			if out, err := exec.Command("qemu-img", "check", k.file).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if state := strings.TrimSpace(libvirtd.Virsh(t, "domstate", k.domain)); state != "shut off" {
				t.Errorf("the machine is %s", state)
			}
		})
	}
}

// TestChangedInDoubtE2E: where it is not certain what has changed, nothing is said;
// and nothing of ours is left when the export is given up.
func TestChangedInDoubtE2E(t *testing.T) {
	libvirtd.Need(t)
	img := func(k *tracked, args ...string) {
		k.t.Helper()
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			k.t.Fatalf("qemu-img %v: %v: %s", args, err, out)
		}
	}
	name := func(k *tracked) string { return k.checkpoints()[0] }
	for what, doubt := range map[string]func(*tracked){
		"its QEMU was killed": func(k *tracked) { libvirtd.Kill(k.t, k.domain) },
		"its QEMU was killed after another start": func(k *tracked) {
			k.stop()
			k.start()
			libvirtd.Kill(k.t, k.domain)
			if flags := libvirtd.Bitmaps(k.t, k.file)[name(k)]; !slices.Contains(flags, "in-use") {
				k.t.Errorf("the bitmap is %v", flags)
			}
		},
		"killed, and ended in order after that": func(k *tracked) {
			k.stop()
			k.start()
			libvirtd.Kill(k.t, k.domain)
			k.start()
			k.stop()
		},
		"the bitmap was switched off": func(k *tracked) { k.stop(); img(k, "bitmap", "--disable", k.file, name(k)) },
		"the bitmap was removed":      func(k *tracked) { k.stop(); img(k, "bitmap", "--remove", k.file, name(k)) },
		"the checkpoint was removed": func(k *tracked) {
			libvirtd.Virsh(k.t, "checkpoint-delete", k.domain, name(k))
			k.stop()
		},
		"libvirt has forgotten the checkpoint": func(k *tracked) {
			libvirtd.Virsh(k.t, "checkpoint-delete", k.domain, name(k), "--metadata")
			k.stop()
		},
		"another checkpoint": func(k *tracked) {
			libvirtd.Virsh(k.t, "checkpoint-create-as", k.domain, "backup")
			k.stop()
		},
		"a snapshot in the file": func(k *tracked) { k.stop(); img(k, "snapshot", "-c", "before an update", k.file) },
		"another size":           func(k *tracked) { k.stop(); img(k, "resize", k.file, "16M") },
		"the file was replaced": func(k *tracked) {
			k.stop()
			img(k, "convert", "-O", "qcow2", k.file, k.file+".other")
			if err := os.Rename(k.file+".other", k.file); err != nil {
				k.t.Fatal(err)
			}
		},
		"the file builds on another": func(k *tracked) {
			k.stop()
			base := filepath.Join(filepath.Dir(k.file), "base.qcow2")
			img(k, "create", "-q", "-f", "qcow2", base, "8M")
			img(k, "rebase", "-u", "-b", base, "-F", "qcow2", k.file)
		},
		"a program that knows of no bitmaps": func(k *tracked) {
			k.stop()
			f, err := os.OpenFile(k.file, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(make([]byte, 8), 88)
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				k.t.Fatal(err)
			}
		},
		"the machine has not the disk any more": func(k *tracked) {
			k.stop()
			libvirtd.Virsh(k.t, "detach-disk", k.domain, k.device(), "--config")
		},
	} {
		t.Run(what, func(t *testing.T) {
			k := trackedMachine(t, "&format=qcow2")
			k.write("write -P 2 3M 4k")
			doubt(k)
			k.inDoubt(t)
			k.forget()
		})
	}
	// The same file, and a point that is not of it.
	k := trackedMachine(t, "&format=qcow2")
	k.write("write -P 2 3M 4k")
	k.stop()
	point := k.point
	for what, change := range map[string][2]string{
		"checkpoint": {"cimimove-point-", "cimimove-point-0"},
		"machine":    {`"machine":"`, `"machine":"00`},
		"device":     {`"device":"`, `"device":"x`},
		"disk":       {`"place":"`, `"place":"x`},
		"size":       {`"size":`, `"size":1`},
		"host":       {point, "vSphere's"},
	} {
		t.Run("the point of another "+what, func(t *testing.T) {
			if k.point = strings.ReplaceAll(point, change[0], change[1]); k.point == point {
				t.Fatalf("%s has no %s", point, change[0])
			}
			k.inDoubt(t)
		})
	}
	k.point = point
	if _, err := k.changed(); err != nil {
		t.Errorf("with its own point: %v", err)
	}
	k.forget()
}

// inDoubt: what has changed is not told.
func (k *tracked) inDoubt(t *testing.T) {
	t.Helper()
	if got, err := k.changed(); !errors.Is(err, host.ErrChanged) {
		t.Errorf("it says %v: %v", got, err)
	} else {
		t.Log(err)
	}
}

// device is the name of the disk in the domain.
func (k *tracked) device() string {
	k.t.Helper()
	for line := range strings.Lines(libvirtd.Virsh(k.t, "domblklist", k.domain)) {
		if f := strings.Fields(line); len(f) == 2 && strings.Contains(f[1], k.s.Disks[0].ID) {
			return f[0]
		}
	}
	k.t.Fatal("the domain has no such disk")
	return ""
}

// TestChangedNotTrackedE2E: no checkpoint is made of what cannot have one, or of a
// machine whose checkpoints or snapshots are others' affair; the export is made all
// the same.
func TestChangedNotTrackedE2E(t *testing.T) {
	libvirtd.Need(t)
	t.Run("raw", func(t *testing.T) {
		k := trackedMachine(t, "")
		if len(k.checkpoints()) > 0 || k.point != "" {
			t.Errorf("checkpoints %v, point %q", k.checkpoints(), k.point)
		}
		k.forget()
	})
	for what, before := range map[string]func(*tracked){
		"a checkpoint of others": func(k *tracked) { libvirtd.Virsh(k.t, "checkpoint-create-as", k.domain, "backup") },
		"a snapshot in the file": func(k *tracked) {
			k.stop()
			if out, err := exec.Command("qemu-img", "snapshot", "-c", "old", k.file).CombinedOutput(); err != nil {
				k.t.Fatal(fmt.Sprint(err, string(out)))
			}
			k.start()
		},
	} {
		t.Run(what, func(t *testing.T) {
			k := trackedMachine(t, "&format=qcow2")
			k.forget()
			before(k)
			had := k.checkpoints()
			k.export()
			if now := k.checkpoints(); !slices.Equal(now, had) || k.point != "" {
				t.Errorf("checkpoints %v, there were %v, point %q", now, had, k.point)
			}
			k.forget()
			if now := k.checkpoints(); !slices.Equal(now, had) {
				t.Errorf("checkpoints %v, there were %v", now, had)
			}
		})
	}
}
