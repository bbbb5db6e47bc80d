// Package remote fetches the files of a package that lie on web servers:
// DSP0243 7.1 lets an href be an http or https URL. What reads the package it
// gives finds those files under names of their own, behind the others.
//
// A descriptor is somebody else's text, and what it names must not make us ask
// servers that its author could not reach: files on the server from which the
// package itself comes are fetched, others only where the caller says so
// (Options.Anywhere), and nothing on an address of the link, where clouds keep
// the secrets of a machine. Redirects are held to the same.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Rule is that of the finding for a file that lies on a web server, in
// ovf/validate too.
const Rule = "OVF-REF-009"

// Options of Package.
type Options struct {
	Manifest manifest.Policy // zero: verify
	// Origin is the URL that the package comes from; files on that server are
	// fetched. Empty, or no http or https URL: there is none.
	Origin string
	// Anywhere fetches from every server.
	Anywhere bool
	// Leave leaves a file that may not be fetched out of the package, and the
	// disks that need it, in place of refusing; see Left.
	Leave bool
	// Fetch says how. Its Authorize counts for the Origin only.
	Fetch fetch.Options
}

// Needed says whether a descriptor has files on web servers.
func Needed(env *ovf.Envelope) bool {
	return slices.ContainsFunc(env.Files(), func(f ovf.File) bool { return ovf.RemoteHref(f.Href) })
}

// A RefusedError is a file on a server from which nothing may be fetched. It is
// a fetch.ErrRefused.
type RefusedError struct {
	Package string
	Href    string // without secrets
	FileID  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: File %s: %s lies on another server than the package, and is not fetched unless that is allowed (%s)", e.Package, e.FileID, e.Href, Rule)
}

func (e *RefusedError) Unwrap() error { return fetch.ErrRefused }

// Gathered is a package with the files that lie elsewhere. It has no manifest:
// that of the package below is checked as files pass.
type Gathered struct {
	below    ovf.Package
	env      *ovf.Envelope
	opts     Options
	origin   *url.URL
	findings []ovf.Finding
	left     []ovf.Finding

	far     []*far
	chunk   int  // of far[0]
	owns    bool // Close closes the package below too
	checker *manifest.Checker
	current *manifest.Reader
	body    io.Closer
	err     error
}

// far is a file that lies elsewhere.
type far struct {
	file ovf.File // as the package has it
	url  string
	name string // here
}

var (
	_ ovf.Package  = (*Gathered)(nil)
	_ ovf.Reporter = (*Gathered)(nil)
)

// Package is pkg with the files that lie on web servers. pkg stays the
// caller's to close. A file that may not be fetched is a *RefusedError, before
// anything is.
func Package(pkg ovf.Package, opts Options) (*Gathered, error) {
	g := &Gathered{below: pkg, env: pkg.Envelope().Clone(), opts: opts}
	if u, err := url.Parse(opts.Origin); err == nil && ovf.RemoteHref(opts.Origin) {
		g.origin = u
	}
	g.opts.Fetch = g.guarded()
	taken := g.taken()
	for _, f := range pkg.Envelope().Files() {
		if !ovf.RemoteHref(f.Href) {
			continue
		}
		u, err := url.Parse(f.Href)
		if err != nil || u.User != nil {
			return nil, &ovf.DescriptorError{Package: pkg.Name(), Object: "File " + f.ID, Offset: -1, Clause: "7.1",
				Message: fmt.Sprintf("href %s: expected a URL without credentials", opts.Fetch.Name(f.Href))}
		}
		switch {
		case g.allowed(u):
		case opts.Leave:
			g.leave(f)
			continue
		default:
			return nil, &RefusedError{Package: pkg.Name(), Href: opts.Fetch.Name(f.Href), FileID: f.ID}
		}
		name := localName(u, taken)
		g.far = append(g.far, &far{file: f, url: f.Href, name: name})
		here, _ := g.env.File(f.ID)
		here.SetHref(name)
		g.findings = append(g.findings, ovf.Finding{ID: Rule, Severity: ovf.Warning, Object: "file " + f.ID, Clause: "DSP0243 7.1",
			Message: fmt.Sprintf("it lies on a web server, %s, and is fetched from there as %q", opts.Fetch.Name(f.Href), name)})
	}
	if len(g.far) > 0 && pkg.Certificate() != nil {
		g.findings = append(g.findings, ovf.Finding{ID: "MAP-SIG-001", Severity: ovf.Warning, Object: pkg.Descriptor(), Clause: "DSP0243 5.1",
			Message: "the package was signed; with files fetched into it it is not"})
	}
	return g, nil
}

