package files

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// Each gives everything that Contents gives to f: in up to n goroutines at a
// time where the package is an ovf.Parallel, one after the other elsewhere.
// The first error ends it; ctx of the others has ended then.
func Each(ctx context.Context, pkg ovf.Package, opts Options, n int, f func(context.Context, *Content) error) error {
	p, ok := pkg.(ovf.Parallel)
	if !ok || n < 2 && opts.From == nil {
		for c, err := range Contents(ctx, pkg, opts) {
			if err == nil {
				err = f(ctx, c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if missing := Missing(p); len(missing) > 0 {
		return missing[0]
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, max(n, 1))
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
			cancel()
		}
	}
	for _, u := range unitsOf(p) {
		if slots <- struct{}{}; ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := u.pass(ctx, opts, f); err != nil {
				fail(err)
			}
		})
	}
	wait.Wait()
	switch {
	case first != nil:
		return first
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return p.Finish(ctx)
}

// unitsOf are the files that pass each on its own; the chunks of one file
// (DSP0243 7.1) pass one after the other.
func unitsOf(p ovf.Parallel) []*unit {
	names := newPass(p)
	var out []*unit
	last := "" // the chunked file that out ends with
	for _, m := range p.Passing() {
		base, _, chunk := manifest.CutChunk(m.Name)
		if _, direct := names.byName[m.Name]; direct || !chunk {
			base = ""
		} else if _, chunked := names.chunked[base]; !chunked {
			base = ""
		}
		if base == "" || base != last {
			out = append(out, &unit{Package: p, par: p})
		}
		u := out[len(out)-1]
		u.left = append(u.left, m)
		last = base
	}
	return out
}

// unit is a package of one file, whose stored files pass apart from those of
// others.
type unit struct {
	ovf.Package
	par  ovf.Parallel
	left []ovf.MemberInfo
	open ovf.Passage
	from ovf.Passed
}

// pass gives the content to f, and reads what was left of it.
func (u *unit) pass(ctx context.Context, opts Options, f func(context.Context, *Content) error) (err error) {
	defer func() {
		if u.open != nil {
			err = errors.Join(err, u.open.Close())
		}
	}()
	name, alone := u.left[0].Name, len(u.left) == 1
	if alone && opts.From != nil {
		u.from = opts.From(name)
	}
	p := newPass(u)
	c, err := p.next(ctx, opts)
	if err != nil {
		return err
	}
	if alone {
		c.Passage = u.open
		if !c.Unreferenced && c.Compression == compression.Identity {
			c.At = anywhere(u.par, name)
		}
	}
	if err := f(ctx, c); err != nil {
		return err
	}
	return p.current.drain()
}

// Next gives the next stored file of the unit.
func (u *unit) Next(ctx context.Context) (*ovf.Member, error) {
	if u.open != nil {
		err := u.open.Close()
		if u.open = nil; err != nil {
			return nil, err
		}
	}
	if len(u.left) == 0 {
		return nil, io.EOF
	}
	m := u.left[0]
	u.left = u.left[1:]
	pass, err := u.par.Pass(ctx, m.Name, u.from)
	if err != nil {
		return nil, err
	}
	u.open = pass
	return &ovf.Member{Name: m.Name, Size: m.Size, Reader: pass}, nil
}
