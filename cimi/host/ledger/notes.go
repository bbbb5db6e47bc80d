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
		id, ok := strings.CutSuffix(n, ".note")
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
	out := map[string]Note{}
	for _, n := range names {
		id, ok := strings.CutSuffix(n, ".note")
		if !ok {
			continue
		}
		var note Note
		switch err := l.settled(ctx, n, &note); {
		case errors.Is(err, host.ErrNotFound):
			continue // another owner's work has ended
		case errors.Is(err, errBroken):
			// Nothing is made before its note is whole.
			note = Note{Owner: l.Owner}
		case err != nil:
			return nil, err
		}
		if note.Owner != l.Owner {
			continue
		}
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
var notePauses = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// settled is get for a note that another owner may be writing just now.
func (l *Ledger) settled(ctx context.Context, name string, note *Note) error {
	err := l.get(ctx, name, note)
	for _, pause := range notePauses {
		if !errors.Is(err, errBroken) {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		err = l.get(ctx, name, note)
	}
	return err
}