// leave takes a file out, and the disks that need it: its own, and those that
// build on them.
func (g *Gathered) leave(f ovf.File) {
	g.left = append(g.left, ovf.Finding{ID: Rule, Severity: ovf.Warning, Object: "file " + f.ID, Clause: "DSP0243 7.1",
		Message: fmt.Sprintf("it lies on another server, %s, and was not fetched, so its content is not checked", g.opts.Fetch.Name(f.Href)), Hint: "--allow " + Rule + " fetches it"})
	if here, ok := g.env.File(f.ID); ok {
		here.Remove()
	}
	gone := map[string]bool{}
	for removed := true; removed; {
		removed = false
		for _, d := range g.env.Disks() {
			if d.FileRef == f.ID || d.ParentRef != "" && gone[d.ParentRef] {
				gone[d.ID], removed = true, true
				d.Remove()
			}
		}
	}
}

// Left are the files that were left out.
func (g *Gathered) Left() []ovf.Finding { return slices.Clone(g.left) }

// Open is Package that takes pkg over: closing what it gives, or an error,
// closes pkg. A package without such files stays what it is.
func Open(pkg ovf.Package, opts Options) (ovf.Package, error) {
	if !Needed(pkg.Envelope()) {
		return pkg, nil
	}
	g, err := Package(pkg, opts)
	if err != nil {
		return nil, errors.Join(err, pkg.Close())
	}
	g.owns = true
	return g, nil
}

// taken are the names that files here have.
func (g *Gathered) taken() map[string]bool {
	descriptor := g.below.Descriptor()
	base := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	out := map[string]bool{strings.ToLower(descriptor): true, strings.ToLower(base + ".mf"): true, strings.ToLower(base + ".cert"): true}
	for _, f := range g.env.Files() {
		ovf.MatchMember(f.Href, func(spelling string) bool { out[strings.ToLower(spelling)] = true; return false })
	}
	if o, ok := g.below.(ovf.Opener); ok {
		for _, m := range o.Members() {
			out[strings.ToLower(m.Name)] = true
		}
	}
	return out
}

// localName is the last part of a URL's path, or another one where that is
// none, or is taken.
func localName(u *url.URL, taken map[string]bool) string {
	base := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`\:%?#`, r) {
			return '_'
		}
		return r
	}, path.Base(u.Path))
	if base == "." || base == "/" || base == ".." {
		base = "file"
	}
	name := base
	for n := 2; taken[strings.ToLower(name)]; n++ {
		ext := path.Ext(base)
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(base, ext), n, ext)
	}
	taken[strings.ToLower(name)] = true
	return name
}

// Name is that of the package below.
func (g *Gathered) Name() string { return g.below.Name() }

// Descriptor is that of the package below.
func (g *Gathered) Descriptor() string { return g.below.Descriptor() }

// Envelope is the descriptor with names in place of URLs.
func (g *Gathered) Envelope() *ovf.Envelope { return g.env }

// Manifest is nil.
func (g *Gathered) Manifest() []byte { return nil }

// Certificate is nil.
func (g *Gathered) Certificate() []byte { return nil }

// Findings are what is fetched, and what the package below noticed.
func (g *Gathered) Findings() []ovf.Finding {
	out := slices.Clone(g.findings)
	if r, ok := g.below.(ovf.Reporter); ok {
		out = append(out, r.Findings()...)
	}
	if g.checker != nil {
		out = append(out, g.checker.Findings()...)
	}
	return out
}

// Close ends a transfer that is open; the package below stays open, unless Open
// took it over.
func (g *Gathered) Close() error {
	if g.err == nil {
		g.err = errors.New("the package is closed")
	}
	err := g.end()
	if g.owns {
		err = errors.Join(err, g.below.Close())
	}
	return err
}

func (g *Gathered) end() error {
	if g.body == nil {
		return nil
	}
	err := g.body.Close()
	g.body = nil
	return err
}

// Next gives the files of the package below, and then those that lie
// elsewhere, the chunks of one together; see ovf.Package.
func (g *Gathered) Next(ctx context.Context) (*ovf.Member, error) {
	if g.err != nil {
		return nil, g.err
	}
	m, err := g.next(ctx)
	if err != nil {
		g.err = err
		return nil, err
	}
	return m, nil
}

func (g *Gathered) next(ctx context.Context) (*ovf.Member, error) {
	if g.checker == nil {
		m, err := g.below.Next(ctx)
		if !errors.Is(err, io.EOF) {
			return m, err
		}
		if err := g.check(); err != nil {
			return nil, err
		}
	}
	if g.current != nil {
		err := g.current.Drain()
		g.current = nil
		if err := errors.Join(err, g.end()); err != nil {
			return nil, err
		}
	}
	for len(g.far) > 0 {
		m, err := g.fetch(ctx, g.far[0])
		if m != nil || err != nil {
			return m, err
		}
		g.far, g.chunk = g.far[1:], 0
	}
	return nil, io.EOF
}

// check makes the manifest known by which the fetched files are checked.
func (g *Gathered) check() error {
	g.checker = manifest.NewChecker(g.below.Name(), g.opts.Manifest)
	if g.below.Manifest() == nil {
		return g.checker.NoManifest()
	}
	// What is wrong with it at large, the package below has said.
	return g.checker.SetManifest(g.below.Descriptor(), g.below.Manifest())
}
