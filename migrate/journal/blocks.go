package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
)

// SumSize is the length of a block digest in bytes.
const SumSize = 32

// Block is the digest of one block of a disk.
type Block struct {
	Index int64
	Sum   [SumSize]byte
}

// AddBlocks records digests of blocks of a disk, ascending. upto is how many
// blocks from the first are known with them: those without a digest are zero.
func (j *Journal) AddBlocks(ctx context.Context, run, disk string, upto int64, blocks []Block) error {
	packed := make([]byte, 0, len(blocks)*(8+SumSize))
	for _, b := range blocks {
		packed = binary.BigEndian.AppendUint64(packed, uint64(b.Index))
		packed = append(packed, b.Sum[:]...)
	}
	return j.writeRun(ctx, run, "blocks", func(tx *tx) error {
		var seq int64
		if err := tx.QueryRow(`SELECT coalesce(max(seq),0)+1 FROM blocks WHERE run=? AND disk=?`, run, disk).Scan(&seq); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO blocks (run, disk, seq, upto, sums) VALUES (?,?,?,?,?)`, run, disk, seq, upto, packed)
		return err
	})
}

// KnownUpTo is how many blocks of a disk from the first are known.
func (j *Journal) KnownUpTo(ctx context.Context, run, disk string) (int64, error) {
	var upto int64
	err := j.queryRow(ctx, `SELECT coalesce(max(upto),0) FROM blocks WHERE run=? AND disk=?`, run, disk).Scan(&upto)
	return upto, err
}

// EachBlock calls f with the recorded digests of a disk, ascending.
func (j *Journal) EachBlock(ctx context.Context, run, disk string, f func(Block) error) error {
	// One batch at a time is in memory, and the connection is free in between.
	for seq := 0; ; {
		var packed []byte
		err := j.queryRow(ctx, `SELECT seq, sums FROM blocks WHERE run=? AND disk=? AND seq>? ORDER BY seq LIMIT 1`, run, disk, seq).Scan(&seq, &packed)
		if err == sql.ErrNoRows {
			return nil
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		for len(packed) >= 8+SumSize {
			var b Block
			b.Index = int64(binary.BigEndian.Uint64(packed))
			copy(b.Sum[:], packed[8:])
			packed = packed[8+SumSize:]
			if err := f(b); err != nil {
				return err
			}
		}
	}
}

// DropBlocks forgets the block digests of a run: of one disk, or of all when
// disk is empty.
func (j *Journal) DropBlocks(ctx context.Context, run, disk string) error {
	return j.writeRun(ctx, run, "drop blocks", func(tx *tx) error {
		_, err := tx.Exec(`DELETE FROM blocks WHERE run=? AND (CAST(? AS TEXT)='' OR disk=?)`, run, disk, disk)
		return err
	})
}
