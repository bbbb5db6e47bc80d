package provider_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestProveChangedOnly: of a disk whose sums were read, only what was written
// since is read again where that is enough; everything is where it is not asked
// for, was not read before, or the disk was written to by somebody else.
func TestProveChangedOnly(t *testing.T) {
	ovftest.Slow(t)
	for _, c := range []struct {
		name               string
		sums, only, others bool
		again              bool // by another process
		believes           bool
	}{
		{name: "known", sums: true, only: true, believes: true},
		{name: "not asked for", sums: true},
		{name: "not read", only: true},
		{name: "written to by others", sums: true, only: true, others: true},
		{name: "another process", sums: true, only: true, again: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, sample := t.TempDir(), hosttest.NewSample(t, "appliance", 1)
			p := open(t, dir, provider.Options{})
			succeeded(t, p, sample, nil)
			volumes := list(t, p, "volumes")
			v := volumes[slices.IndexFunc(volumes, func(r cimi.Resource) bool { return r.(*cimi.Volume).ExtraString(cimi.OVFID) == "disk1" })].(*cimi.Volume)
			want := bytes.Clone(sample.Disks["disk1"])
			blocks := v.Operation(cimi.RelBlocks).Href
			if c.sums {
				checkSums(t, p, blocks, want)
			}
			file := filepath.Join(dir, "disks", strings.TrimPrefix(v.ID, "volumes/")+".raw")
			page := bytes.Repeat([]byte{7}, cimi.PageUnit)
			write := func(off int64) {
				t.Helper()
				a := &cimi.Action{Action: cimi.RelDelta}
				a.SetExtra(cimi.Delta, cimi.EncodeDelta(hosttest.DiskSize, []cimi.DeltaBlock{{Offset: off, Length: cimi.PageUnit, Data: page}}))
				if _, err := p.Invoke(t.Context(), v.ID, a); err != nil {
					t.Fatal(err)
				}
				copy(want[off:], page)
			}
			// A block that nobody is told of changes; nothing shows that but reading it.
			spoil := func(keep bool) {
				t.Helper()
				st, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				f, err := os.OpenFile(file, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := f.WriteAt([]byte("spoilt"), 2<<20); err != nil {
					t.Fatal(err)
				}
				when := st.ModTime()
				if !keep {
					when = when.Add(1)
				}
				if err := os.Chtimes(file, when, when); err != nil {
					t.Fatal(err)
				}
			}
			write(4096)
			spoil(!c.others)
			if c.again {
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				p = open(t, dir, provider.Options{})
			}
			write(8192)
			write(1 << 20)
			digest, err := disk.ContentDigest(t.Context(), raw.New(bytes.NewReader(want), int64(len(want))), int64(len(want)), nil)
			if err != nil {
				t.Fatal(err)
			}
			prove := func(only bool) string {
				t.Helper()
				a := &cimi.Action{Action: cimi.RelProve}
				a.SetExtra(cimi.ContentDigest, map[string]any{"digest": digest.String(), "size": hosttest.DiskSize})
				if only {
					a.SetExtra(cimi.ChangedOnly, true)
				}
				acc, err := p.Invoke(t.Context(), v.ID, a)
				if err != nil {
					t.Fatal(err)
				}
				return wait(t, p, acc.Job).State
			}
			if got := prove(c.only); (got == cimi.JobSuccess) != c.believes {
				t.Errorf("the proof ended %s", got)
			}
			if got := prove(c.only); got != cimi.JobFailed {
				t.Errorf("proved again, which reads all, it ended %s", got)
			}
		})
	}
}

// TestProveChangedOnlyWrong: what was written is read, and what is known counts.
func TestProveChangedOnlyWrong(t *testing.T) {
	sample := hosttest.NewSample(t, "appliance", 1)
	p := open(t, t.TempDir(), provider.Options{})
	succeeded(t, p, sample, nil)
	volumes := list(t, p, "volumes")
	v := volumes[slices.IndexFunc(volumes, func(r cimi.Resource) bool { return r.(*cimi.Volume).ExtraString(cimi.OVFID) == "disk1" })].(*cimi.Volume)
	want := bytes.Clone(sample.Disks["disk1"])
	checkSums(t, p, v.Operation(cimi.RelBlocks).Href, want)
	a := &cimi.Action{Action: cimi.RelDelta}
	a.SetExtra(cimi.Delta, cimi.EncodeDelta(hosttest.DiskSize, []cimi.DeltaBlock{{Length: cimi.PageUnit, Data: bytes.Repeat([]byte{7}, cimi.PageUnit)}}))
	if _, err := p.Invoke(t.Context(), v.ID, a); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]func([]byte){"as it was": func([]byte) {}, "another change": func(b []byte) { b[2<<20]++ }} {
		b := bytes.Clone(want)
		content(b)
		digest, err := disk.ContentDigest(t.Context(), raw.New(bytes.NewReader(b), int64(len(b))), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		prove := &cimi.Action{Action: cimi.RelProve}
		prove.SetExtra(cimi.ContentDigest, map[string]any{"digest": digest.String(), "size": hosttest.DiskSize})
		prove.SetExtra(cimi.ChangedOnly, true)
		acc, err := p.Invoke(t.Context(), v.ID, prove)
		if err != nil {
			t.Fatal(err)
		}
		if j := wait(t, p, acc.Job); j.State != cimi.JobFailed {
			t.Errorf("%s: it ended %s", name, j.State)
		}
	}
}
