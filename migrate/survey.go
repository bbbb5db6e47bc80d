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

// once holds answers by name. Who asks for one that is being found out waits.
type once[T any] struct {
	mu  sync.Mutex
	all map[string]func() (T, error)
}

// get gives the answer known by a name, or finds it out.
func (o *once[T]) get(name string, find func() (T, error)) (T, error) {
	o.mu.Lock()
	if o.all == nil {
		o.all = map[string]func() (T, error){}
	}
	f := o.all[name]
	if f == nil {
		f = sync.OnceValues(find)
		o.all[name] = f
	}
	o.mu.Unlock()
	return f()
}
