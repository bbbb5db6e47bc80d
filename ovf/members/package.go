// Package members makes an ovf.Opener of stored files that can be read
// anywhere: what a folder, an OVA file and a web server have in common. It
// finds descriptor, manifest and certificate (DSP0243 5.1), and checks digests
// in the one sequential pass.
package members

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// Source is where stored files lie. Open may be called concurrently.
type Source interface {
	// Members lists the stored files in order; names are clean and distinct.
	Members() []ovf.MemberInfo
	// Open opens Members()[i] for random access.
	Open(ctx context.Context, i int) (ovf.MemberFile, error)
	// Stream reads Members()[i] from its start to its end, once.
	Stream(ctx context.Context, i int) (io.ReadCloser, error)
	Close() error
}

// Options of Open.
type Options struct {
	Descriptor string          // name of the descriptor; empty: the first .ovf
	Manifest   manifest.Policy // zero: verify
	// Late leaves manifest and certificate alone until the files before them
	// have passed, where they lie behind all of those: of a package that is made
	// as it is read, asking for the digests first has all of it read for them.
	Late bool
}

// Package is an ovf.Opener over a Source.
type Package struct {
	name       string
	src        Source
	list       []ovf.MemberInfo
	index      map[string]int
	descriptor string
	manifest   string // name; empty when there is none
	cert       string
	late       bool // both are read when all files have passed
	env        *ovf.Envelope
	bytes      map[string][]byte // of those three
	checker    *manifest.Checker
	findings   []ovf.Finding

	order   []int // what Next gives
	next    int
	started bool
	current *manifest.Reader
	body    io.Closer
	err     error // what Next answers from now on

	passing passing
}

var (
	_ ovf.Arranger = (*Package)(nil)
	_ ovf.Parallel = (*Package)(nil)
	_ ovf.Reporter = (*Package)(nil)
)

// Open reads the descriptor, the manifest and the certificate of the package
// that the user calls name. It takes src over: Close, or an error, closes it.
// Digests that do not match show at Next, so that a package can be inspected
// whatever its manifest says.
func Open(ctx context.Context, name string, src Source, opts Options) (*Package, error) {
	p := &Package{name: name, src: src, list: src.Members(), index: map[string]int{},
		bytes: map[string][]byte{}, checker: manifest.NewChecker(name, opts.Manifest)}
	if err := p.open(ctx, opts); err != nil {
		src.Close()
		return nil, err
	}
	return p, nil
}

func (p *Package) open(ctx context.Context, opts Options) error {
	names := make([]string, len(p.list))
	for i, m := range p.list {
		names[i], p.index[m.Name] = m.Name, i
	}
	p.descriptor = opts.Descriptor
	if p.descriptor == "" {
		i := slices.IndexFunc(names, IsDescriptor)
		if i < 0 {
			return NoDescriptor(p.name, names)
		}
		p.descriptor = names[i]
	}
	b, err := p.load(ctx, p.descriptor)
	if err != nil {
		return err
	}
	if p.env, err = ParseDescriptor(p.name, p.descriptor, b); err != nil {
		return p.unproved(ctx, opts, b, err)
	}
	p.manifest = Companion(p.descriptor, ".mf", p.env, names)
	p.cert = Companion(p.descriptor, ".cert", p.env, names)
	p.late = opts.Late && p.companionsLast()
	for _, companion := range []string{p.manifest, p.cert} {
		if companion == "" {
			continue
		}
		if !p.late {
			if _, err := p.load(ctx, companion); err != nil {
				return err
			}
		}
		if f, odd := OddlyNamed(p.descriptor, companion); odd {
			p.findings = append(p.findings, f)
		}
	}
	for _, n := range names {
		if n != p.descriptor && IsDescriptor(n) && !Referenced(p.env, n) {
			p.findings = append(p.findings, Further(p.descriptor, n))
		}
	}
	p.order = p.passOrder()
	return nil
}

// unproved is the better explanation of a descriptor that cannot be read: that
// the manifest has another digest for it.
func (p *Package) unproved(ctx context.Context, opts Options, descriptor []byte, err error) error {
	name := ManifestOf(p.descriptor)
	if _, ok := p.index[name]; !ok {
		return err
	}
	mf, loadErr := p.load(ctx, name)
	if loadErr != nil {
		return err
	}
	return Unproved(p.name, opts.Manifest, p.descriptor, descriptor, mf, err)
}

// passOrder is the order of Next: as stored, but the chunks of one file
// (DSP0243 7.1) together and counting up, so that they can be joined as they pass.
func (p *Package) passOrder() []int {
	type chunk struct{ number, i int }
	chunks := map[string][]chunk{}
	for i, m := range p.list {
		if base, number, ok := manifest.CutChunk(m.Name); ok {
			chunks[base] = append(chunks[base], chunk{number, i})
		}
	}
	var order []int
	for i, m := range p.list {
		if p.own(m.Name) {
			continue
		}
		base, _, ok := manifest.CutChunk(m.Name)
		if !ok {
			order = append(order, i)
			continue
		}
		all := chunks[base]
		delete(chunks, base)
		slices.SortFunc(all, func(a, b chunk) int { return a.number - b.number })
		for _, c := range all {
			order = append(order, c.i)
		}
	}
	return order
}

