package migrate

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/relay"
)

// Limits are what the runs of a process share, so that a night's work does not
// take a whole line. The zero value limits nothing.
type Limits struct {
	// Bandwidth is how many bytes a second all runs may read together; 0: any.
	Bandwidth int64

	mu        sync.Mutex
	total     *rate.Limiter
	bandwidth map[string]*rate.Limiter // by endpoint
	slots     map[string]chan struct{} // by endpoint
}

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

func newLimiter(bytesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(bytesPerSecond), pieceOf(bytesPerSecond))
}

// throttle is what holds bytes between endpoints back; nil for nothing.
func (l *Limits) throttle(ends ...Endpoint) []*rate.Limiter {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*rate.Limiter
	if l.Bandwidth > 0 {
		if l.total == nil {
			l.total = newLimiter(l.Bandwidth)
		}
		out = append(out, l.total)
	}
	for _, e := range ends {
		if e.Limits.Bandwidth <= 0 {
			continue
		}
		if l.bandwidth == nil {
			l.bandwidth = map[string]*rate.Limiter{}
		}
		if l.bandwidth[e.Name] == nil {
			l.bandwidth[e.Name] = newLimiter(e.Limits.Bandwidth)
		}
		out = append(out, l.bandwidth[e.Name])
	}
	return out
}

// enter waits until the endpoints have room for one transfer more, and takes
// it. waiting is told of the endpoint that is waited for.
func (l *Limits) enter(ctx context.Context, waiting func(endpoint string), ends ...Endpoint) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	var taken []chan struct{}
	leave = func() {
		for _, c := range taken {
			<-c
		}
	}
	// In one order everywhere, so that two runs never wait for each other.
	ends = slices.SortedFunc(slices.Values(ends), func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range ends {
		c := l.slotsOf(e)
		if c == nil {
			continue
		}
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
			continue
		default:
			waiting(e.Name)
		}
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
			leave()
			return func() {}, context.Cause(ctx)
		}
	}
	return leave, nil
}

func (l *Limits) slotsOf(e Endpoint) chan struct{} {
	if e.Limits.Transfers <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = map[string]chan struct{}{}
	}
	if l.slots[e.Name] == nil {
		l.slots[e.Name] = make(chan struct{}, e.Limits.Transfers)
	}
	return l.slots[e.Name]
}

// metered is content whose bytes are counted as they come and held back by
// limits.
type metered struct {
	cimi.Content
	ctx      context.Context
	limiters []*rate.Limiter
	moved    func(n int)
}

func (m *metered) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		piece := m.allowed(p[n:])
		if err = m.wait(m.ctx, len(piece)); err != nil {
			break
		}
		k, err = m.Content.ReadAt(piece, off+int64(n))
		m.moved(k)
		n += k
	}
	return n, err
}

// Stream is relay.Streamer.
func (m *metered) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return &meteredStream{m: m, ctx: ctx, in: relay.Sequence(ctx, m.Content, off, n)}
}

type meteredStream struct {
	m   *metered
	ctx context.Context
	in  io.ReadCloser
}

func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.in.Read(s.m.allowed(p))
	s.m.moved(n)
	if waitErr := s.m.wait(s.ctx, n); waitErr != nil && err == nil {
		err = waitErr
	}
	return n, err
}

func (s *meteredStream) Close() error { return s.in.Close() }

// allowed is as much of p as the limits let through at once.
func (m *metered) allowed(p []byte) []byte {
	for _, l := range m.limiters {
		p = p[:min(len(p), l.Burst())]
	}
	return p
}

func (m *metered) wait(ctx context.Context, n int) error {
	for _, l := range m.limiters {
		if err := l.WaitN(ctx, n); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	return nil
}

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
	return &metered{Content: c, ctx: ctx, limiters: r.engine.Limits.throttle(r.src, r.dst), moved: func(n int) {
		r.moved.Add(int64(n))
		r.engine.observer().Moved(r.src.Name, r.dst.Name, int64(n))
	}}
}
