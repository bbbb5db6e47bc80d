package migrate

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
)

// Limits are what the runs of a process share, so that a night's work does not
// take a whole line. The zero value limits nothing. Where the journal is one of
// many machines, what a runbook or an endpoint bounds is bounded for all of
// them together, and Bandwidth for this process.
type Limits struct {
	// Bandwidth is how many bytes a second all runs may read together; 0: any.
	Bandwidth int64

	name   string  // of the whole that Bandwidth bounds, the same on all machines; empty: this process
	within *Limits // those that hold besides; nil for none

	mu        sync.Mutex
	total     *throttle
	bandwidth map[string]*throttle     // by endpoint
	slots     map[string]chan struct{} // by endpoint
}

// Within are limits that hold besides l, for a part of what the process does:
// name is what it is called on all machines that work on it.
func (l *Limits) Within(name string, bandwidth int64) *Limits {
	return &Limits{Bandwidth: bandwidth, name: name, within: l}
}

// throttles tells whether the whole is bounded.
func (l *Limits) throttles() bool { return l != nil && (l.Bandwidth > 0 || l.within.throttles()) }

// EndpointLimits are those of one endpoint; 0 is none.
type EndpointLimits struct {
	Bandwidth int64 // bytes a second, read from or written to it
	Transfers int   // at the same time
	Disks     int   // of one System at the same time
}

// pieceOf is how many bytes are let through at once: a quarter of a second's,
// so that a limit is kept evenly, in pieces that are not too small.
func pieceOf(bytesPerSecond int64) int {
	return int(min(max(bytesPerSecond/4, 512), 256<<10))
}

// throttle holds bytes back: as many a second pass as the limit says, or as
// this process's share of it is.
type throttle struct {
	*rate.Limiter
	share *journal.Share
	part  atomic.Int64
}

func newThrottle(bytesPerSecond int64, share *journal.Share) *throttle {
	piece := pieceOf(bytesPerSecond)
	if share != nil {
		piece = pieceOf(bytesPerSecond / 4) // each worker has one of its own
	}
	return &throttle{Limiter: rate.NewLimiter(rate.Limit(bytesPerSecond), piece), share: share}
}

// wait lets n bytes through, no more than Burst.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t.share != nil {
		part, err := t.share.Part(ctx)
		if err != nil {
			return err
		}
		if t.part.Swap(part) != part {
			t.SetLimit(rate.Limit(part))
		}
	}
	return t.WaitN(ctx, n)
}

// throttle is what holds bytes between endpoints back; nil for nothing. Without a
// journal no other machine takes part.
func (l *Limits) throttle(j *journal.Journal, ends ...Endpoint) []*throttle {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*throttle
	if l.Bandwidth > 0 {
		if l.total == nil {
			var share *journal.Share
			if l.name != "" && j != nil {
				share = j.Share("total\x1f"+l.name, l.Bandwidth)
			}
			l.total = newThrottle(l.Bandwidth, share)
		}
		out = append(out, l.total)
	}
	if l.within != nil {
		return append(out, l.within.throttle(j, ends...)...)
	}
	for _, e := range ends {
		if e.Limits.Bandwidth <= 0 {
			continue
		}
		if l.bandwidth == nil {
			l.bandwidth = map[string]*throttle{}
		}
		if l.bandwidth[e.Name] == nil {
			var share *journal.Share
			if j != nil {
				share = j.Share("endpoint\x1f"+e.Name, e.Limits.Bandwidth)
			}
			l.bandwidth[e.Name] = newThrottle(e.Limits.Bandwidth, share)
		}
		out = append(out, l.bandwidth[e.Name])
	}
	return out
}

// meter counts bytes as they come and holds them back.
type meter struct {
	limiters []*throttle
	moved    func(n int)
}

// readAt reads src in pieces that the limits let through at once.
func (m *meter) readAt(ctx context.Context, src io.ReaderAt, p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		piece := m.allowed(p[n:])
		if err = m.wait(ctx, len(piece)); err != nil {
			break
		}
		k, err = src.ReadAt(piece, off+int64(n))
		m.moved(k)
		n += k
	}
	return n, err
}

// read reads no more of in than the limits let through at once: whoever takes the
// bytes sees that something moves.
func (m *meter) read(ctx context.Context, in io.Reader, p []byte) (int, error) {
	n, err := in.Read(m.allowed(p))
	m.moved(n)
	if waitErr := m.wait(ctx, n); waitErr != nil && err == nil {
		err = waitErr
	}
	return n, err
}

// allowed is as much of p as the limits let through at once.
func (m *meter) allowed(p []byte) []byte {
	for _, l := range m.limiters {
		p = p[:min(len(p), l.Burst())]
	}
	return p
}

func (m *meter) wait(ctx context.Context, n int) error {
	for _, l := range m.limiters {
		if err := l.wait(ctx, n); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	return nil
}

// metered is content whose bytes are counted as they come and held back by
// limits.
type metered struct {
	cimi.Content
	ctx   context.Context
	meter *meter
}

func (m *metered) ReadAt(p []byte, off int64) (int, error) {
	return m.meter.readAt(m.ctx, m.Content, p, off)
}

// Stream is relay.Streamer.
func (m *metered) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return &meteredStream{m: m.meter, ctx: ctx, in: relay.Sequence(ctx, m.Content, off, n)}
}

type meteredStream struct {
	m   *meter
	ctx context.Context
	in  io.ReadCloser
}

func (s *meteredStream) Read(p []byte) (int, error) { return s.m.read(s.ctx, s.in, p) }

func (s *meteredStream) Close() error { return s.in.Close() }

// open opens bytes at an endpoint of the run, counted and held back.
func (r *run) open(ctx context.Context, e Endpoint, href string) (cimi.Content, error) {
	c, err := e.Provider.Open(ctx, href)
	if err != nil {
		return nil, err
	}
	return r.metered(ctx, c), nil
}

// metered is content that is counted and held back.
func (r *run) metered(ctx context.Context, c cimi.Content) cimi.Content {
	return &metered{Content: c, ctx: ctx, meter: &meter{limiters: r.engine.Limits.throttle(r.engine.Journal, r.src, r.dst), moved: func(n int) {
		r.moved.Add(int64(n))
		r.engine.observer().Moved(r.src.Name, r.dst.Name, int64(n))
	}}}
}
