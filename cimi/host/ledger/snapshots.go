package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
)

// Snapshot is what is kept of a Live export: copies of disks as they were at one
// moment. It is its owner's; see Ledger.Owner.
type Snapshot struct {
	Name string `json:"name"`
	// Machines are those whose hypervisor writes the copies, by id; as long as
	// there is no Entry, it may do so still.
	Machines []string `json:"machines,omitempty"`
	// Marked are the places of the disks whose changes the hypervisor keeps track
	// of since, by id, as in Entry.Places.
	Marked map[string]string `json:"marked,omitempty"`
	// Places of the copies, by id of the disk, as in Entry.Places.
	Places map[string]string `json:"places,omitempty"`
	// Entry is the System as it is exported, with the digests of the copies; nil
	// until they are whole.
	Entry *Entry `json:"entry,omitempty"`
	// Files are small files of the package that are kept nowhere else, by name.
	Files map[string][]byte `json:"files,omitempty"`
}

// snapshotNames begins the names of the files of all snapshots of an owner: it is
// told without reading them, so that one that is not whole is its owner's, too.
func (l *Ledger) snapshotNames() string {
	sum := sha256.Sum256([]byte(l.Owner))
	return fmt.Sprintf("snapshot-%x-", sum[:8])
}

// snapshotName begins the names of the files of one; see keep.
func (l *Ledger) snapshotName(name string) string { return l.snapshotNames() + name + "." }

// KeepSnapshot writes what is kept of s.Name anew. What it names is made after
// that, so that nothing is there which no file names.
func (l *Ledger) KeepSnapshot(ctx context.Context, s *Snapshot) error {
	if !safeID.MatchString(s.Name) {
		return fmt.Errorf("snapshot %.40q: %w", s.Name, host.ErrUnsupported)
	}
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	return l.keep(ctx, names, l.snapshotName(s.Name), s)
}

// Snapshots reads those of this owner, by name. One of which nothing is whole has
// a name alone: nothing was made of it.
func (l *Ledger) Snapshots(ctx context.Context) ([]*Snapshot, error) {
	files, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, f := range files {
		rest, ok := strings.CutPrefix(f, l.snapshotNames())
		if name, _, dot := strings.Cut(rest, "."); ok && dot && safeID.MatchString(name) {
			seen[name] = true
		}
	}
	var out []*Snapshot
	for name := range seen {
		s, err := l.newestSnapshot(ctx, files, name)
		if errors.Is(err, host.ErrNotFound) {
			s, err = &Snapshot{Name: name}, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Snapshot) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Snapshot reads one of this owner that is whole; host.ErrNotFound where none is.
func (l *Ledger) Snapshot(ctx context.Context, name string) (*Snapshot, error) {
	missing := fmt.Errorf("the snapshot %.40q: %w", name, host.ErrNotFound)
	if !safeID.MatchString(name) {
		return nil, missing
	}
	files, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.newestSnapshot(ctx, files, name)
	if err == nil && (s.Entry == nil || s.Entry.System == nil) {
		err = missing
	}
	return s, err
}

func (l *Ledger) newestSnapshot(ctx context.Context, files []string, name string) (*Snapshot, error) {
	begin := l.snapshotName(name)
	for _, v := range slices.Backward(keptVersions(files, begin)) {
		s := new(Snapshot)
		err := l.get(ctx, begin+strconv.Itoa(v), s)
		if errors.Is(err, errBroken) || errors.Is(err, host.ErrNotFound) {
			continue
		}
		return s, err
	}
	return nil, fmt.Errorf("the snapshot %.40q: %w", name, host.ErrNotFound)
}

// ForgetSnapshot removes the files of one; what they name is the caller's.
func (l *Ledger) ForgetSnapshot(ctx context.Context, name string) error {
	files, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	return l.removeKept(ctx, l.snapshotName(name), keptVersions(files, l.snapshotName(name)))
}
