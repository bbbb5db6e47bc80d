package migrate

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// followPackage gives a package that tells how much of each disk's file was read, of
// how many stored bytes, whichever way it is read. told may be called
// concurrently. The meter counts the bytes of all files, and may hold them back as
// long as ctx lasts.
func followPackage(ctx context.Context, pkg ovf.Package, told func(disk, file string, done, total int64), m *meter) ovf.Package {
	f := &followed{Package: pkg, told: told, ctx: ctx, meter: m, disks: map[string]string{}}
	byFile := map[string]string{}
	for _, d := range pkg.Envelope().Disks() {
		if _, taken := byFile[d.FileRef]; !taken && d.FileRef != "" {
			byFile[d.FileRef] = d.ID
		}
	}
	for _, file := range pkg.Envelope().Files() {
		disk, ok := byFile[file.ID]
		if !ok {
			continue
		}
		// Every spelling that the stored name may have.
		ovf.MatchMember(file.Href, func(name string) bool {
			if _, taken := f.disks[name]; !taken {
				f.disks[name] = disk
			}
			return false
		})
	}
	if p, ok := pkg.(ovf.Parallel); ok {
		return &followedParallel{followedOpener{followed: f, opener: p}, p}
	}
	if o, ok := pkg.(ovf.Opener); ok {
		return &followedOpener{followed: f, opener: o}
	}
	return f
}

type followed struct {
	ovf.Package
	told   func(disk, file string, done, total int64)
	ctx    context.Context
	meter  *meter
	disks  map[string]string // by stored name
	failed atomic.Pointer[error]
}

// failure is why the package could not be read to its end; nil where that is
// not what went wrong.
func failure(pkg ovf.Package) error {
	if f, ok := pkg.(interface{ failure() error }); ok {
		return f.failure()
	}
	return nil
}

func (f *followed) failure() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *followed) note(err error) {
	if err != nil && err != io.EOF && !errors.Is(err, context.Canceled) {
		f.failed.CompareAndSwap(nil, &err)
	}
}

// disk is the disk whose file, or chunk of a file, has that name.
func (f *followed) disk(name string) (string, bool) {
	if d, ok := f.disks[name]; ok {
		return d, true
	}
	if base, _, ok := manifest.CutChunk(name); ok {
		d, ok := f.disks[base]
		return d, ok
	}
	return "", false
}

// Next gives the next file, and counts what is read of it.
func (f *followed) Next(ctx context.Context) (*ovf.Member, error) {
	m, err := f.Package.Next(ctx)
	if err != nil {
		f.note(err)
		return nil, err
	}
	m.Reader = &noting{r: m.Reader, f: f}
	if disk, ok := f.disk(m.Name); ok && m.Size > 0 {
		m.Reader = &counted{r: m.Reader, told: func(done int64) { f.told(disk, m.Name, done, m.Size) }}
	}
	return m, nil
}

// Findings are those of the package.
func (f *followed) Findings() []ovf.Finding {
	if r, ok := f.Package.(ovf.Reporter); ok {
		return r.Findings()
	}
	return nil
}

// OnThisMachine says what the package says.
func (f *followed) OnThisMachine() bool {
	here, ok := f.Package.(interface{ OnThisMachine() bool })
	return ok && here.OnThisMachine()
}

// noting tells of the error that ends reading, and has what is read metered.
type noting struct {
	r io.Reader
	f *followed
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.f.meter.read(n.f.ctx, n.r, p)
	return k, n.noted(err)
}

func (n *noting) Entrust(algorithm string) bool { return entrust(n.r, algorithm) }
func (n *noting) Attest(sums ...string) error   { return n.noted(attest(n.r, sums)) }
func (n *noting) Drain() error                  { return n.noted(drain(n.r)) }

func (n *noting) noted(err error) error {
	n.f.note(err)
	return err
}

// entrust, attest and drain are those of ovf.Entrusting for a reader that may
// be one.
func entrust(r io.Reader, algorithm string) bool {
	e, ok := r.(ovf.Entrusting)
	return ok && e.Entrust(algorithm)
}

func attest(r io.Reader, sums []string) error { return r.(ovf.Entrusting).Attest(sums...) }

func drain(r io.Reader) error {
	if d, ok := r.(interface{ Drain() error }); ok {
		return d.Drain()
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

type counted struct {
	r    io.Reader
	n    int64
	told func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n += int64(n); n > 0 {
		c.told(c.n)
	}
	return n, err
}

func (c *counted) Entrust(algorithm string) bool { return entrust(c.r, algorithm) }
func (c *counted) Attest(sums ...string) error   { return attest(c.r, sums) }
func (c *counted) Drain() error                  { return drain(c.r) }

type followedOpener struct {
	*followed
	opener ovf.Opener
}

var (
	_ ovf.Opener   = (*followedOpener)(nil)
	_ ovf.Reporter = (*followed)(nil)
)

// Members lists the stored files.
func (f *followedOpener) Members() []ovf.MemberInfo { return f.opener.Members() }

// Open opens a stored file, and counts how far it was read.
func (f *followedOpener) Open(ctx context.Context, name string) (ovf.MemberFile, error) {
	file, err := f.opener.Open(ctx, name)
	if err != nil {
		f.note(err)
		return nil, err
	}
	c := &countedFile{MemberFile: file, f: f.followed, told: func(int64) {}}
	if disk, ok := f.disk(name); ok && file.Size() > 0 {
		c.told = func(done int64) { f.told(disk, name, done, file.Size()) }
	}
	return c, nil
}

type countedFile struct {
	ovf.MemberFile
	high atomic.Int64
	told func(int64)
	f    *followed
}

func (c *countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.f.meter.readAt(c.f.ctx, c.MemberFile, p, off)
	c.f.note(err)
	for end := off + int64(n); ; {
		high := c.high.Load()
		if end <= high {
			break
		}
		if c.high.CompareAndSwap(high, end) {
			c.told(end)
			break
		}
	}
	return n, err
}

type followedParallel struct {
	followedOpener
	parallel ovf.Parallel
}

var _ ovf.Parallel = (*followedParallel)(nil)

// Passing, Pass and Finish are the package's; what passes is counted.
func (f *followedParallel) Passing() []ovf.MemberInfo { return f.parallel.Passing() }

func (f *followedParallel) Finish(ctx context.Context) error {
	err := f.parallel.Finish(ctx)
	f.note(err)
	return err
}

func (f *followedParallel) Pass(ctx context.Context, name string, from ovf.Passed) (ovf.Passage, error) {
	p, err := f.parallel.Pass(ctx, name, from)
	if err != nil {
		f.note(err)
		return nil, err
	}
	noted := &noting{r: p, f: f.followed}
	c := &counted{r: noted, n: from.Offset, told: func(int64) {}}
	if disk, ok := f.disk(name); ok {
		for _, m := range f.parallel.Passing() {
			if m.Name == name && m.Size > 0 {
				c.told = func(done int64) { f.told(disk, m.Name, done, m.Size) }
			}
		}
	}
	return countedPassage{p, c}, nil
}

type countedPassage struct {
	ovf.Passage
	counted *counted
}

func (c countedPassage) Read(p []byte) (int, error)    { return c.counted.Read(p) }
func (c countedPassage) Entrust(algorithm string) bool { return c.counted.Entrust(algorithm) }
func (c countedPassage) Attest(sums ...string) error   { return c.counted.Attest(sums...) }
func (c countedPassage) Drain() error                  { return c.counted.Drain() }
