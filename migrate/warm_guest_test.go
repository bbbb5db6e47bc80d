package migrate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
)

// guest is a cloud whose guests write to their disks when the snapshot of an
// export is given up: after the copy, and before they are stopped.
type guest struct {
	cimi.Provider
	writes func() error
}

func (g guest) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.RelForget && a.Properties[cimi.ExportLocation] != "" {
		if err := g.writes(); err != nil {
			panic(err)
		}
	}
	return g.Provider.Invoke(ctx, id, a)
}

// writeDisk replaces blocks of a Volume, by its diskId, as if its guest had.
func writeDisk(ctx context.Context, p cimi.Provider, ovfID string, size int64, blocks ...cimi.DeltaBlock) error {
	all, err := p.List(ctx, "volumes", cimi.ListOptions{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Items, func(r cimi.Resource) bool { return r.(*cimi.Volume).ExtraString(cimi.OVFID) == ovfID })
	if i < 0 {
		return fmt.Errorf("no disk %s", ovfID)
	}
	id := all.Items[i].Base().ID
	for part := range slices.Chunk(blocks, 2) {
		a := &cimi.Action{Action: cimi.RelDelta}
		a.SetExtra(cimi.Delta, cimi.EncodeDelta(size, part))
		if _, err := p.Invoke(ctx, id, a); err != nil {
			return err
		}
	}
	c, err := p.Open(ctx, id+"/blocks/sums/1048576")
	if err != nil {
		return err
	}
	defer c.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(c, 0, c.Size())); err != nil {
		return err
	}
	a := &cimi.Action{Action: cimi.RelProve}
	a.SetExtra(cimi.ContentDigest, map[string]any{"digest": fmt.Sprintf("%x", h.Sum(nil)), "size": size})
	acc, err := p.Invoke(ctx, id, a)
	if err == nil {
		_, err = cimi.Wait(ctx, p, acc, "", cimi.WaitOptions{})
	}
	return err
}

// pageOf is a page of the sample's disks as it is in a content.
func pageOf(content []byte, off int64) cimi.DeltaBlock {
	end := min(off+cimi.PageUnit, int64(len(content)))
	return cimi.DeltaBlock{Offset: off, Length: end - off, Data: bytes.Clone(content[off:end])}
}

// checkContent compares a disk at a cloud with what it should hold.
func (c *cloud) checkContent(ovfID string, want []byte) {
	c.t.Helper()
	all, err := c.p.List(context.Background(), "volumes", cimi.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range all.Items {
		if r.(*cimi.Volume).ExtraString(cimi.OVFID) != ovfID {
			continue
		}
		got, err := os.ReadFile(filepath.Join(c.dir, "disks", strings.TrimPrefix(r.Base().ID, "volumes/")+".raw"))
		if err != nil || !bytes.Equal(got[:len(want)], want) {
			c.t.Errorf("disk %s has another content: %v", ovfID, err)
		}
		return
	}
	c.t.Errorf("disk %s is not there", ovfID)
}

func (c *cloud) snapshots() int {
	entries, err := os.ReadDir(filepath.Join(c.dir, "snapshots"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return len(entries)
}

// asWarm is a cloud whose guests undo, after the copy, what soil did before.
func asWarm(s *hosttest.Sample) func(cimi.Provider) cimi.Provider {
	return func(p cimi.Provider) cimi.Provider {
		return guest{p, func() error {
			return writeDisk(context.Background(), p, "disk1", hosttest.DiskSize, pageOf(s.Disks["disk1"], 0), pageOf(s.Disks["disk1"], 2<<20))
		}}
	}
}

// soil makes the sample another until its guests write again.
func soil(t *testing.T, c *cloud) {
	t.Helper()
	page := bytes.Repeat([]byte{0xee}, 4096)
	if err := writeDisk(t.Context(), c.p, "disk1", hosttest.DiskSize, cimi.DeltaBlock{Length: 4096, Data: page}, cimi.DeltaBlock{Offset: 2 << 20, Length: 4096, Data: page}); err != nil {
		t.Fatal(err)
	}
}

// overwriteDisk1 makes the first disk of the sample another in every block.
func overwriteDisk1(ctx context.Context, p cimi.Provider) error {
	var blocks []cimi.DeltaBlock
	want := overwritten()
	for off := int64(0); off < hosttest.DiskSize; off += cimi.BlockUnit {
		end := min(off+cimi.BlockUnit, hosttest.DiskSize)
		blocks = append(blocks, cimi.DeltaBlock{Offset: off, Length: end - off, Data: want[off:end]})
	}
	return writeDisk(ctx, p, "disk1", hosttest.DiskSize, blocks...)
}

func overwritten() []byte { return bytes.Repeat([]byte{0xab}, hosttest.DiskSize) }
