package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
)

// stopping is a cloud of which something happens before the first machine is stopped.
type stopping struct {
	cimi.Provider
	before func()
}

func (s stopping) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.ActionStop {
		s.before()
	}
	return s.Provider.Invoke(ctx, id, a)
}

// runningCloud is one with a machine that runs, whose disk is a qcow2 volume.
func runningCloud(t *testing.T, query string, size, data int64) (c *kvmCloud, domain, file string) {
	t.Helper()
	c = newKVMCloud(t, "&format=qcow2"+query)
	c.loadLarge(size, data)
	if _, err := c.invoke(c.machine(), cimi.ActionStart); err != nil {
		t.Fatal(err)
	}
	domains := libvirtd.Domains(t, c.name)
	if len(domains) != 1 {
		t.Fatalf("domains %v", domains)
	}
	return c, domains[0], diskFile(t, c.store, "cimimove-disk-", ".qcow2")
}

// traceless wants nothing to be left of a Live export.
func (c *kvmCloud) traceless(domain, file string) {
	c.t.Helper()
	libvirtd.Clean(c.t, domain)
	if left := libvirtd.Bitmaps(c.t, file); len(left) > 0 {
		c.t.Errorf("the disk has bitmaps %v", left)
	}
	for _, v := range libvirtd.Volumes(c.t, c.name) {
		if strings.HasPrefix(v, "cimimove-copy-") || strings.HasPrefix(v, "cimimove-snapshot-") {
			c.t.Errorf("left is %s", v)
		}
	}
}

// sameDisk has qemu-img compare a qcow2 with a raw copy.
func sameDisk(t *testing.T, was, is string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", "compare", "-f", "qcow2", "-F", "raw", was, is).CombinedOutput(); err != nil {
		t.Errorf("the copy holds something else: %v: %s", err, out)
	}
}

// TestWarmTrackedFromLibvirtE2E: of a qcow2 volume whose changes a checkpoint keeps
// track of, little more than these is read when its machine is at rest. Where it is
// not known what has changed, because QEMU was killed, all is; and in full always.
func TestWarmTrackedFromLibvirtE2E(t *testing.T) {
	libvirtd.Need(t)
	const size, data, changed = 512 << 20, 128 << 20, 5 << 20
	for _, c := range []struct {
		name    string
		verify  migrate.Verify
		kill    bool
		tracked int
	}{
		{"digest", migrate.VerifyDigest, false, 1},
		{"killed", migrate.VerifyDigest, true, 0},
		{"full", migrate.VerifyFull, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, _, came := libvirtd.Counting(t)
			a, domain, file := runningCloud(t, "&socket="+socket, size, data)
			b := newCloud(t)
			src := a.endpoint()
			var atRest int64
			src.Provider = stopping{src.Provider, sync.OnceFunc(func() {
				libvirtd.Write(t, domain, a.store, fmt.Sprintf("write -P 7 1M %d", changed/2))
				libvirtd.Write(t, domain, a.store, fmt.Sprintf("write -P 8 %d %d", size-changed/2-4096, changed/2))
				if c.kill {
					libvirtd.Write(t, domain, a.store, "flush")
					libvirtd.Kill(t, domain)
				}
				atRest = came.Load()
			})}
			e := newEngine(t, src, b.inProcess())
			plan, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: b.inProcess(), System: "shop", Warm: true, Via: migrate.ViaRelay, Verify: c.verify, Quiesce: migrate.QuiesceForce, StopTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if plan.Warm.Tracked != (c.verify == migrate.VerifyDigest) {
				t.Errorf("the plan says %+v", plan.Warm)
			}
			rep, err := e.Start(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			w, read := rep.Warm, came.Load()-atRest
			t.Logf("%d bytes came from libvirt at rest, %.1f %% of the disk, for %d that were written; %d of %d blocks were told of; at rest for %.1f s", read, 100*float64(read)/size, changed, w.Told, w.Blocks, w.Downtime)
			if !rep.Verified || w.Tracked != c.tracked || w.Changed < changed-8192 || w.Changed > changed*11/10 {
				t.Errorf("%+v %+v", rep, w)
			}
			if c.tracked > 0 && (w.Told > 8 || read > size/10) || c.tracked == 0 && read < data {
				t.Errorf("%d bytes were read at rest, %d blocks were told of", read, w.Told)
			}
			if told := slices.ContainsFunc(rep.Findings, func(f ovf.Finding) bool { return f.ID == migrate.RuleWarmTold }); told != (c.tracked > 0) {
				t.Errorf("%+v", rep.Findings)
			}
			sameDisk(t, file, diskFile(t, filepath.Join(b.dir, "disks"), "", ".raw"))
			a.traceless(domain, file)
			if s := strings.TrimSpace(libvirtd.Virsh(t, "domstate", domain)); s != "shut off" {
				t.Errorf("the source is %s", s)
			}
		})
	}
}

// TestWarmCheckpointKilledE2E: the process that migrates is killed, with a checkpoint
// of a machine that runs, or of one that it has stopped: taken back by gc, the machine
// runs, and neither a checkpoint nor a bitmap is left of it. Gone on with, what has
// changed is still known.
func TestWarmCheckpointKilledE2E(t *testing.T) {
	libvirtd.Need(t)
	const size, data = 64 << 20, 16 << 20
	for _, c := range []struct{ at, then string }{
		{"note export", "gc"}, {"done export", "gc"}, {"done quiesce", "gc"}, {"done quiesce", "resume"}, {"done delta", "gc"},
	} {
		t.Run(c.at+", "+c.then, func(t *testing.T) {
			a, domain, file := runningCloud(t, "", size, data)
			place := t.TempDir()
			state := t.TempDir()
			if err := a.p.Close(); err != nil { // it is the other process's now
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childState+"="+state, childSource+"=libvirt:"+a.uri, childDest+"=local:"+place, childPlace+"="+a.dir,
				childKill+"="+c.at, childVia+"="+string(migrate.ViaRelay), childWarm+"="+string(migrate.VerifyDigest))
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v: %s", err, out)
			}
			a.open()
			dst := openCloud(t, place)
			src := migrate.Endpoint{Name: "libvirt:" + a.uri, Provider: kept{a.p}}
			e := engineAt(t, state, src, dst.inProcess())
			list, err := e.Status(t.Context())
			if err != nil || len(list.Runs) != 1 {
				t.Fatalf("%+v: %v", list, err)
			}
			if c.then == "resume" {
				rep, err := e.Resume(t.Context(), list.Runs[0].Run, migrate.ResumeOptions{})
				if err != nil || !rep.Verified || rep.Warm.Tracked != 1 {
					t.Fatalf("%+v: %v", rep, err)
				}
				sameDisk(t, file, diskFile(t, filepath.Join(place, "disks"), "", ".raw"))
			} else if removed, err := e.GC(t.Context(), migrate.GCOptions{Run: list.Runs[0].Run}); err != nil || len(removed) != 1 {
				t.Fatalf("%+v: %v", removed, err)
			}
			if c.then == "gc" {
				if s := strings.TrimSpace(libvirtd.Virsh(t, "domstate", domain)); s != "running" {
					t.Errorf("the source is %s", s)
				}
				// What it has in its file is to be seen when it has ended.
				libvirtd.Virsh(t, "destroy", domain)
			}
			a.traceless(domain, file)
		})
	}
}
