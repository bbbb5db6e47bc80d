package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// openChanged tells the blocks of a Volume that may have changed since a point
// (cimi.RelBlocks).
func (p *Provider) openChanged(ctx context.Context, key, encoded, href string) (cimi.Content, error) {
	t, ok := p.host.(host.ChangeTracker)
	if !ok {
		return nil, notFound(href)
	}
	point, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(point) == 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "changed: expected a point in base64url")
	}
	areas, err := t.ChangedSince(ctx, key, string(point))
	if errors.Is(err, host.ErrChanged) {
		return nil, &cimi.Error{Status: http.StatusNotFound, Message: href + ": " + sentence(err)}
	}
	if err != nil {
		return nil, asError(err)
	}
	s, _, done, err := p.subjectOf(ctx, "volumes/"+key)
	if err != nil {
		return nil, asError(err)
	}
	size := s.disk.CapacityBytes
	done()
	blocks := (size + cimi.BlockUnit - 1) / cimi.BlockUnit
	bits := make([]byte, (blocks+7)/8)
	for _, a := range areas {
		if a.Length <= 0 || a.Offset < 0 || a.Offset > size-a.Length {
			return nil, cimi.Errorf(http.StatusInternalServerError, "%s: the host tells of %d bytes at %d, of %d", href, a.Length, a.Offset, size)
		}
		for i := a.Offset / cimi.BlockUnit; i <= (a.Offset+a.Length-1)/cimi.BlockUnit; i++ {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return memory{bytes.NewReader(bits)}, nil
}

// points are those of an export, as its Job shows them.
func points(x host.Export) (any, error) {
	state, err := x.State()
	if err != nil {
		return nil, err
	}
	all, held := host.FrozenPoints(state)
	var out []any
	for id, point := range all {
		one := map[string]any{"volume": id, "point": base64.RawURLEncoding.EncodeToString([]byte(point))}
		if held {
			one["held"] = true
		}
		out = append(out, one)
	}
	if out == nil {
		return nil, nil
	}
	return out, nil
}

// provesParts tells whether the host makes use of what is known of a disk.
func (p *Provider) provesParts() bool {
	_, ok := p.host.(host.PartProver)
	return ok
}
