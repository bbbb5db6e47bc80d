package journal

import (
	"context"
	"sync/atomic"
	"time"
)

// clock is the database's, as far as it is known here: what it said at a
// moment, and what has passed since by this machine's monotonic clock. What the
// clock on this machine's wall says does not matter.
type clock struct {
	read func() time.Time // time.Now
	last atomic.Pointer[reading]
}

type reading struct{ here, there time.Time }

// clockInterval is how often the database's clock is looked at: monotonic
// clocks of machines drift apart by a few milliseconds in it.
const clockInterval = time.Minute

// Now is the time by which all who share the journal judge: that of the
// database, or, on one machine, its own.
func (j *Journal) Now() time.Time {
	if j.shared == nil {
		return time.Now()
	}
	c := &j.shared.clock
	r := c.last.Load()
	return r.there.Add(c.read().Sub(r.here))
}

// set looks at the database's clock.
func (c *clock) set(ctx context.Context, j *Journal) error {
	var there time.Time
	asked := c.read()
	if err := j.db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
		return err
	}
	c.last.Store(&reading{asked.Add(c.read().Sub(asked) / 2), there.UTC()})
	return nil
}

// beat looks again when it is time to.
func (c *clock) beat(ctx context.Context, s *shared) {
	if c.read().Sub(c.last.Load().here) < clockInterval {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
	defer cancel()
	_ = c.set(ctx, s.j) // the next beat tries again
}

// stamp is the time as it is kept.
func (j *Journal) stamp() string { return stampOf(j.Now()) }
