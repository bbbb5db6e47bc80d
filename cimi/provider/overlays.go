package provider

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// overlays are attributes that consumers gave to what the host holds and that
// the host has no place for: properties, parameters of a segment, the state of
// a network. They are all in memory.
type overlays struct {
	mu   sync.RWMutex
	byID map[string]*overlay
}

// overlay is never changed after it was made.
type overlay struct {
	r       cimi.Resource // only what is laid over the view
	updated time.Time
}

func openOverlays(ctx context.Context, db *sql.DB) (*overlays, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, type, body, updated FROM attributes")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	o := &overlays{byID: map[string]*overlay{}}
	for rows.Next() {
		var id, typ string
		var body []byte
		var updated int64
		if err := rows.Scan(&id, &typ, &body, &updated); err != nil {
			return nil, err
		}
		if typ == "" { // written by an older program
			typ = typeOfID(id)
		}
		r, err := cimi.DecodeJSONAs(body, typ)
		if err != nil {
			return nil, fmt.Errorf("stored attributes of %s: %w", id, err)
		}
		o.byID[id] = &overlay{r, time.Unix(0, updated).UTC()}
	}
	return o, rows.Err()
}

// get is what is laid over a resource, nil when nothing is.
func (o *overlays) get(id string) *overlay {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byID[id]
}

// set makes what is laid over a resource known; put has stored it. nil removes it.
func (o *overlays) set(id string, r cimi.Resource, updated time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r == nil {
		delete(o.byID, id)
		return
	}
	o.byID[id] = &overlay{r, updated}
}

// putOverlay stores what is laid over a resource.
func putOverlay(tx *sql.Tx, id string, r cimi.Resource, updated time.Time) error {
	if r == nil {
		_, err := tx.Exec("DELETE FROM attributes WHERE id = ?", id)
		return err
	}
	body, err := cimi.MarshalJSONIn(r, 0)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT OR REPLACE INTO attributes(id, type, body, updated) VALUES (?,?,?,?)", id, r.TypeName(), body, updated.UnixNano()); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM refs WHERE source = ?", id); err != nil {
		return err
	}
	for _, target := range cimi.Targets(r) {
		if _, err := tx.Exec("INSERT OR IGNORE INTO refs(target, source) VALUES (?,?)", target, id); err != nil {
			return err
		}
	}
	return nil
}

// lay puts what consumers gave over the view of a resource of the host.
func (p *Provider) lay(r cimi.Resource) {
	b := r.Base()
	o := p.overlays.get(b.ID)
	if o == nil {
		return
	}
	cimi.Lay(r, o.r)
	if b.Updated == nil || o.updated.After(b.Updated.Time) {
		b.Updated = cimi.TimeOf(o.updated)
	}
}
