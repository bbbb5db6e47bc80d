package libvirt_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestRanUnseenE2E: what a domain wrote that others started and stopped, as the
// host does when it boots, is exported with the digest of what it is now, that on
// a disk which was blank, too; a disk that nobody wrote to is not read for it. Its
// version is the one that it was, theirs is another.
func TestRanUnseenE2E(t *testing.T) {
	libvirtd.Need(t)
	ctx := context.Background()
	for name, query := range map[string]string{"raw": "", "qcow2": "&format=qcow2"} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(query).Open(t).(*libvirt.Host)
			sample := hosttest.NewSample(t, "shop", 1)
			s, err := h.Import(ctx, hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]string{}
			for d := range s.AllDisks() {
				ids[d.OVFID] = d.ID
			}
			domain := ""
			for m := range s.AllMachines() {
				for _, a := range m.Attachments {
					if a.DiskID == ids["scratch"] {
						domain = uuid(m.ID)
					}
				}
			}
			before := versions(t, h, ids)
			libvirtd.Virsh(t, "start", domain)
			libvirtd.Write(t, domain, ids["disk1"], "write -P 7 1M 64k")
			libvirtd.Write(t, domain, ids["scratch"], "write -P 9 0 4k")
			libvirtd.Virsh(t, "destroy", domain)
			for id, now := range versions(t, h, ids) {
				if was := before[id]; now == "" || (now != was) != (id != "disk2") {
					t.Errorf("the version of %s was %q, is %q", id, was, now)
				}
			}

			want := map[string][]byte{"disk1": bytes.Clone(sample.Disks["disk1"]), "disk2": sample.Disks["disk2"], "scratch": make([]byte, 2<<20)}
			copy(want["disk1"][1<<20:], bytes.Repeat([]byte{7}, 64<<10))
			copy(want["scratch"], bytes.Repeat([]byte{9}, 4<<10))
			for range 2 { // the second time nothing is void
				x, err := h.Export(ctx, s.ID, host.ExportOptions{})
				if err != nil {
					t.Fatal(err)
				}
				archive, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
				if err != nil {
					t.Fatal(err)
				}
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
				holds(t, archive, want)
				now, err := h.System(ctx, s.ID)
				if err != nil {
					t.Fatal(err)
				}
				for d := range now.AllDisks() {
					b := want[d.OVFID]
					sum, err := disk.ContentDigest(ctx, raw.New(bytes.NewReader(b), int64(len(b))), d.ContentBytes, nil)
					if err != nil || d.ContentDigest != sum.String() {
						t.Errorf("disk %s of %d bytes has digest %s, expected %s (%v)", d.OVFID, d.ContentBytes, d.ContentDigest, sum, err)
					}
				}
			}
		})
	}
}

// versions are those of disks, by the descriptor's ids.
func versions(t *testing.T, h host.Versioner, ids map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, id := range ids {
		v, err := h.ContentVersion(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = v
	}
	return out
}
