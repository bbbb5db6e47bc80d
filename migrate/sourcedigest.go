package migrate

import (
	"context"
	"fmt"
	"maps"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf/disk"
)

// digests completes the source's content digests: most disks were digested as
// they passed; what did not pass in order, or passed in a process that died, is
// read from the source now, block by block where that is possible.
func (t *transfer) digests(ctx context.Context) error {
	if t.done(StepStage) {
		var n stageNotes
		if err := t.run.notes(StepStage, &n); err != nil {
			return err
		}
		t.notes.Disks, t.notes.Read = n.Disks, n.Read
		return nil
	}
	if t.Warm {
		return t.copiedDigests(ctx) // the others are taken when the machines are at rest
	}
	if t.notes.Disks == nil {
		t.notes.Disks = map[string]diskNote{}
	}
	if t.Via == ViaResources {
		return t.imageDigests(ctx)
	}
	byMember := map[string]disk.Digest{}
	for _, d := range t.disks {
		digest, err := t.digest(ctx, d)
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.ID, err)
		}
		byMember[d.ID] = digest
	}
	missing := map[string]bool{}
	told := map[string]diskNote{}
	if t.direct() {
		var err error
		if told, err = t.sourceDigests(ctx); err != nil {
			return err
		}
	}
	if t.x == nil && len(told) > 0 {
		t.notes.Disks = told
		return nil
	}
	if t.x != nil {
		for _, d := range t.x.Envelope.Disks() {
			if digest, ok := t.ofSameFile(d.FileRef, byMember); ok && !d.Blank() {
				t.keep(d.ID, digest)
				continue
			}
			if d.Blank() {
				capacity, err := d.CapacityBytes()
				if err != nil {
					return err
				}
				t.notes.Disks[d.ID] = diskNote{Digest: relay.Blank(d.ID, capacity, capacity).Digest.String(), Size: capacity, Blank: true}
				continue
			}
			if note, ok := told[d.ID]; ok {
				t.notes.Disks[d.ID] = note
				continue
			}
			missing[d.ID] = t.Verify != VerifyNone || !t.direct()
		}
		maps.DeleteFunc(missing, func(_ string, wanted bool) bool { return !wanted })
		if len(missing) == 0 {
			return nil
		}
	}
	content, err := t.reopened(ctx)
	if err != nil {
		return err
	}
	if content != t.content {
		defer content.Close()
	}
	found, _, err := relay.Digests(ctx, content, t.System, relay.DigestOptions{Want: func(id string) bool { return t.x == nil || missing[id] }})
	if err != nil {
		return err
	}
	for id, d := range found {
		t.keep(id, d.Digest)
	}
	return nil
}

func (t *transfer) keep(id string, d disk.Digest) {
	t.notes.Disks[id] = diskNote{Digest: d.String(), Size: d.Size}
}

// ofSameFile finds the digest of the file that a disk refers to.
func (t *transfer) ofSameFile(fileRef string, digests map[string]disk.Digest) (disk.Digest, bool) {
	for _, d := range t.x.Envelope.Disks() {
		if digest, ok := digests[d.ID]; ok && d.FileRef == fileRef {
			return digest, true
		}
	}
	return disk.Digest{}, false
}

// digest of a disk: from the pass, else from the journal and what is not in it.
func (t *transfer) digest(ctx context.Context, d relay.Disk) (disk.Digest, error) {
	if res, ok := t.tap.Digest(d.ID); ok {
		return res.Digest, nil
	}
	d.Known = t.tap.Known(d.ID)
	counted := relay.NewTap(ctx, t.content, nil, relay.TapOptions{})
	defer func() {
		counted.Close()
		t.notes.Read += counted.Read()
	}()
	return relay.Complete(ctx, counted, d, func(yield func(relay.Block) error) error {
		return t.engine.Journal.EachBlock(ctx, t.id, d.ID, func(b journal.Block) error {
			return yield(relay.Block{Index: b.Index, Sum: b.Sum})
		})
	}, func(done, total int64) {
		t.feed.emit(Event{Run: t.id, System: t.System, Disk: d.ID, Phase: "digest", Done: done, Total: total})
	})
}

// reopened gives the source for another pass.
func (t *transfer) reopened(ctx context.Context) (cimi.Content, error) {
	if t.content.Ranged() {
		return t.content, nil
	}
	var n exportNotes
	if err := t.run.notes(StepExport, &n); err != nil {
		return nil, err
	}
	return t.open(ctx, t.src, n.Location)
}
