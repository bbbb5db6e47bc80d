// Package files opens packages by the names users give them, and gives the
// content behind each entry of References: chunks joined and compression
// undone (DSP0243 7.1), in the one pass in which digests are checked.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
)

// Content is the content behind an entry of References, or a stored file that
// no entry names.
type Content struct {
	File         ovf.File // zero when Unreferenced
	Unreferenced bool
	// Name is the stored file's name; of a chunked file, that of the first chunk.
	Name string
	// StoredSize is in bytes, as it lies in the package; -1 when not known
	// before it has been read: chunks of a stream, a server that tells no length.
	StoredSize int64
	// Compression is what Reader undoes; Identity when nothing.
	Compression compression.Format
	// At gives random access to the same bytes, for what cannot be read as it
	// passes. nil where that costs something: behind a network, of a stream, of
	// a file that is compressed or in chunks. done releases what it took.
	At func(context.Context) (r io.ReaderAt, size int64, done func(), err error)
	// Passage is the stored file as it passes, where Each gives it on its own.
	Passage ovf.Passage
	// Reader is the content. It shows end-of-file only when the digests of all
	// stored bytes match. It is valid until the next step of the iteration.
	io.Reader

	stored *join
}

// Prove compares the digests of all stored bytes, in place of reading Reader
// any further. What no digest is known of is not read where it is at hand.
func (c *Content) Prove() error { return c.stored.drain() }

// Entrust leaves the digest of the stored bytes, which Reader gives as they are,
// to who takes them; see ovf.Entrusting. Attest is to follow, or Prove.
func (c *Content) Entrust(algorithm string) bool {
	e, ok := c.stored.reader.(ovf.Entrusting)
	return ok && c.stored.more == nil && c.Compression == compression.Identity && e.Entrust(algorithm)
}

// Attest compares digests, in hex, of what arrived of an entrusted content.
func (c *Content) Attest(sums ...string) error {
	return c.stored.reader.(ovf.Entrusting).Attest(sums...)
}

// ImageName is the stored file's name without the extension of its compression
// and the number of its chunk, so that the extension of a disk's format shows.
func (c *Content) ImageName() string {
	name := path.Base(c.Name)
	if base, _, ok := manifest.CutChunk(name); ok && c.File.ChunkSize > 0 {
		name = base
	}
	if !c.File.Compressed() {
		return name
	}
	switch ext := path.Ext(name); strings.ToLower(ext) {
	case ".gz", ".bz2", ".xz", ".zst":
		return strings.TrimSuffix(name, ext)
	}
	return name
}

// ImageSize is the size in bytes of a raw image that the content is, by what is
// known before it is read: its own, or else the disk's.
func (c *Content) ImageSize(capacity int64) int64 {
	if c.StoredSize >= 0 && c.Compression == compression.Identity {
		return c.StoredSize
	}
	return capacity
}

// anywhere is Content.At.
func anywhere(pkg ovf.Package, name string) func(context.Context) (io.ReaderAt, int64, func(), error) {
	o, ok := pkg.(ovf.Opener)
	here, knows := pkg.(interface{ OnThisMachine() bool })
	if !ok || !knows || !here.OnThisMachine() {
		return nil
	}
	return func(ctx context.Context) (io.ReaderAt, int64, func(), error) {
		f, err := o.Open(ctx, name)
		if err != nil {
			return nil, 0, nil, err
		}
		return f, f.Size(), func() { f.Close() }, nil
	}
}

// Options of Contents.
type Options struct {
	// MaxSize bounds, per file, how many bytes its content may expand to;
	// negative, or a nil func: no bound. It protects from compressed bombs:
	// give what the disk's capacity allows.
	MaxSize func(ovf.File) int64
	// Raw leaves compression as it is; chunks are joined all the same. RawFile,
	// which may be nil, asks so for single files.
	Raw     bool
	RawFile func(ovf.File) bool
	// From, which may be nil, says to Each how far a stored file has passed
	// before: what is given then is the rest of it.
	From func(name string) ovf.Passed
}

