package migrate_test

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// track has the vCenter track what is written to all disks.
func (c *vCloud) track() {
	c.t.Helper()
	for _, m := range c.machines() {
		if err := c.v.Track(m); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestWarmTracked: where the source's host tells what has changed, little more
// than that is read when the machines are at rest, of thin disks and thick ones,
// and the copy is whole.
func TestWarmTracked(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, disk := range []string{"thin", "thick"} {
		remote := disk == "thin"
		t.Run(disk, func(t *testing.T) {
			t.Parallel()
			a, b := newVCloud(t, disk), newCloud(t)
			a.track()
			want := changedDisk1(a.s)
			src, dst := a.endpoint(), b.inProcess()
			if remote {
				src.Provider = served(t, a.p)
				dst = b.remote()
			}
			src.Provider = guest{src.Provider, func() error { return a.write(want) }}
			e := newEngine(t, src, dst)
			plan, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Warm: true, Verify: migrate.VerifyDigest})
			if err != nil {
				t.Fatal(err)
			}
			if !plan.Warm.Tracked || plan.Warm.HashSeconds != 0 {
				t.Errorf("the plan says %+v", plan.Warm)
			}
			rep, err := e.Start(t.Context(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if w := rep.Warm; !rep.Verified || w.Tracked != 3 || w.Told != 2 || w.Differing != 2 || w.Changed != 2*4096 || w.HashBytesPerSecond != 0 {
				t.Errorf("%+v %+v", rep, rep.Warm)
			}
			b.checkContent("disk1", want)
			b.checkContent("disk2", a.s.Disks["disk2"])
			a.atRest()
			// In full, all is hashed, and the plan says so.
			full, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "next", Warm: true})
			if err != nil || full.Warm.Tracked || full.Warm.HashSeconds < 1 {
				t.Errorf("%+v: %v", full, err)
			}
		})
	}
}

// TestWarmTrackedBytes: what is read at rest grows with the change, not with the
// disk.
func TestWarmTrackedBytes(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	second := func(size int64) int64 {
		v := vctest.New(t, vctest.Options{})
		a, b := &vCloud{cloud: &cloud{t: t, dir: t.TempDir()}, v: v, disk: "thick"}, newCloud(t)
		a.open()
		a.loadLarge(size, size/2)
		acc, err := a.p.Invoke(t.Context(), "systems/"+a.systemID(), &cimi.Action{Action: cimi.ActionStart})
		if err == nil {
			_, err = cimi.Wait(t.Context(), a.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
		}
		if err != nil {
			t.Fatal(err)
		}
		v.Guest("shop", vctest.GuestObeys)
		a.track()
		want := make([]byte, size)
		if _, err := (pattern{size, size / 2}).ReadAt(want, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 5<<20 + 8192, 11 << 20} {
			copy(want[off:], bytes.Repeat([]byte{0x3c}, 4096))
		}
		src, dst := a.endpoint(), b.inProcess()
		var bulk int64
		src.Provider = guest{src.Provider, func() error {
			bulk = v.Sent()
			return v.SetDisk("shop", 0, raw.New(bytes.NewReader(want), size))
		}}
		rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Verify: migrate.VerifyDigest})
		if err != nil || !rep.Verified {
			t.Fatalf("%+v: %v", rep, err)
		}
		if rep.Warm.Tracked != 1 || rep.Warm.Changed != 3*4096 {
			t.Errorf("%+v", rep.Warm)
		}
		b.checkContent("big", want)
		return v.Sent() - bulk
	}
	small, large := second(12<<20), second(36<<20)
	t.Logf("three pages changed: %d bytes of files came at rest of a disk of 12 MiB, %d of one of 36 MiB", small, large)
	if small < 3<<20 || large > small+64<<10 {
		t.Error("that does not grow with the change")
	}
}

// TestWarmTrackedInDoubt: where it cannot be known for certain what has changed,
// everything is hashed, and the copy is whole all the same. The host's own tests have
// more of such cases.
func TestWarmTrackedInDoubt(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	each := func(f func(*vCloud, string) error) func(*vCloud) error {
		return func(c *vCloud) (err error) {
			for _, m := range c.machines() {
				err = errors.Join(err, f(c, m))
			}
			return err
		}
	}
	for name, doubt := range map[string]func(*vCloud) error{
		"the tracking began anew": each(func(c *vCloud, m string) error { return c.v.Track(m) }),
		"a snapshot of others":    each(func(c *vCloud, m string) error { return c.v.Snapshot(m, "before an update") }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newVCloud(t, "thick"), newCloud(t)
			a.track()
			want := changedDisk1(a.s)
			src, dst := a.endpoint(), b.inProcess()
			src.Provider = guest{src.Provider, func() error { return errors.Join(a.write(want), doubt(a)) }}
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Verify: migrate.VerifyDigest})
			if err != nil || !rep.Verified {
				t.Fatalf("%+v: %v", rep, err)
			}
			if w := rep.Warm; w.Tracked != 0 || w.Told != 0 || w.Changed != 2*4096 {
				t.Errorf("%+v", w)
			}
			b.checkContent("disk1", want)
			b.checkContent("disk2", a.s.Disks["disk2"])
		})
	}
}

// TestWarmTrackedNotTold: what the host does not tell of is believed not to have
// changed, and the report says that it was; a run that is verified in full is not
// deceived. What was written to the copy meanwhile is found either way.
func TestWarmTrackedNotTold(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, verify := range []migrate.Verify{migrate.VerifyDigest, migrate.VerifyFull} {
		a, b := newVCloud(t, "thick"), newCloud(t)
		a.track()
		want := changedDisk1(a.s)
		src, dst := a.endpoint(), b.inProcess()
		src.Provider = guest{src.Provider, sync.OnceValue(func() error {
			a.v.Areas(func(i *types.DiskChangeInfo) { i.ChangedArea = nil })
			return errors.Join(a.write(want), writeDisk(t.Context(), b.p, "disk2", hosttest.DiskSize, cimi.DeltaBlock{Length: 4096, Data: bytes.Repeat([]byte{1}, 4096)}))
		})}
		rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Verify: verify})
		if err != nil || !rep.Verified {
			t.Fatalf("%+v: %v", rep, err)
		}
		believed := false
		for _, f := range rep.Findings {
			believed = believed || f.ID == migrate.RuleWarmTold
		}
		if believed != (verify == migrate.VerifyDigest) {
			t.Errorf("%s: %+v", verify, rep.Findings)
		}
		b.checkContent("disk2", a.s.Disks["disk2"])
		if verify == migrate.VerifyFull {
			b.checkContent("disk1", want)
		}
	}
}

// systemID is that of the one System there is.
func (c *vCloud) systemID() string {
	c.t.Helper()
	all, err := c.p.List(c.t.Context(), "systems", cimi.ListOptions{})
	if err != nil || len(all.Items) != 1 {
		c.t.Fatalf("%+v: %v", all, err)
	}
	return strings.TrimPrefix(all.Items[0].Base().ID, "systems/")
}

// served is a cloud over HTTP.
func served(t *testing.T, p *provider.Provider) cimi.Provider {
	t.Helper()
	handler, err := server.New(p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := client.New(t.Context(), s.URL+"/cloudEntryPoint", client.Options{Format: "xml"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
