package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// testLive: a Live export keeps the content of its moment, whatever is written
// to the disks afterwards, over a restart too, until it is not retained.
func testLive(t *testing.T, hosts Hosts) {
	h := hosts.Open(t)
	if !h.Capabilities().Live {
		t.Skip("the host makes no Live exports")
	}
	ctx, sample := context.Background(), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	x, first := export(t, h, sys.ID, host.ExportOptions{Live: true})
	if _, disks, _ := contents(t, first); !bytes.Equal(disks["disk1"], sample.Disks["disk1"]) || !bytes.Equal(disks["disk2"], sample.Disks["disk2"]) {
		t.Error("the disks have another content")
	}
	p, ok := h.(host.Patcher)
	r, retains := h.(host.Retainer)
	if !ok || !retains {
		return
	}
	state, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	if d := diskByOVFID(sys, "disk1"); p.Patches(d) {
		if err := p.Patch(ctx, d.ID, []host.Block{{Length: 4096, Data: bytes.Repeat([]byte{7}, 4096)}}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("a write to the disk changed the export: %v", err)
	}
	if err := r.Retain(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := x.ReadAt(again[:1], 0); err != nil {
		t.Errorf("an export that is open was not retained: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	h = hosts.Reopen(t, h)
	r = h.(host.Retainer)
	if err := r.Retain(ctx, [][]byte{state}); err != nil {
		t.Fatal(err)
	}
	y, second := export(t, h, sys.ID, host.ExportOptions{Frozen: state})
	if !bytes.Equal(first, second) || y.Version() != x.Version() {
		t.Error("opened again it is another one")
	}
	if err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Retain(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Export(ctx, sys.ID, host.ExportOptions{Frozen: state}); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("an export that was not retained: %v", err)
	}
}

// testPatch: a disk that was changed in part is not taken for whole, over a
// restart too, until it has been read and found to be what it was to become.
func testPatch(t *testing.T, hosts Hosts) {
	h := hosts.Open(t)
	if _, ok := h.(host.Patcher); !ok {
		t.Skip("the host is no host.Patcher")
	}
	ctx, sample := context.Background(), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	d := diskByOVFID(sys, "disk1")
	if !h.(host.Patcher).Patches(d) {
		if err := h.(host.Patcher).Patch(ctx, d.ID, []host.Block{{Length: 4096}}); !errors.Is(err, host.ErrUnsupported) {
			t.Errorf("a part of a disk that takes none: %v", err)
		}
		return
	}
	want := bytes.Clone(sample.Disks["disk1"])
	blocks := []host.Block{{Offset: 4096, Length: 8192, Data: bytes.Repeat([]byte{1, 2}, 4096)}, {Offset: 2 << 20, Length: 1 << 20},
		{Offset: DiskSize - 512, Length: 512, Data: bytes.Repeat([]byte{3}, 512)}}
	for _, b := range blocks {
		clear(want[b.Offset : b.Offset+b.Length])
		copy(want[b.Offset:], b.Data)
	}
	digest, err := disk.ContentDigest(ctx, raw.New(bytes.NewReader(want), DiskSize), DiskSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(b ...host.Block) error { return h.(host.Patcher).Patch(ctx, d.ID, b) }
	for name, b := range map[string]host.Block{"behind the end": {Offset: DiskSize, Length: 512}, "over the end": {Offset: DiskSize - 512, Length: 1024},
		"before the start": {Offset: -512, Length: 512}, "none": {}, "of another length": {Length: 512, Data: make([]byte, 100)}} {
		if err := patch(blocks[0], b); !errors.Is(err, host.ErrUnsupported) {
			t.Errorf("a block %s: %v", name, err)
		}
	}
	if got := diskByOVFID(Systems(t, h)[0], "disk1"); got.Unproved || got.ContentDigest == "" {
		t.Errorf("what was refused left %+v", got)
	}
	if err := h.(host.Patcher).Patch(ctx, host.NewID(), blocks); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("no such disk: %v", err)
	}
	if err := patch(blocks[0]); err != nil {
		t.Fatal(err)
	}
	h = hosts.Reopen(t, h)
	unproved := func() {
		t.Helper()
		if got := diskByOVFID(Systems(t, h)[0], "disk1"); !got.Unproved || got.ContentDigest != "" {
			t.Errorf("changed in part it is %+v", got)
		}
		for _, live := range []bool{false, true} {
			if x, err := h.Export(ctx, sys.ID, host.ExportOptions{Live: live}); !errors.Is(err, host.ErrUnproved) {
				t.Errorf("its export (live: %t): %v", live, err)
				if err == nil {
					x.Close()
				}
			}
		}
		if p, ok := h.(host.Power); ok {
			if err := p.Start(ctx, sys.Machines[0].ID); !errors.Is(err, host.ErrUnproved) {
				t.Errorf("a start: %v", err)
			}
		}
	}
	unproved()
	prove := func(want disk.Digest) error { return h.(host.Patcher).Prove(ctx, d.ID, want, nil) }
	var integrity *ovf.IntegrityError
	if err := prove(digest); !errors.As(err, &integrity) || integrity.Actual == "" {
		t.Errorf("half of it was proved: %v", err)
	}
	unproved()
	for range 2 {
		if err := patch(blocks...); err != nil {
			t.Fatal(err)
		}
	}
	short, err := disk.ContentDigest(ctx, raw.New(bytes.NewReader(want), DiskSize), DiskSize-512, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := prove(short); !errors.As(err, &integrity) {
		t.Errorf("with data behind the size it was proved: %v", err)
	}
	if err := prove(disk.Digest{Sum: digest.Sum, Size: DiskSize + 512}); !errors.Is(err, host.ErrUnsupported) {
		t.Errorf("a digest of more than it has: %v", err)
	}
	for range 2 {
		if err := prove(digest); err != nil {
			t.Fatal(err)
		}
	}
	h = hosts.Reopen(t, h)
	if got := diskByOVFID(Systems(t, h)[0], "disk1"); got.Unproved || got.ContentDigest != digest.String() || got.ContentBytes != DiskSize {
		t.Errorf("proved it is %+v", got)
	}
	_, archive := export(t, h, sys.ID, host.ExportOptions{})
	if _, disks, _ := contents(t, archive); !bytes.Equal(disks["disk1"], want) || !bytes.Equal(disks["disk2"], sample.Disks["disk2"]) {
		t.Error("exported it has another content")
	}
	// A blank disk that stays one keeps its place in the descriptor.
	scratch := diskByOVFID(sys, "scratch")
	if err := h.(host.Patcher).Patch(ctx, scratch.ID, []host.Block{{Length: 4096}}); err != nil {
		t.Fatal(err)
	}
	if err := h.(host.Patcher).Prove(ctx, scratch.ID, disk.NewDigester(scratch.CapacityBytes, nil).Sum(), nil); err != nil {
		t.Fatal(err)
	}
	if got := diskByOVFID(Systems(t, h)[0], "scratch"); got.Unproved || got.ContentBytes != 0 {
		t.Errorf("the blank disk is %+v", got)
	}
}
