package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// exports are packages that can be fetched. Each is frozen when its Job
// succeeds, reopened from its stored state after a restart, and gone when its
// System is, when it is deleted, or when nobody has read it for ExportIdle.
type exports struct {
	p *Provider

	mu   sync.Mutex
	byID map[string]*exported
}

type exported struct {
	mu     sync.Mutex // held while it is opened
	id     string     // exports/ID.ova
	system string     // id of the host's System
	state  []byte     // nil until frozen
	x      host.Export
	users  int
	used   time.Time
	gone   bool
}

func openExports(ctx context.Context, p *Provider) (*exports, error) {
	e := &exports{p: p, byID: map[string]*exported{}}
	rows, err := p.db.db.QueryContext(ctx, "SELECT id, system, state, used FROM exports")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		x := &exported{}
		var used int64
		if err := rows.Scan(&x.id, &x.system, &x.state, &used); err != nil {
			return nil, err
		}
		x.used = time.Unix(0, used)
		e.byID[x.id] = x
	}
	return e, rows.Err()
}

// reserve makes the place of an export that is not frozen yet.
func (e *exports) reserve(system string) *exported {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := &exported{id: "exports/" + host.NewID() + ".ova", system: system, used: time.Now()}
	e.byID[x.id] = x
	return x
}

// errForgotten: an export that was removed while it was being prepared.
var errForgotten = errors.New("the export was forgotten while it was being prepared")

// freeze makes the export ready.
func (e *exports) freeze(ctx context.Context, x *exported, frozen host.Export) error {
	state, err := frozen.State()
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return errForgotten
	}
	if _, err := e.p.db.db.ExecContext(ctx, "INSERT INTO exports(id, system, state, used) VALUES (?,?,?,?)", x.id, x.system, state, time.Now().UnixNano()); err != nil {
		return err
	}
	x.x, x.state, x.used = frozen, state, time.Now()
	return nil
}

// open gives the bytes of an export; 503 as long as they are not known.
func (e *exports) open(ctx context.Context, id string) (cimi.Content, error) {
	e.expire(ctx)
	e.mu.Lock()
	x := e.byID[id]
	e.mu.Unlock()
	if x == nil {
		return nil, notFound(id)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return nil, notFound(id)
	}
	if x.state == nil {
		return nil, &cimi.Error{Status: 503, RetryAfter: 1, Message: id + ": the export is being prepared"}
	}
	if x.x == nil {
		var err error
		if x.system == "" {
			x.x, err = unpackDescriptor(x.state)
		} else {
			x.x, err = e.p.host.Export(ctx, x.system, host.ExportOptions{Frozen: x.state})
		}
		if err != nil {
			x.x = nil
			return nil, asError(fmt.Errorf("%s: %w", id, err))
		}
	}
	x.users++
	x.used = time.Now()
	return &reading{Export: x.x, exports: e, of: x}, nil
}

// reading is an export while somebody reads it.
type reading struct {
	host.Export
	exports *exports
	of      *exported
	once    sync.Once
}

func (r *reading) Ranged() bool { return true }

func (r *reading) Close() (err error) {
	r.once.Do(func() {
		r.of.mu.Lock()
		defer r.of.mu.Unlock()
		r.of.users--
		r.of.used = time.Now()
		if err = r.of.release(); err == nil && r.of.gone && r.of.users == 0 {
			err = r.exports.retain(context.Background())
		}
	})
	return err
}

// release closes what is gone and not read any more; mu is held.
func (x *exported) release() error {
	if !x.gone || x.users > 0 || x.x == nil {
		return nil
	}
	frozen := x.x
	x.x = nil
	return frozen.Close()
}

// remove forgets an export; who reads it reads on.
func (e *exports) remove(ctx context.Context, x *exported) error {
	e.mu.Lock()
	delete(e.byID, x.id)
	e.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gone = true
	_, err := e.p.db.db.ExecContext(ctx, "DELETE FROM exports WHERE id = ?", x.id)
	if err = errors.Join(err, x.release()); err == nil && x.users == 0 {
		err = e.retain(ctx)
	}
	return err
}

// retain has the host remove what it keeps for exports that are no more.
func (e *exports) retain(ctx context.Context) error {
	r, ok := e.p.host.(host.Retainer)
	if !ok {
		return nil
	}
	states, err := e.states(ctx)
	if err != nil {
		return err
	}
	return r.Retain(ctx, states)
}

// states are those of the exports there are.
func (e *exports) states(ctx context.Context) (out [][]byte, err error) {
	rows, err := e.p.db.db.QueryContext(ctx, "SELECT state FROM exports")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var state []byte
		if err := rows.Scan(&state); err != nil {
			return nil, err
		}
		out = append(out, state)
	}
	return out, rows.Err()
}

func (e *exports) find(keep func(*exported) bool) []*exported {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*exported
	for _, x := range e.byID {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}

// removeOf forgets the exports of a System.
func (e *exports) removeOf(ctx context.Context, system string) error {
	var errs []error
	for _, x := range e.find(func(x *exported) bool { return x.system == system }) {
		errs = append(errs, e.remove(ctx, x))
	}
	return errors.Join(errs...)
}

// expire forgets exports that nobody has read for long.
func (e *exports) expire(ctx context.Context) {
	limit := time.Now().Add(-e.p.opts.ExportIdle)
	for _, x := range e.find(func(*exported) bool { return true }) {
		x.mu.Lock()
		old := x.state != nil && x.users == 0 && x.used.Before(limit)
		x.mu.Unlock()
		if old {
			_ = e.remove(ctx, x) // tried again the next time
		}
	}
}

// byName is the export of that id, nil when there is none.
func (e *exports) byName(id string) *exported {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.byID[id]
}

// close closes the layouts; their states stay stored.
func (e *exports) close() error {
	var errs []error
	for _, x := range e.find(func(*exported) bool { return true }) {
		x.mu.Lock()
		if x.x != nil {
			errs = append(errs, x.x.Close())
			x.x = nil
		}
		x.mu.Unlock()
	}
	return errors.Join(errs...)
}
