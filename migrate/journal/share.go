package journal

import (
	"context"
	"sync"
	"time"
)

// shareSchema: a row for each process that uses a limit now, with the part of
// it that the process may use. The parts of a limit never add up to more.
const shareSchema = `
CREATE TABLE IF NOT EXISTS share (
  name TEXT NOT NULL, owner TEXT NOT NULL, part BIGINT NOT NULL, expires TIMESTAMPTZ NOT NULL, PRIMARY KEY (name, owner)
);
`

// Share is this process's part of a limit that all workers keep together: an
// equal part among those that use it now, one that they give way for. A worker
// that dies, or is cut off from the database, has none when a lease would have
// ended: by its own monotonic clock not later than by the database's, which
// decides when others may have it.
type Share struct {
	s     *shared
	name  string
	total int64

	turn    sync.Mutex // of those who ask for it, or give it back
	mu      sync.Mutex
	part    int64
	until   time.Time     // when the part ends unless it is renewed; zero for none
	used    bool          // since the last heartbeat
	waiting int           // callers
	joining bool          // a first part is being asked for
	changed chan struct{} // closed when the part changes
}

// Share gives the process's part of a limit by name; nil where the journal is
// this process's own, and the limit with it.
func (j *Journal) Share(name string, total int64) *Share {
	if j.shared == nil {
		return nil
	}
	s := j.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shares[name] == nil {
		if s.shares == nil {
			s.shares = map[string]*Share{}
		}
		s.shares[name] = &Share{s: s, name: name, total: total, changed: make(chan struct{})}
	}
	return s.shares[name]
}

// Part is how much of the limit this process may use now. It waits while that
// is nothing: until others have given way, or the database answers again.
func (p *Share) Part(ctx context.Context) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		p.used = true
		lapsed := !time.Now().Before(p.until)
		if p.part > 0 && !lapsed {
			return p.part, nil
		}
		if lapsed && !p.joining {
			p.joining = true
			go p.join()
		}
		changed := p.changed
		p.waiting++
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		p.mu.Lock()
		p.waiting--
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

// join asks until there is a part; the heartbeat renews it.
func (p *Share) join() {
	for !p.ask(p.s.ctx) && p.s.ctx.Err() == nil {
		select {
		case <-p.s.ctx.Done():
		case <-time.After(p.s.opts.Heartbeat / 4):
		}
	}
	p.mu.Lock()
	p.joining = false
	p.mu.Unlock()
}

// beat renews the part of a share that is used, and gives back one that is not.
func (p *Share) beat(ctx context.Context) {
	p.mu.Lock()
	used, has := p.used || p.waiting > 0, !p.until.IsZero()
	p.used = false
	p.mu.Unlock()
	switch {
	case !has:
	case used:
		p.ask(ctx)
	default:
		p.giveBack(ctx)
	}
}

// ask takes an equal part, as far as the others have left it, and tells whether
// that is any. What it had ends by itself when the database does not answer.
func (p *Share) ask(ctx context.Context) bool {
	p.turn.Lock()
	defer p.turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, p.s.opts.Heartbeat)
	defer cancel()
	asked := time.Now()
	part, err := p.s.take(ctx, p.name, p.total)
	if err != nil {
		return false
	}
	p.set(part, asked.Add(p.s.life()))
	return part > 0
}

func (p *Share) set(part int64, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.until = part, until
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Share) giveBack(ctx context.Context) {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.set(0, time.Time{})
	ctx, cancel := context.WithTimeout(ctx, p.s.opts.Heartbeat)
	defer cancel()
	// One that cannot be given back ends by itself.
	_, _ = p.s.j.db.ExecContext(ctx, `DELETE FROM share WHERE name=$1 AND owner=$2`, p.name, p.s.owner)
}

// take records the part of a limit that this process may use from now on.
func (s *shared) take(ctx context.Context, name string, total int64) (part int64, err error) {
	t, err := s.j.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer t.Rollback()
	// One at a time, so that two do not both take what is left.
	if _, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "share "+name); err != nil {
		return 0, err
	}
	// clock_timestamp, as now() is from before the lock was waited for.
	if _, err := t.ExecContext(ctx, `DELETE FROM share WHERE name=$1 AND owner<>$2 AND expires < clock_timestamp()`, name, s.owner); err != nil {
		return 0, err
	}
	var others, taken int64
	if err := t.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(part), 0)::bigint FROM share WHERE name=$1 AND owner<>$2`, name, s.owner).Scan(&others, &taken); err != nil {
		return 0, err
	}
	part = max(min(total/(others+1), total-taken), 0)
	// A row with nothing in it makes the others give way.
	if _, err := t.ExecContext(ctx, `INSERT INTO share (name, owner, part, expires) VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 microsecond')
		ON CONFLICT (name, owner) DO UPDATE SET part=excluded.part, expires=excluded.expires`, name, s.owner, part, s.life().Microseconds()); err != nil {
		return 0, err
	}
	return part, t.Commit()
}
