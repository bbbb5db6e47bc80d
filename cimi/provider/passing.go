package provider

import (
	"slices"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/cimi"
)

// passing are the states of passage: what a resource is in while an operation
// is at work on it (5.8), and resources that are being created.
type passing struct {
	mu    sync.RWMutex
	state map[string]string
	made  []cimi.Resource // being created, in order
}

// of is the state of passage of a resource, "" when it is in none.
func (t *passing) of(id string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.state[id]
}

// through puts resources into a state of passage until leave is called.
func (t *passing) through(state string, ids ...string) (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == nil {
		t.state = map[string]string{}
	}
	for _, id := range ids {
		t.state[id] = state
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, id := range ids {
			delete(t.state, id)
		}
	}
}

// create shows a resource that is being created until done is called.
func (t *passing) create(r cimi.Resource) (done func()) {
	setState(r, cimi.StateCreating)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made = append(t.made, r)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.made = slices.DeleteFunc(slices.Clone(t.made), func(o cimi.Resource) bool { return o == r })
	}
}

// creating is a resource that is being created, nil when none is under that id.
func (t *passing) creating(id string) cimi.Resource {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.made {
		if r.Base().ID == id {
			return cimi.Clone(r)
		}
	}
	return nil
}

// creatingIn are those that stand in a collection of the entry point, or in
// the collection that is their parent.
func (t *passing) creatingIn(collection string) []cimi.Resource {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []cimi.Resource
	for _, r := range t.made {
		b := r.Base()
		if kind, _, _ := strings.Cut(b.ID, "/"); kind == collection || cimi.HrefOf(b.Parent) == collection {
			out = append(out, cimi.Clone(r))
		}
	}
	return out
}
