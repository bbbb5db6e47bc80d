package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// running imports a machine of those disks and starts it; nothing boots on them.
func running(t testing.TB, h *libvirt.Host, disks ...[]byte) (s *host.System, domain string) {
	t.Helper()
	ctx := context.Background()
	s, err := h.Import(ctx, stored(t, "v1", disks...), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(ctx, s.Machines[0].ID); err != nil {
		t.Fatal(err)
	}
	return s, uuid(s.Machines[0].ID)
}

// live exports a System whose machines run.
func live(t testing.TB, h host.Host, id string, opts host.ExportOptions) (host.Export, []byte) {
	t.Helper()
	opts.Live = true
	x, err := h.Export(context.Background(), id, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	b, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return x, b
}

// holds wants the disks of an archive, by id, to have those contents.
func holds(t testing.TB, archive []byte, want map[string][]byte) {
	t.Helper()
	got := hosttest.Disks(t, archive)
	for id, b := range want {
		if len(got[id]) < len(b) || !bytes.Equal(got[id][:len(b)], b) {
			t.Errorf("disk %s of the export has another content (%d bytes)", id, len(got[id]))
		}
	}
}

// copied are the volumes that are kept of Live exports.
func copied(t testing.TB, pool string) (out []string) {
	t.Helper()
	for _, v := range libvirtd.Volumes(t, pool) {
		if strings.HasPrefix(v, "cimimove-copy-") || strings.HasPrefix(v, "cimimove-snapshot-") {
			out = append(out, v)
		}
	}
	return out
}

// TestLiveE2E: what a machine that runs writes before a Live export is in it, what
// it writes after is not, over a restart of the process; it leaves nothing.
func TestLiveE2E(t *testing.T) {
	libvirtd.Need(t)
	for name, query := range map[string]string{"raw": "", "qcow2": "&format=qcow2"} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			hosts := newHosts(query)
			h := hosts.Open(t).(*libvirt.Host)
			pool := hosts.pools[h]
			first, second := hosttest.Content(1, 128<<20), hosttest.Content(2, 5<<20+512)
			s, domain := running(t, h, first, second)
			write := func(value byte) {
				libvirtd.Write(t, domain, s.Disks[0].ID, "write -P "+string('0'+value)+" 1M 64k")
				libvirtd.Write(t, domain, s.Disks[1].ID, "write -P "+string('0'+value)+" 64k 4k")
			}
			write(3)
			want := map[string][]byte{"d0": bytes.Clone(first), "d1": bytes.Clone(second)}
			copy(want["d0"][1<<20:], bytes.Repeat([]byte{3}, 64<<10))
			copy(want["d1"][64<<10:], bytes.Repeat([]byte{3}, 4<<10))
			shown := len(hosttest.Systems(t, h))
			x, archive := live(t, h, s.ID, host.ExportOptions{})
			holds(t, archive, want)
			write(4)
			if again, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size())); err != nil || !bytes.Equal(again, archive) {
				t.Errorf("what the machine wrote changed the export: %v", err)
			}
			libvirtd.NoJob(t, domain)
			points := 0
			if query != "" { // what a qcow2 volume keeps track of since, as long as the export is kept
				points = 1
			}
			if has := libvirtd.Checkpoints(t, domain); len(has) != points {
				t.Errorf("checkpoints %v, want %d", has, points)
			}
			if n := len(copied(t, pool)); n != 3 {
				t.Errorf("kept are %v", copied(t, pool))
			}
			if now, err := h.System(ctx, s.ID); err != nil || len(hosttest.Systems(t, h)) != shown || len(now.Disks) != 2 {
				t.Errorf("the host lists %d Systems, there were %d: %+v: %v", len(hosttest.Systems(t, h)), shown, now, err)
			}
			state, err := x.State()
			if err != nil {
				t.Fatal(err)
			}
			// Another process has no say in it.
			other, err := libvirt.Open(ctx, "qemu:///system?type=qemu&pool="+pool, libvirt.Options{Owner: "other"})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(other.Retain(ctx, nil), other.Close()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(h.Retain(ctx, nil), x.Close()); err != nil {
				t.Fatal(err)
			}
			h = hosts.Reopen(t, h).(*libvirt.Host)
			if err := h.Retain(ctx, [][]byte{state}); err != nil {
				t.Fatal(err)
			}
			y, again := live(t, h, s.ID, host.ExportOptions{Frozen: state})
			if !bytes.Equal(again, archive) || y.Version() != x.Version() {
				t.Error("opened again it is another one")
			}
			if err := errors.Join(y.Close(), h.Retain(ctx, nil)); err != nil {
				t.Fatal(err)
			}
			if left := copied(t, pool); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
			if _, err := h.Export(ctx, s.ID, host.ExportOptions{Frozen: state}); !errors.Is(err, host.ErrNotFound) {
				t.Errorf("an export that was not retained: %v", err)
			}
			libvirtd.Idle(t, domain)
		})
	}
}

// TestLiveUntrackedE2E: where nobody will ask what changes, no checkpoint is made.
func TestLiveUntrackedE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("&format=qcow2").Open(t).(*libvirt.Host)
	s, domain := running(t, h, hosttest.Content(1, 8<<20))
	for _, untracked := range []bool{true, false} {
		x, _ := live(t, h, s.ID, host.ExportOptions{Untracked: untracked})
		if has := libvirtd.Checkpoints(t, domain); (len(has) == 0) != untracked {
			t.Errorf("untracked %v: checkpoints %v", untracked, has)
		}
		if err := errors.Join(x.Close(), h.Retain(context.Background(), nil)); err != nil {
			t.Fatal(err)
		}
	}
	libvirtd.Idle(t, domain)
}

// TestLiveBrokenOffE2E: a Live export that ends in the middle, because it is
// cancelled or its machine stops, leaves no job and no volume.
func TestLiveBrokenOffE2E(t *testing.T) {
	libvirtd.Need(t)
	hosts := newHosts("")
	h := hosts.Open(t).(*libvirt.Host)
	pool := hosts.pools[h]
	s, domain := running(t, h, make([]byte, 512<<20))
	libvirtd.Write(t, domain, s.Disks[0].ID, "write -P 5 0 384M")
	before := len(libvirtd.Volumes(t, pool))
	for name, signal := range map[string]syscall.Signal{"cancelled": syscall.SIGCONT, "the machine ends": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			if err := h.Start(context.Background(), s.Machines[0].ID); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			halt := libvirtd.Halt(t, domain, filepath.Join("/var/tmp", pool))
			done := make(chan error, 1)
			go func() {
				x, err := h.Export(ctx, s.ID, host.ExportOptions{Live: true})
				if err == nil {
					x.Close()
				}
				done <- err
			}()
			then := halt()
			if name == "cancelled" {
				cancel()
			}
			then(signal)
			select {
			case err := <-done:
				if err == nil {
					t.Error("it did not fail")
				}
				t.Log(err)
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			if now := libvirtd.Volumes(t, pool); len(now) != before {
				t.Errorf("%d volumes were there, now %v", before, now)
			}
			if name == "cancelled" {
				libvirtd.Idle(t, domain)
			}
		})
	}
}
