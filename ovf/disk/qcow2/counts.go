package qcow2

import (
	"encoding/binary"
	"fmt"

	"github.com/cimimove/cimimove/ovf/disk"
)

// countSpan is how many bytes of the image one block of reference counts tells
// of: 2 GiB.
const countSpan = countsInBlock * writtenCluster

// counts are the reference counts of an image's clusters. References come
// ascending, so that one block of counts is in progress, and one done but not
// written.
type counts struct {
	blocks []int64          // byte offsets of those written, 0 for the others
	kept   map[int64][]byte // of the others
}

// add counts one more reference to the cluster at byte offset at.
func (c *counts) add(at int64) error {
	i := at / countSpan
	b := c.kept[i]
	if b == nil {
		if c.kept == nil {
			c.kept = map[int64][]byte{}
		}
		for int64(len(c.blocks)) <= i {
			c.blocks = append(c.blocks, 0)
		}
		b = make([]byte, writtenCluster)
		c.kept[i] = b
	}
	entry := b[at%countSpan/writtenCluster*2:]
	old := binary.BigEndian.Uint16(entry)
	if old == 1<<16-1 {
		return fmt.Errorf("qcow2: more than 65535 references to the cluster at %d", at)
	}
	binary.BigEndian.PutUint16(entry, old+1)
	return nil
}

// done is the block that no more references come for, if there is one.
func (c *counts) done() (int64, bool) {
	if len(c.kept) < 2 {
		return 0, false
	}
	return int64(len(c.blocks)) - 2, true
}

// write writes block i at byte offset at.
func (c *counts) write(file disk.File, i, at int64) error {
	b := c.kept[i]
	delete(c.kept, i)
	c.blocks[i] = at
	return disk.WriteData(file, b, at)
}

// finish writes the blocks that are left and the table of all at byte offset
// at, and gives the table's place, its length in clusters and the end.
func (c *counts) finish(file disk.File, at int64) (table, clusters, end int64, err error) {
	written := int64(len(c.blocks) - len(c.kept))
	// What is about to be written is counted too: grow until all fit.
	total := int64(len(c.blocks))
	for {
		clusters = (total*8 + writtenCluster - 1) / writtenCluster
		end = at + (total-written+clusters)*writtenCluster
		need := (end + countSpan - 1) / countSpan
		if need <= total {
			break
		}
		total = need
	}
	for p := at; p < end; p += writtenCluster {
		if err := c.add(p); err != nil {
			return 0, 0, 0, err
		}
	}
	b := make([]byte, clusters*writtenCluster)
	for i := range c.blocks {
		if c.blocks[i] == 0 {
			if err := c.write(file, int64(i), at); err != nil {
				return 0, 0, 0, err
			}
			at += writtenCluster
		}
		binary.BigEndian.PutUint64(b[8*i:], uint64(c.blocks[i]))
	}
	return at, clusters, end, disk.WriteData(file, b, at)
}