// Contents goes through a package once, in the order in which its files lie.
// Content that is not read, or not to its end, is skipped, and its digests are
// checked all the same. The iteration ends after the first error; without one,
// every file of References was there and every digest of the manifest matched.
//
// A file that is missing is a *ovf.MissingFileError: before anything is read
// when pkg is an ovf.Opener, at the end of the pass otherwise.
func Contents(ctx context.Context, pkg ovf.Package, opts Options) iter.Seq2[*Content, error] {
	return func(yield func(*Content, error) bool) {
		if o, ok := pkg.(ovf.Opener); ok {
			if missing := Missing(o); len(missing) > 0 {
				yield(nil, missing[0])
				return
			}
		}
		p := newPass(pkg)
		for {
			c, err := p.next(ctx, opts)
			if err == io.EOF {
				return
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// maxExplained is for how many missing files the nearest name is looked for.
const maxExplained = 100

// Missing lists the files of References that the package does not hold, all
// of them; hrefs with a scheme are not looked for.
func Missing(pkg ovf.Opener) []*ovf.MissingFileError {
	list := pkg.Members()
	names := make([]string, len(list))
	held := make(map[string]bool, len(list))
	for i, m := range list {
		names[i], held[m.Name] = m.Name, true
	}
	has := func(name string) bool { return held[name] }
	var out []*ovf.MissingFileError
	for _, f := range pkg.Envelope().Files() {
		if _, ok := ovf.MatchMember(f.Href, has); ok {
			continue
		}
		if len(out) >= maxExplained {
			out = append(out, &ovf.MissingFileError{Package: pkg.Name(), Href: f.Href, FileID: f.ID})
			continue
		}
		if f.ChunkSize == 0 {
			out = append(out, members.Missing(pkg.Name(), pkg.Envelope(), f.Href, names))
			continue
		}
		for n := range max(chunkCount(f), 1) {
			chunk := manifest.ChunkName(f.Href, n)
			if _, ok := ovf.MatchMember(chunk, has); !ok {
				out = append(out, missingChunk(pkg, f, n, names))
				break
			}
		}
	}
	return out
}

func missingChunk(pkg ovf.Package, f ovf.File, number int, names []string) *ovf.MissingFileError {
	e := members.Missing(pkg.Name(), pkg.Envelope(), f.Href, names)
	e.Href = manifest.ChunkName(f.Href, number)
	e.Nearest = ""
	return e
}

// maxChunks is what nine digits count.
const maxChunks = 1_000_000_000

// chunkCount is how many chunks a file has by its declared size; 0 when that
// is not declared.
func chunkCount(f ovf.File) int {
	if f.Size < 0 || f.ChunkSize <= 0 {
		return 0
	}
	return int(min((f.Size-1)/f.ChunkSize+1, maxChunks))
}

// pass is one way through a package.
type pass struct {
	pkg     ovf.Package
	byName  map[string]int // stored name, in every spelling an href may mean, to the entry
	chunked map[string]int // the same for names without chunk number
	files   []ovf.File
	seen    map[int]bool
	names   []string
	held    *ovf.Member // read from pkg, not given yet
	current *join
	err     error
}

func newPass(pkg ovf.Package) *pass {
	p := &pass{pkg: pkg, byName: map[string]int{}, chunked: map[string]int{}, seen: map[int]bool{}, files: pkg.Envelope().Files()}
	for i, f := range p.files {
		first := true
		ovf.MatchMember(f.Href, func(spelling string) bool {
			if _, taken := p.byName[spelling]; !taken || first {
				p.byName[spelling] = i
				if f.ChunkSize > 0 {
					p.chunked[spelling] = i
				}
			}
			first = false
			return false
		})
	}
	return p
}

func (p *pass) next(ctx context.Context, opts Options) (*Content, error) {
	if p.current != nil {
		if err := p.current.drain(); err != nil {
			return nil, err
		}
		p.current = nil
	}
	m, err := p.member(ctx)
	if err == io.EOF {
		return p.atEnd()
	}
	if err != nil {
		return nil, err
	}
	if i, ok := p.byName[m.Name]; ok {
		return p.content(ctx, opts, i, m, false)
	}
	if base, number, ok := manifest.CutChunk(m.Name); ok {
		if i, ok := p.chunked[base]; ok {
			if number != 0 || p.seen[i] {
				message := fmt.Sprintf("chunks of %s are not in order: chunk %d came where %d was expected", p.files[i].Href, number, p.expected(i))
				if count := chunkCount(p.files[i]); p.seen[i] && number >= count && count > 0 {
					message = fmt.Sprintf("%s has %d chunks by its size and chunkSize, and there is a chunk %d (from 0)", p.files[i].Href, count, number)
				}
				return nil, &ovf.DescriptorError{Package: p.pkg.Name(), Object: m.Name, Offset: -1, Clause: "7.1", Message: message}
			}
			return p.content(ctx, opts, i, m, true)
		}
	}
	p.current = &join{reader: m.Reader}
	return &Content{Unreferenced: true, Name: m.Name, StoredSize: m.Size, Compression: compression.Identity, Reader: m.Reader, stored: p.current}, nil
}

func (p *pass) expected(i int) int {
	if p.seen[i] {
		return chunkCount(p.files[i])
	}
	return 0
}

// member is the next stored file, the one held back first.
func (p *pass) member(ctx context.Context) (*ovf.Member, error) {
	if m := p.held; m != nil {
		p.held = nil
		return m, nil
	}
	if p.err != nil {
		return nil, p.err
	}
	m, err := p.pkg.Next(ctx)
	if err != nil {
		p.err = err
		return nil, err
	}
	p.names = append(p.names, m.Name)
	return m, nil
}

func (p *pass) content(ctx context.Context, opts Options, i int, m *ovf.Member, chunk bool) (*Content, error) {
	f := p.files[i]
	p.seen[i] = true
	c := &Content{File: f, Name: m.Name, StoredSize: m.Size, Compression: compression.Identity}
	p.current = &join{reader: m.Reader}
	c.stored = p.current
	if chunk {
		c.StoredSize = f.Size
		p.current.more = p.chunks(ctx, f)
	}
	limit := int64(-1)
	if opts.MaxSize != nil {
		limit = opts.MaxSize(f)
	}
	if !opts.Raw && (opts.RawFile == nil || !opts.RawFile(f)) {
		var err error
		if c.Compression, err = compression.Parse(f.Compression); err != nil {
			return nil, &ovf.DescriptorError{Package: p.pkg.Name(), Object: "File " + f.ID, Offset: -1, Clause: "7.1", Err: err}
		}
	}
	if !chunk && c.Compression == compression.Identity {
		c.At = anywhere(p.pkg, m.Name)
	}
	r := &inflater{pkg: p.pkg.Name(), name: m.Name, format: c.Compression, stored: p.current, limit: limit}
	p.current.inflater = r
	c.Reader = r
	return c, nil
}

// chunks gives the chunks after the first; io.EOF after the last.
func (p *pass) chunks(ctx context.Context, f ovf.File) func() (io.Reader, error) {
	number, count := 0, chunkCount(f)
	return func() (io.Reader, error) {
		if number++; number == count {
			return nil, io.EOF
		}
		m, err := p.member(ctx)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == nil {
			if _, ok := ovf.MatchMember(manifest.ChunkName(f.Href, number), func(n string) bool { return n == m.Name }); ok {
				return m.Reader, nil
			}
			p.held = m
		}
		if count > 0 {
			return nil, missingChunk(p.pkg, f, number, p.names)
		}
		return nil, io.EOF
	}
}

// atEnd gives entries that name the descriptor, manifest or certificate, as
// some producers list them; then says which files never came.
func (p *pass) atEnd() (*Content, error) {
	own := map[string][]byte{p.pkg.Descriptor(): p.pkg.Envelope().Bytes()}
	if o, ok := p.pkg.(ovf.Opener); ok {
		for _, m := range o.Members() {
			own[m.Name] = nil // there, as Missing has checked
		}
	}
	given := map[string]bool{}
	for i, f := range p.files {
		if p.seen[i] {
			given[f.ID+"\x00"+f.Href] = true
		}
	}
	for i, f := range p.files {
		if p.seen[i] || given[f.ID+"\x00"+f.Href] { // some list a file twice
			continue
		}
		if _, ok := ovf.MatchMember(f.Href, func(n string) bool { _, ok := own[n]; return ok || p.isCompanion(n) }); !ok {
			return nil, members.Missing(p.pkg.Name(), p.pkg.Envelope(), f.Href, append(p.names, slices.Sorted(maps.Keys(own))...))
		}
	}
	return nil, io.EOF
}

// isCompanion says whether name is that of the manifest or certificate, which passed.
func (p *pass) isCompanion(name string) bool {
	d, env := p.pkg.Descriptor(), p.pkg.Envelope()
	return p.pkg.Manifest() != nil && members.Companion(d, ".mf", env, []string{name}) == name ||
		p.pkg.Certificate() != nil && members.Companion(d, ".cert", env, []string{name}) == name
}

// ErrTooLong: content expands to more than the caller allows.
var ErrTooLong = errors.New("expands to more than is allowed")
