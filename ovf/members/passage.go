package members

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// passing is what files that pass side by side share.
type passing struct {
	mu   sync.Mutex
	seen map[string]bool
	err  error // of what was read at Open
}

// StreamerFrom is a Source that can begin anywhere at the cost of a Stream.
type StreamerFrom interface {
	// StreamFrom reads Members()[i] from off to its end, once.
	StreamFrom(ctx context.Context, i int, off int64) (io.ReadCloser, error)
}

// Passing lists the files that pass; see ovf.Parallel.
func (p *Package) Passing() []ovf.MemberInfo {
	out := make([]ovf.MemberInfo, len(p.order))
	for n, i := range p.order {
		out[n] = p.list[i]
	}
	return out
}

// Pass reads a stored file side by side with others; see ovf.Parallel.
func (p *Package) Pass(ctx context.Context, name string, from ovf.Passed) (ovf.Passage, error) {
	i, ok := p.index[name]
	if !ok || p.own(name) {
		return nil, fmt.Errorf("%s: %s: is no file that passes", p.name, name)
	}
	if err := p.passed(name); err != nil {
		return nil, err
	}
	body, err := p.from(ctx, i, from.Offset)
	if err != nil {
		return nil, err
	}
	r, err := p.checker.ReaderFrom(name, p.list[i].Size, from, WithContext(ctx, body))
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	p.readAgain(ctx, i, r)
	return passage{r, body}, nil
}

// readAgain makes r one that may be entrusted, where reading twice costs little.
func (p *Package) readAgain(ctx context.Context, i int, r *manifest.Reader) {
	if !p.OnThisMachine() {
		return
	}
	r.Again(func(off int64) (io.ReadCloser, error) {
		body, err := p.from(ctx, i, off)
		if err != nil {
			return nil, err
		}
		return readCloser{WithContext(ctx, body), body}, nil
	})
}

type readCloser struct {
	io.Reader
	io.Closer
}

// passed notes that a file passes, and sees to it that Next does not any more.
func (p *Package) passed(name string) error {
	p.passing.mu.Lock()
	defer p.passing.mu.Unlock()
	if p.passing.seen == nil {
		if p.started {
			return fmt.Errorf("%s: its files pass one after the other already", p.name)
		}
		p.passing.seen = map[string]bool{}
		p.passing.err = p.begin()
		p.err = fmt.Errorf("%s: its files pass side by side", p.name)
	}
	if p.passing.err == nil && p.passing.seen[name] {
		return fmt.Errorf("%s: %s: has passed", p.name, name)
	}
	p.passing.seen[name] = true
	return p.passing.err
}

func (p *Package) from(ctx context.Context, i int, off int64) (io.ReadCloser, error) {
	if s, ok := p.src.(StreamerFrom); ok {
		return s.StreamFrom(ctx, i, off)
	}
	if off == 0 {
		return p.src.Stream(ctx, i)
	}
	f, err := p.src.Open(ctx, i)
	if err != nil {
		return nil, err
	}
	return readCloser{io.NewSectionReader(f, off, max(0, f.Size()-off)), f}, nil
}

type passage struct {
	*manifest.Reader
	body io.Closer
}

var _ ovf.Entrusting = passage{}

func (p passage) Close() error { return p.body.Close() }

// Finish says whether every digest was compared; see ovf.Parallel.
func (p *Package) Finish(ctx context.Context) error {
	p.passing.mu.Lock()
	seen, err := p.passing.seen, p.passing.err
	if seen == nil && err == nil {
		err = p.begin()
	}
	p.passing.mu.Unlock()
	if err != nil {
		return err
	}
	for _, i := range p.order {
		if !seen[p.list[i].Name] {
			return fmt.Errorf("%s: %s: has not passed", p.name, p.list[i].Name)
		}
	}
	return p.finish(ctx)
}