// InReferencesOrder is ovf.Arranger's.
func (p *Package) InReferencesOrder() {
	if p.started {
		return
	}
	rank := map[string]int{}
	for n, f := range p.env.Files() {
		ovf.MatchMember(f.Href, func(spelling string) bool {
			if _, taken := rank[spelling]; !taken {
				rank[spelling] = n
			}
			return false
		})
	}
	of := func(i int) int {
		name := p.list[i].Name
		if n, ok := rank[name]; ok {
			return n
		}
		if base, _, ok := manifest.CutChunk(name); ok {
			if n, ok := rank[base]; ok {
				return n
			}
		}
		return len(p.list) + len(rank)
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return of(a) - of(b) })
}

// load reads a small file into memory, once.
func (p *Package) load(ctx context.Context, name string) ([]byte, error) {
	i, ok := p.index[name]
	if !ok {
		return nil, NoDescriptor(p.name, nil)
	}
	if size := p.list[i].Size; size > MaxDescriptor {
		return nil, TooBig(p.name, name, size)
	}
	r, err := p.src.Stream(ctx, i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := readSmall(r, p.list[i].Size)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s: at byte %d: %w", p.name, name, len(b), err)
	case len(b) > MaxDescriptor:
		return nil, TooBig(p.name, name, int64(len(b)))
	}
	p.bytes[name] = b
	return b, nil
}

// readSmall reads size bytes in one piece, or what comes when size is -1, a
// byte more than is allowed at most.
func readSmall(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(io.LimitReader(r, MaxDescriptor+1))
	}
	b := make([]byte, size)
	n, err := io.ReadFull(r, b)
	if err == io.EOF && size == 0 {
		err = nil
	}
	return b[:n], err
}

// Name is what the user called the package.
func (p *Package) Name() string { return p.name }

// Descriptor is the name of the descriptor inside the package.
func (p *Package) Descriptor() string { return p.descriptor }

// Envelope is the parsed descriptor.
func (p *Package) Envelope() *ovf.Envelope { return p.env }

// Manifest is the stored manifest; nil when there is none.
func (p *Package) Manifest() []byte { return p.bytes[p.manifest] }

// Certificate is the stored certificate; nil when there is none.
func (p *Package) Certificate() []byte { return p.bytes[p.cert] }

// Members lists the stored files.
func (p *Package) Members() []ovf.MemberInfo { return slices.Clone(p.list) }

// Findings are what was odd about names and manifest, as far as was read.
func (p *Package) Findings() []ovf.Finding {
	return append(slices.Clone(p.findings), p.checker.Findings()...)
}

// Open opens a stored file for random access; see ovf.Opener.
func (p *Package) Open(ctx context.Context, name string) (ovf.MemberFile, error) {
	found, ok := ovf.MatchMember(name, func(n string) bool { _, ok := p.index[n]; return ok })
	if !ok {
		names := make([]string, len(p.list))
		for i, m := range p.list {
			names[i] = m.Name
		}
		return nil, Missing(p.name, p.env, name, names)
	}
	return p.src.Open(ctx, p.index[found])
}

// Next gives the next stored file; see ovf.Package.
func (p *Package) Next(ctx context.Context) (*ovf.Member, error) {
	if p.err == nil {
		p.err = p.advance(ctx)
	}
	if p.err != nil {
		return nil, p.err
	}
	if p.next == len(p.order) {
		if p.err = p.finish(ctx); p.err == nil {
			p.err = io.EOF
		}
		return nil, p.err
	}
	i := p.order[p.next]
	p.next++
	m := p.list[i]
	body, err := p.src.Stream(ctx, i)
	if err != nil {
		p.err = err
		return nil, err
	}
	p.body = body
	p.current = p.checker.Reader(m.Name, m.Size, WithContext(ctx, body))
	if p.OnThisMachine() {
		p.current.AtHand()
	}
	p.readAgain(ctx, i, p.current)
	return &ovf.Member{Name: m.Name, Size: m.Size, Reader: p.current}, nil
}

// advance ends the member before, or compares what was read at Open.
func (p *Package) advance(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.current != nil {
		err := p.current.Drain()
		p.current = nil
		if closeErr := p.body.Close(); err == nil {
			err = closeErr
		}
		p.body = nil
		return err
	}
	return p.begin()
}

// begin compares what was read at Open.
func (p *Package) begin() error {
	if p.started {
		return nil
	}
	p.started = true
	switch {
	case p.manifest == "":
		if err := p.checker.NoManifest(); err != nil {
			return err
		}
	case p.late:
		return p.checker.Check(p.descriptor, p.bytes[p.descriptor])
	default:
		if err := p.checker.SetManifest(p.manifest, p.Manifest()); err != nil {
			return err
		}
	}
	return p.check(p.descriptor, p.cert)
}

// check compares files that are in memory.
func (p *Package) check(names ...string) error {
	for _, name := range names {
		if name == "" || name == p.cert && !p.checker.Lists(name) {
			continue
		}
		if err := p.checker.Check(name, p.bytes[name]); err != nil {
			return err
		}
	}
	return nil
}

// OnThisMachine says whether reading a file again costs nothing: it does where
// the source is behind a network.
func (p *Package) OnThisMachine() bool {
	here, ok := p.src.(interface{ OnThisMachine() bool })
	return ok && here.OnThisMachine()
}

// Close releases the source.
func (p *Package) Close() error {
	if p.body != nil {
		p.body.Close()
		p.body = nil
	}
	return p.src.Close()
}

// WithContext is r until ctx ends, and ctx's error from then on.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
