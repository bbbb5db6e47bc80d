package migrate

import (
	"sync"

	"github.com/cimimove/cimimove/cimi"
)

// Survey is what the plans of many Systems find out once: what destinations
// reach, and what earlier runs between two clouds have moved. The zero value is
// ready; its methods may be called concurrently.
type Survey struct {
	reach once[cimi.Reach]
	rates once[Rate]
}

// once holds answers by name. Who asks for one that is being found out waits, and
// gets that; one that could not be had is looked for anew by who asks later.
type once[T any] struct {
	mu  sync.Mutex
	all map[string]*answer[T]
}

type answer[T any] struct{ get func() (T, error) }

// get gives the answer known by a name, or finds it out.
func (o *once[T]) get(name string, find func() (T, error)) (T, error) {
	o.mu.Lock()
	if o.all == nil {
		o.all = map[string]*answer[T]{}
	}
	a := o.all[name]
	if a == nil {
		a = &answer[T]{sync.OnceValues(find)}
		o.all[name] = a
	}
	o.mu.Unlock()
	v, err := a.get()
	if err != nil {
		o.mu.Lock()
		if o.all[name] == a {
			delete(o.all, name)
		}
		o.mu.Unlock()
	}
	return v, err
}
