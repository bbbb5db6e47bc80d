package ledger

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// Notes are those of all owners, by System: work under way, here or elsewhere,
// or that ended in the middle. A note that is not whole is left out.
func (l *Ledger) Notes(ctx context.Context) (map[string]Note, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]Note{}
	for _, n := range names {
		id, ok := strings.CutSuffix(n, noteSuffix)
		if !ok {
			continue
		}
		var note Note
		switch err := l.get(ctx, n, &note); {
		case errors.Is(err, errBroken), errors.Is(err, host.ErrNotFound): // begun or ended just now
		case err != nil:
			return nil, err
		default:
			out[id] = note
		}
	}
	return out, nil
}

// Leftovers are the notes of this owner whose work is not done, by System.
// Notes of imports that were committed are removed on the way.
func (l *Ledger) Leftovers(ctx context.Context) (map[string]Note, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	notes, err := l.settled(ctx, names)
	if err != nil {
		return nil, err
	}
	out := map[string]Note{}
	for n, note := range notes {
		if note.Owner != l.Owner {
			continue
		}
		id := strings.TrimSuffix(n, noteSuffix)
		if !note.Removing {
			if _, err := l.newest(ctx, names, id); err == nil {
				if err := l.Shelf.Remove(ctx, n); err != nil {
					return nil, err
				}
				continue
			} else if !errors.Is(err, host.ErrNotFound) {
				return nil, err
			}
		}
		out[id] = note
	}
	return out, nil
}

// notePauses are waited for, one after the other, before a note that is not whole
// counts as one whose writer has died. To write one takes milliseconds.
var notePauses = []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// settled reads the notes among names, by name. Another owner may be writing one just
// now, or have ended. Nothing is made before its note is whole: one that stays broken is
// anybody's, so this owner's.
func (l *Ledger) settled(ctx context.Context, names []string) (map[string]Note, error) {
	out, broken := map[string]Note{}, []string{}
	for _, n := range names {
		if strings.HasSuffix(n, noteSuffix) {
			broken = append(broken, n)
		}
	}
	for _, pause := range notePauses {
		if len(broken) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
		var still []string
		for _, n := range broken {
			var note Note
			switch err := l.get(ctx, n, &note); {
			case err == nil:
				out[n] = note
			case errors.Is(err, errBroken):
				still = append(still, n)
			case !errors.Is(err, host.ErrNotFound):
				return nil, err
			}
		}
		broken = still
	}
	for _, n := range broken {
		out[n] = Note{Owner: l.Owner}
	}
	return out, nil
}
