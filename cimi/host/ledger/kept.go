package ledger

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// What changes while it is kept lies in files whose names begin the same: a newer
// one follows an older one, which is removed then, so that one that is whole is
// always there.

// keptVersions are those of the files whose names begin so, oldest first.
func keptVersions(names []string, begin string) []int {
	var out []int
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, begin); ok {
			if v, err := strconv.Atoi(rest); err == nil && v > 0 {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	return out
}

// keep writes v as the newest.
func (l *Ledger) keep(ctx context.Context, names []string, begin string, v any) error {
	old := keptVersions(names, begin)
	next := 1
	if len(old) > 0 {
		next = old[len(old)-1] + 1
	}
	if err := l.put(ctx, begin+strconv.Itoa(next), v); err != nil {
		return err
	}
	return l.removeKept(ctx, begin, old)
}

func (l *Ledger) removeKept(ctx context.Context, begin string, which []int) error {
	for _, v := range which { // the newest last
		if err := l.Shelf.Remove(ctx, begin+strconv.Itoa(v)); err != nil {
			return err
		}
	}
	return nil
}
