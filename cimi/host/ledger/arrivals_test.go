package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
)

// shelf is one of memory.
type shelf struct{ files map[string][]byte }

func (s shelf) Create(_ context.Context, name string) (io.WriteCloser, error) {
	return &writing{s: s, name: name}, nil
}

type writing struct {
	bytes.Buffer
	s    shelf
	name string
}

func (w *writing) Close() error {
	w.s.files[w.name] = bytes.Clone(w.Bytes())
	return nil
}

func (s shelf) Open(_ context.Context, name string) (ovf.MemberFile, error) {
	b, ok := s.files[name]
	if !ok {
		return nil, host.ErrNotFound
	}
	return reading{bytes.NewReader(b)}, nil
}

type reading struct{ *bytes.Reader }

func (reading) Close() error { return nil }

func (s shelf) Names(context.Context) (out []string, err error) {
	for n := range s.files {
		out = append(out, n)
	}
	return out, nil
}

func (s shelf) Remove(_ context.Context, name string) error {
	delete(s.files, name)
	return nil
}

// TestArrivals: what is kept under a key is the newest that is whole, has one
// file, is none of a System's records, and goes when it is forgotten.
func TestArrivals(t *testing.T) {
	ctx := context.Background()
	s := shelf{map[string][]byte{}}
	l := &ledger.Ledger{Shelf: s, Owner: "test"}
	if _, err := l.Arrival(ctx, "run"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("before anything is kept: %v", err)
	}
	keep := func(key string, block int64) {
		t.Helper()
		a := &ledger.Arrival{Key: key, Identity: "of " + key, Disks: map[string]ledger.Arrived{"d": {ID: "x", Place: "pool/volume", Kept: host.Kept{Block: block, Head: []byte("head")}}}}
		if err := l.KeepArrival(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	at := func(key string) int64 {
		t.Helper()
		a, err := l.Arrival(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		d := a.Disks["d"]
		if a.Identity != "of "+key || d.ID != "x" || d.Place != "pool/volume" || string(d.Kept.Head) != "head" {
			t.Errorf("%s is kept as %+v", key, a)
		}
		return d.Kept.Block
	}
	keep("run", 1)
	keep("run", 2)
	keep("other", 7)
	if a, b := at("run"), at("other"); a != 2 || b != 7 || len(s.files) != 2 {
		t.Errorf("blocks %d and %d in %d files", a, b, len(s.files))
	}
	// A process that dies while it writes the next one leaves this one.
	for name, b := range s.files {
		if prefix, ok := strings.CutSuffix(name, ".2"); ok {
			s.files[prefix+".3"] = b[:len(b)-5]
		}
	}
	if n := at("run"); n != 2 {
		t.Errorf("beside half a newer one it is block %d", n)
	}
	keep("run", 4)
	if n := at("run"); n != 4 || len(s.files) != 2 {
		t.Errorf("block %d in %d files", n, len(s.files))
	}
	all, err := l.Arrivals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, a := range all {
		keys = append(keys, a.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"other", "run"}) {
		t.Errorf("kept are %q", keys)
	}
	if systems, err := l.All(ctx); err != nil || len(systems) != 0 {
		t.Errorf("%d Systems are listed: %v", len(systems), err)
	}
	if left, err := l.Leftovers(ctx); err != nil || len(left) != 0 {
		t.Errorf("%d notes are left: %v", len(left), err)
	}
	if err := errors.Join(l.ForgetArrival(ctx, "run"), l.ForgetArrival(ctx, "nothing")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Arrival(ctx, "run"); !errors.Is(err, host.ErrNotFound) || at("other") != 7 {
		t.Errorf("forgotten: %v", err)
	}
}
