package provider

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// writeDelta replaces blocks of a Volume (cimi.RelDelta). It is answered when
// they are written: a Job for each of thousands would be no help.
func (p *Provider) writeDelta(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	size, blocks, err := cimi.DecodeDelta(a.ExtraString(cimi.Delta), maxDelta)
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: %w", cimi.Delta, err)
	}
	if size > s.disk.CapacityBytes {
		return nil, cimi.Errorf(http.StatusConflict, "%s: the delta is of a disk of %d bytes, this one has %d", s.id, size, s.disk.CapacityBytes)
	}
	defer p.changes.lock(s.root.ID)()
	if err := p.atRest(ctx, s.disk.ID); err != nil {
		return nil, err
	}
	out := make([]host.Block, len(blocks))
	for i, b := range blocks {
		out[i] = host.Block{Offset: b.Offset, Length: b.Length, Data: b.Data}
	}
	if err := p.patch(ctx, s.disk.ID, out); err != nil {
		return nil, err
	}
	return &cimi.Accepted{Done: true}, nil
}

// patch writes blocks, and keeps the sums that are known of others.
func (p *Provider) patch(ctx context.Context, key string, blocks []host.Block) error {
	h := p.host.(host.Patcher)
	known, err := p.knownOf(ctx, key)
	if err != nil {
		return err
	}
	if known == nil || !known.writing(known.now, blocks) {
		p.sums.drop(key)
		return h.Patch(ctx, key, blocks)
	}
	if err := h.Patch(ctx, key, blocks); err != nil {
		p.sums.drop(key)
		return err
	}
	img, err := p.host.OpenDisk(ctx, key)
	if err != nil {
		p.sums.drop(key)
		return nil // it is written
	}
	known.written(imageVersion(img))
	return img.Close()
}

// sumsNow are what is known of a disk in the version that it has now.
type sumsNow struct {
	*diskSums
	now string
}

// knownOf gives those of a disk; nil where there are none.
func (p *Provider) knownOf(ctx context.Context, key string) (*sumsNow, error) {
	if !p.provesParts() {
		return nil, nil
	}
	img, err := p.host.OpenDisk(ctx, key)
	if err != nil {
		return nil, err
	}
	now := imageVersion(img)
	s := p.sums.of(key, now, (img.Size()+cimi.BlockUnit-1)/cimi.BlockUnit, false)
	if err := img.Close(); s == nil || err != nil {
		return nil, err
	}
	return &sumsNow{s, now}, nil
}

// prove has the host read a disk anew, where it may what is not known of it.
func (p *Provider) prove(ctx context.Context, key string, want disk.Digest, changedOnly bool, progress disk.Progress) error {
	defer p.sums.drop(key)
	if h, ok := p.host.(host.PartProver); ok && changedOnly {
		known, err := p.knownOf(ctx, key)
		if err != nil {
			return err
		}
		if known != nil {
			sums := host.KnownSums{Version: known.now, Sum: func(block int64) (disk.BlockSum, bool, error) { return known.get(known.now, block) }}
			return h.ProveKnown(ctx, key, want, sums, progress)
		}
	}
	return p.host.(host.Patcher).Prove(ctx, key, want, progress)
}

// proveDelta reads a Volume anew (cimi.RelProve).
func (p *Provider) proveDelta(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	want, err := wantedDigest(a.ExtraValue(cimi.ContentDigest))
	if err != nil {
		return nil, err
	}
	if want.Size > s.disk.CapacityBytes {
		return nil, cimi.Errorf(http.StatusConflict, "%s: the digest is of %d bytes, it has %d", s.id, want.Size, s.disk.CapacityBytes)
	}
	changedOnly, _ := strconv.ParseBool(fmt.Sprint(a.ExtraValue(cimi.ChangedOnly)))
	return p.async(ctx, cimi.RelProve, s.id, func(ctx context.Context, t *task) error {
		if err := p.atRest(ctx, s.disk.ID); err != nil {
			return err
		}
		if err := p.prove(ctx, s.disk.ID, want, changedOnly, func(done, total int64) { t.progress("", done, total) }); err != nil {
			return err
		}
		c := &change{}
		c.modelEvent(p, s.r, "update", "its content was brought up to date")
		return p.commit(c)
	})
}

// wantedDigest reads a contentDigest as the Volume shows one.
func wantedDigest(v any) (d disk.Digest, err error) {
	m, ok := v.(map[string]any)
	if !ok {
		return d, cimi.Errorf(http.StatusBadRequest, "%s: missing, or not an object of digest and size", cimi.ContentDigest)
	}
	sum, _ := m["digest"].(string)
	size, err := strconv.ParseInt(fmt.Sprint(m["size"]), 10, 64)
	if err == nil && size < 1 {
		err = strconv.ErrRange
	}
	if err == nil {
		d, err = disk.ParseDigest(sum, size)
	}
	if err != nil {
		return d, cimi.Errorf(http.StatusBadRequest, "%s: %w", cimi.ContentDigest, err)
	}
	return d, nil
}
