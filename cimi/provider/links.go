package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

// links are entries of collections that neither the host nor a parent tells:
// what a System uses and does not own, services of a network, endpoints of a
// service. They are all in memory, in the order in which they were made.
type links struct {
	mu           sync.RWMutex
	byCollection map[string][]link
	byMember     map[string][]string // collections
}

// link is an entry of a collection with its accessory attributes (5.5.12).
type link struct {
	member string
	extra  extra
}

// extra are the accessory attributes that a link can have.
type extra struct {
	Backup string `json:"backup,omitempty"` // T12
}

func openLinks(ctx context.Context, db *sql.DB) (*links, error) {
	rows, err := db.QueryContext(ctx, "SELECT collection, member, extra FROM links ORDER BY seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	l := &links{byCollection: map[string][]link{}, byMember: map[string][]string{}}
	for rows.Next() {
		var collection, member string
		var b []byte
		if err := rows.Scan(&collection, &member, &b); err != nil {
			return nil, err
		}
		n := link{member: member}
		if len(b) > 0 {
			if err := json.Unmarshal(b, &n.extra); err != nil {
				return nil, fmt.Errorf("stored entry %s of %s: %w", member, collection, err)
			}
		}
		l.set(collection, n)
	}
	return l, rows.Err()
}

// of are the entries of a collection; the caller must not change them.
func (l *links) of(collection string) []link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byCollection[collection]
}

// has tells whether a resource is an entry of a collection.
func (l *links) has(collection, member string) bool {
	return slices.ContainsFunc(l.of(collection), func(n link) bool { return n.member == member })
}

// holding are the collections that a resource is an entry of.
func (l *links) holding(member string) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.byMember[member])
}

// set adds or replaces an entry; it is stored by putLink.
func (l *links) set(collection string, n link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := slices.Clone(l.byCollection[collection])
	if i := slices.IndexFunc(entries, func(o link) bool { return o.member == n.member }); i >= 0 {
		entries[i] = n
	} else {
		entries = append(entries, n)
		l.byMember[n.member] = append(l.byMember[n.member], collection)
	}
	l.byCollection[collection] = entries
}

// drop takes an entry out; it is removed from the store by dropLink.
func (l *links) drop(collection, member string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := slices.DeleteFunc(slices.Clone(l.byCollection[collection]), func(o link) bool { return o.member == member })
	if l.byCollection[collection] = entries; len(entries) == 0 {
		delete(l.byCollection, collection)
	}
	in := slices.DeleteFunc(l.byMember[member], func(c string) bool { return c == collection })
	if l.byMember[member] = in; len(in) == 0 {
		delete(l.byMember, member)
	}
}

func putLink(tx *sql.Tx, collection string, n link) error {
	b, err := json.Marshal(n.extra)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO links(collection, member, extra) VALUES (?,?,?)
		ON CONFLICT(collection, member) DO UPDATE SET extra = excluded.extra`, collection, n.member, b)
	return err
}

func dropLink(tx *sql.Tx, collection, member string) error {
	_, err := tx.Exec("DELETE FROM links WHERE collection = ? AND member = ?", collection, member)
	return err
}
