package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// ErrLost: a lease was not renewed in time, and somebody else has the lock.
var ErrLost = errors.New("another worker has taken this over")

// shared is what a journal in a database of many machines holds: the leases of
// this process. A lease is free when the database's clock has passed its
// expiry, so clocks of workers do not matter; how long a renewal is overdue is
// measured by each worker's monotonic clock.
type shared struct {
	j     *Journal
	owner string
	opts  SharedOptions
	clock clock
	ctx   context.Context // ends with the journal
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	held   map[string]*Lock
	gone   map[string]bool // lost, and not taken again
	shares map[string]*Share
}

// life of a lease: another worker has half a heartbeat to find out that it has
// ended, and goes on within two heartbeats.
func (s *shared) life() time.Duration { return s.opts.Heartbeat * 3 / 2 }

func (s *shared) start() {
	s.gone = map[string]bool{}
	ctx, stop := context.WithCancel(context.Background())
	s.ctx, s.stop, s.done = ctx, stop, make(chan struct{})
	go func() {
		defer close(s.done)
		// Twice as often as must be: one that comes late does not lose the lease.
		tick := time.NewTicker(s.opts.Heartbeat / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.renew(ctx)
				s.beat(ctx)
				s.clock.beat(ctx, s)
			}
		}
	}()
}

// beat renews the parts of limits.
func (s *shared) beat(ctx context.Context) {
	s.mu.Lock()
	shares := slices.Collect(maps.Values(s.shares))
	s.mu.Unlock()
	for _, p := range shares {
		p.beat(ctx)
	}
}

// renew renews every lease that is held and still ours, and tells holders of
// those that are not. One that nobody here holds any more, as the answer to its
// taking or its giving back was lost, ends by itself.
func (s *shared) renew(ctx context.Context) {
	asked := time.Now()
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.held))
	s.mu.Unlock()
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
	defer cancel()
	rows, err := s.j.db.QueryContext(ctx, `UPDATE lease SET expires = now() + $1 * interval '1 microsecond' WHERE owner=$2 AND name = ANY($3) RETURNING name`,
		s.life().Microseconds(), s.owner, names)
	ours := map[string]bool{}
	if err == nil {
		for rows.Next() {
			var name string
			if err = rows.Scan(&name); err != nil {
				break
			}
			ours[name] = true
		}
		err = errors.Join(err, rows.Err(), rows.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		// Not known: the leases may be somebody else's soon, but while the
		// database does not answer nobody can take them. Writes are fenced.
		return
	}
	for name, l := range s.held {
		// One taken after we asked, or just being taken, is not among the answers.
		if !ours[name] && !l.since.IsZero() && l.since.Before(asked) {
			s.lose(l)
		}
	}
}

// lose tells the holder that its lease is somebody else's; s.mu is held.
func (s *shared) lose(l *Lock) {
	delete(s.held, l.name)
	s.gone[l.name] = true
	close(l.lost)
}

// lock takes a lease that is free.
func (s *shared) lock(name string) (*Lock, error) {
	l := &Lock{name: name, shared: s, lost: make(chan struct{})}
	ctx := context.Background()
	s.mu.Lock()
	_, twice := s.held[name]
	if !twice {
		s.held[name] = l // before it is there, so that no renewal misses it
	}
	s.mu.Unlock()
	if twice {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	got := false
	err := s.j.patiently(ctx, func() error {
		res, err := s.j.db.ExecContext(ctx, `INSERT INTO lease (name, owner, fence, expires) VALUES ($1, $2, 1, now() + $3 * interval '1 microsecond')
			ON CONFLICT (name) DO UPDATE SET owner=excluded.owner, fence=lease.fence+1, expires=excluded.expires
			WHERE lease.expires < now() OR lease.owner=excluded.owner`, name, s.owner, s.life().Microseconds())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		got = n == 1
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || !got {
		delete(s.held, name)
		if err == nil {
			err = ErrLocked
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l.since = time.Now()
	delete(s.gone, name)
	return l, nil
}

// locked tells whether somebody holds a lease.
func (s *shared) locked(name string) bool {
	ctx := context.Background()
	var owner string
	err := s.j.queryRow(ctx, `SELECT owner FROM lease WHERE name=? AND expires > now()`, name).Scan(&owner)
	return !errors.Is(err, sql.ErrNoRows)
}

// unlock gives a lease back. One that was lost is not ours to give.
func (s *shared) unlock(l *Lock) error {
	s.mu.Lock()
	ours := s.held[l.name] == l // not one that was lost, and taken again
	if ours {
		delete(s.held, l.name)
	}
	s.mu.Unlock()
	if !ours {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.life())
	defer cancel()
	// One that cannot be given back ends by itself. The row stays: it tells a
	// worker that comes back from a long sleep that it is not its own any more.
	// It has no owner, so that a renewal under way does not find it.
	_, err := s.j.db.ExecContext(ctx, `UPDATE lease SET owner='', expires='-infinity' WHERE name=$1 AND owner=$2`, l.name, s.owner)
	return err
}

func (s *shared) close() {
	s.stop()
	<-s.done
	s.mu.Lock()
	locks, shares := s.held, s.shares
	s.held = map[string]*Lock{}
	s.mu.Unlock()
	if len(locks)+len(shares) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.life())
	defer cancel()
	s.j.db.ExecContext(ctx, `DELETE FROM share WHERE owner=$1`, s.owner)
	s.j.db.ExecContext(ctx, `UPDATE lease SET owner='', expires='-infinity' WHERE owner=$1`, s.owner)
}

// fence refuses a write about what somebody else holds the lease of.
func (j *Journal) fence(t *tx, lock string) error {
	if j.shared == nil || lock == "" {
		return nil
	}
	var (
		owner string
		free  bool
	)
	// The row is locked until the transaction ends, so that nobody takes the
	// lease between this look and the commit.
	err := t.QueryRow(`SELECT owner, expires < now() FROM lease WHERE name=? FOR UPDATE`, lock).Scan(&owner, &free)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	s := j.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.held[lock]
	switch {
	case owner == s.owner:
		return nil
	case l != nil:
		s.lose(l)
	case free && !s.gone[lock]:
		return nil // nobody's: the caller works without a lock
	}
	return fmt.Errorf("%s: %w", lock, ErrLost)
}
