package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// Arrival is what is kept of an import that broke off, under a key of the
// importer's: no record lists it, and no note names it any more.
type Arrival struct {
	Key string `json:"key"`
	// Identity is that of the package: what arrived of another is no part of it.
	Identity string    `json:"identity"`
	Time     time.Time `json:"time"` // of the last change
	// Disks by their ids in the descriptor.
	Disks map[string]Arrived `json:"disks"`
}

// Arrived is what is kept of one disk.
type Arrived struct {
	ID    string    `json:"id"`    // of the disk
	Place string    `json:"place"` // as in Entry.Places
	Kept  host.Kept `json:"kept"`
	Head  []byte    `json:"head,omitempty"` // Kept.Head
}

// arrivalName begins the names of the files of a key; see keep.
func arrivalName(key string) string {
	return fmt.Sprintf("arrival-%x.", sha256.Sum256([]byte(key)))
}

// Arrival reads what is kept under a key; host.ErrNotFound where nothing is.
func (l *Ledger) Arrival(ctx context.Context, key string) (*Arrival, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	return l.newestArrival(ctx, names, arrivalName(key))
}

func (l *Ledger) newestArrival(ctx context.Context, names []string, begin string) (*Arrival, error) {
	for _, v := range slices.Backward(keptVersions(names, begin)) {
		a := new(Arrival)
		err := l.get(ctx, begin+strconv.Itoa(v), a)
		if errors.Is(err, errBroken) || errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for id, d := range a.Disks {
			d.Kept.Head = d.Head
			a.Disks[id] = d
		}
		return a, nil
	}
	return nil, fmt.Errorf("nothing is kept: %w", host.ErrNotFound)
}

// Arrivals reads everything that is kept of imports that broke off.
func (l *Ledger) Arrivals(ctx context.Context) ([]*Arrival, error) {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []*Arrival
	for _, n := range names {
		at := strings.LastIndexByte(n, '.')
		if !strings.HasPrefix(n, "arrival-") || at < 0 || seen[n[:at+1]] {
			continue
		}
		seen[n[:at+1]] = true
		a, err := l.newestArrival(ctx, names, n[:at+1])
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// KeepArrival writes what is kept under a.Key anew.
func (l *Ledger) KeepArrival(ctx context.Context, a *Arrival) error {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	for id, d := range a.Disks {
		d.Head = d.Kept.Head
		a.Disks[id] = d
	}
	a.Time = time.Now().UTC()
	return l.keep(ctx, names, arrivalName(a.Key), a)
}

// ForgetArrival removes the file of a key; what it names is the caller's.
func (l *Ledger) ForgetArrival(ctx context.Context, key string) error {
	names, err := l.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	return l.removeKept(ctx, arrivalName(key), keptVersions(names, arrivalName(key)))
}
