// Package flatten makes the delta disks of a package whole (DSP0243 9.1,
// parentRef): what reads the package it gives finds every disk with all of its
// content. The package is read once; the files of a chain of disks are kept
// where they lie, or in a temporary file where the package cannot seek.
package flatten

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/images"
)

// Rules of the findings.
const (
	RuleFlattened = "MAP-DISK-002" // a delta disk was made whole, or its parent left out
	RuleSignature = "MAP-SIG-001"  // manifest and certificate are those of other files
)

// Options of Package.
type Options struct {
	Spool string // the folder for temporary files; empty: the system's
	Level int    // of the compression of disks made whole, as in disk.EncodeOptions
}

// Needed says whether a descriptor has delta disks.
func Needed(env *ovf.Envelope) bool {
	for _, d := range env.Disks() {
		if d.ParentRef != "" {
			return true
		}
	}
	return false
}

// Whole is a package whose disks are all whole. It has no manifest: that of
// the package below is checked as its files pass.
type Whole struct {
	below    ovf.Package
	env      *ovf.Envelope
	opts     Options
	findings []ovf.Finding

	chains []*chain              // of the disks to be made whole, in order
	inside map[string]bool       // ids of Files that some chain needs
	stays  map[string]bool       // ids of those that are disks of their own too
	images map[string]disk.Image // of Files of chains, by id, as they have come
	kept   map[string]*kept

	next    func() (*files.Content, error, bool)
	stop    func()
	waiting []func(ctx context.Context) (*ovf.Member, error)
	current io.Closer
	err     error
}

var (
	_ ovf.Package  = (*Whole)(nil)
	_ ovf.Reporter = (*Whole)(nil)
)

// chain is a delta disk and what it builds on, the disk itself first.
type chain struct {
	disk  ovf.Disk
	links []ovf.Disk
	href  string
	given bool
}

// Package is pkg with its delta disks made whole. pkg stays the caller's to
// close. A chain that leads nowhere or in a circle is a *ovf.DescriptorError.
func Package(_ context.Context, pkg ovf.Package, opts Options) (*Whole, error) {
	w := &Whole{below: pkg, env: pkg.Envelope().Clone(), opts: opts, inside: map[string]bool{}, stays: map[string]bool{},
		images: map[string]disk.Image{}, kept: map[string]*kept{}}
	for _, d := range pkg.Envelope().Disks() {
		if d.ParentRef == "" {
			continue
		}
		c, err := chainOf(pkg, d)
		if err != nil {
			return nil, err
		}
		w.chains = append(w.chains, c)
		for _, l := range c.links {
			if l.FileRef != "" {
				w.inside[l.FileRef] = true
			}
		}
	}
	w.edit()
	return w, nil
}

// maxLinks is how many disks may build on each other: more than any platform lets.
const maxLinks = 256

func chainOf(pkg ovf.Package, d ovf.Disk) (*chain, error) {
	env := pkg.Envelope()
	c := &chain{disk: d, links: []ovf.Disk{d}}
	for at := d; at.ParentRef != ""; {
		p, ok := env.Disk(at.ParentRef)
		if !ok {
			return nil, broken(pkg, d, fmt.Sprintf("parentRef %q of disk %s names no Disk", at.ParentRef, at.ID))
		}
		switch {
		case p.ID == d.ID:
			return nil, broken(pkg, d, "the disk is its own ancestor")
		case len(c.links) > maxLinks:
			return nil, broken(pkg, d, fmt.Sprintf("its chain of parents does not end within %d disks", maxLinks))
		}
		if p.FileRef != "" && slices.ContainsFunc(c.links, func(l ovf.Disk) bool { return l.FileRef == p.FileRef }) {
			return nil, broken(pkg, d, fmt.Sprintf("it and its ancestor %s have one file, %s", p.ID, p.FileRef))
		}
		c.links = append(c.links, p)
		at = p
	}
	return c, nil
}

func broken(pkg ovf.Package, d ovf.Disk, message string) error {
	return &ovf.DescriptorError{Package: pkg.Name(), Object: "disk " + d.ID, Offset: -1, Message: message, Clause: "9.1"}
}

// edit makes the descriptor of the package with whole disks.
func (w *Whole) edit() {
	used := map[string]bool{}
	for _, vs := range w.env.VirtualSystems() {
		for _, h := range vs.Hardware() {
			for _, it := range h.Items() {
				for _, r := range it.HostResource {
					if d, _ := w.env.Resolve(r); d.Exists() {
						used[d.ID] = true
					}
				}
			}
		}
	}
	uri, _ := formats.URI(disk.VMDK)
	// A look-up after an edit reads the descriptor again: handles are taken before.
	disks, files := map[string]ovf.Disk{}, firstByID(w.env.Files())
	for _, d := range w.env.Disks() {
		if _, twice := disks[d.ID]; !twice {
			disks[d.ID] = d
		}
	}
	whole := map[string]bool{}
	for _, c := range w.chains {
		d := disks[c.disk.ID]
		whole[d.ID] = true
		f, ok := files[d.FileRef]
		if !ok {
			// All of its content is the parent's.
			f = ovf.File{ID: d.ID + "-whole", Href: d.ID + ".vmdk", Size: -1}
			if err := w.env.AddFile(f); err == nil {
				d.SetFileRef(f.ID)
			}
		}
		c.href = asVMDK(f.Href)
		if ok && f.Href != c.href {
			f.SetHref(c.href)
		}
		d.RemoveAttr("parentRef")
		d.SetFormat(uri)
		d.SetPopulatedSize(-1)
		w.find(RuleFlattened, ovf.Warning, "disk "+d.ID, fmt.Sprintf("it holds only what differs from disk %s, and is made whole", c.disk.ParentRef))
	}
	files = firstByID(w.env.Files())
	all, users := w.env.Disks(), map[string]int{}
	for _, d := range all {
		users[d.FileRef]++
	}
	for _, d := range all {
		if !w.inside[d.FileRef] || whole[d.ID] {
			continue
		}
		if used[d.ID] {
			w.stays[d.FileRef] = true
			continue
		}
		w.find(RuleFlattened, ovf.Info, "disk "+d.ID, "no device has it, and the disks that build on it are whole: it is left out")
		d.Remove()
		users[d.FileRef]--
		if f, ok := files[d.FileRef]; ok && users[d.FileRef] == 0 {
			f.Remove()
			delete(files, d.FileRef)
		}
	}
	for id := range w.inside {
		if f, ok := files[id]; ok {
			// Chunks are joined, compression is undone.
			f.SetChunkSize(0)
			f.SetCompression("")
			f.RemoveAttr("size")
		}
	}
	for _, f := range w.env.Files() {
		if f.ChunkSize > 0 {
			f.SetChunkSize(0)
		}
	}
	if w.below.Certificate() != nil {
		w.find(RuleSignature, ovf.Warning, w.below.Descriptor(), "the package was signed; with disks made whole it is not")
	}
}

// asVMDK is an href with the extension of what is given: no other format, no
// compression.
func asVMDK(href string) string {
	for _, ext := range []string{".gz", ".bz2", ".xz", ".zst"} {
		href = strings.TrimSuffix(href, ext)
	}
	if ext := path.Ext(href); disk.FormatOfName(href) != "" && !strings.EqualFold(ext, ".vmdk") {
		href = strings.TrimSuffix(href, ext) + ".vmdk"
	}
	return href
}

// firstByID are files by id; of several with one id the first counts.
func firstByID(list []ovf.File) map[string]ovf.File {
	out := map[string]ovf.File{}
	for _, f := range list {
		if _, twice := out[f.ID]; !twice {
			out[f.ID] = f
		}
	}
	return out
}

func (w *Whole) find(id string, severity ovf.Severity, object, message string) {
	w.findings = append(w.findings, ovf.Finding{ID: id, Severity: severity, Object: object, Message: message, Clause: "DSP0243 9.1"})
}

// Name is that of the package below.
func (w *Whole) Name() string { return w.below.Name() }

// Descriptor is that of the package below.
func (w *Whole) Descriptor() string { return w.below.Descriptor() }

// Envelope is the descriptor with whole disks.
func (w *Whole) Envelope() *ovf.Envelope { return w.env }

// Manifest is nil.
func (w *Whole) Manifest() []byte { return nil }

// Certificate is nil.
func (w *Whole) Certificate() []byte { return nil }

// Changes are what was made whole, or left out: known before anything is read.
func (w *Whole) Changes() []ovf.Finding { return slices.Clone(w.findings) }

// Findings are the Changes, and what the package below noticed.
func (w *Whole) Findings() []ovf.Finding {
	out := w.Changes()
	if r, ok := w.below.(ovf.Reporter); ok {
		out = append(out, r.Findings()...)
	}
	return out
}

// Next gives the next file; see ovf.Package.
func (w *Whole) Next(ctx context.Context) (*ovf.Member, error) {
	if w.current != nil {
		err := w.current.Close()
		w.current = nil
		if err != nil && w.err == nil {
			w.err = err
		}
	}
	for w.err == nil {
		if len(w.waiting) > 0 {
			give := w.waiting[0]
			w.waiting = w.waiting[1:]
			m, err := give(ctx)
			if err != nil {
				w.err = err
				break
			}
			return m, nil
		}
		m, err := w.advance(ctx)
		if err != nil {
			w.err = err
			break
		}
		if m != nil {
			return m, nil
		}
	}
	return nil, w.err
}

// advance takes the next content of the package below: it is given, or kept
// for a chain.
func (w *Whole) advance(ctx context.Context) (*ovf.Member, error) {
	if w.next == nil {
		w.next, w.stop = iter.Pull2(files.Contents(ctx, w.below, files.Options{
			RawFile: func(f ovf.File) bool { return !w.inside[f.ID] },
			MaxSize: w.bound,
		}))
	}
	c, err, ok := w.next()
	switch {
	case !ok:
		for _, k := range w.chains {
			if !k.given {
				return nil, broken(w.below, k.disk, "its files did not come")
			}
		}
		return nil, io.EOF
	case err != nil:
		return nil, err
	case c.Unreferenced || !w.inside[c.File.ID]:
		name := c.Name
		if !c.Unreferenced && c.File.ChunkSize > 0 {
			name = c.File.Href
		}
		return &ovf.Member{Name: name, Size: c.StoredSize, Reader: c.Reader}, nil
	}
	return nil, w.keep(ctx, c)
}

// bound is how much a file of a chain may expand to.
func (w *Whole) bound(f ovf.File) int64 {
	most := int64(-1)
	for _, d := range w.below.Envelope().Disks() {
		if d.FileRef != f.ID || !f.Compressed() {
			continue
		}
		if c, err := d.CapacityBytes(); err == nil && c > 0 {
			most = max(most, c+c/8+64<<20)
		}
	}
	return most
}

// ready queues the disks whose chains are complete.
func (w *Whole) ready() {
	for _, c := range w.chains {
		if c.given || !w.complete(c) {
			continue
		}
		c.given = true
		w.waiting = append(w.waiting, func(ctx context.Context) (*ovf.Member, error) { return w.whole(ctx, c) })
	}
}

func (w *Whole) complete(c *chain) bool {
	for _, l := range c.links {
		if l.FileRef != "" && w.kept[l.FileRef] == nil {
			return false
		}
	}
	return true
}

// whole is a disk with all of its content, as a stream.
func (w *Whole) whole(ctx context.Context, c *chain) (*ovf.Member, error) {
	img, err := w.open(c.links)
	if err != nil {
		return nil, err
	}
	name, err := ovf.MemberName(c.href, nil)
	if err != nil {
		img.Close()
		return nil, err
	}
	r, to := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := vmdk.Encode(ctx, img, to, vmdk.EncodeOptions{EncodeOptions: disk.EncodeOptions{Level: w.opts.Level, NoDigest: true}})
		if err != nil {
			err = fmt.Errorf("%s: disk %s: %w", w.Name(), c.disk.ID, err)
		}
		to.CloseWithError(err)
	}()
	w.current = closing(func() error {
		r.Close()
		<-done
		return img.Close()
	})
	return &ovf.Member{Name: name, Size: -1, Reader: r}, nil
}

type closing func() error

func (c closing) Close() error { return c() }

// Close lets go what was kept; not the package below.
func (w *Whole) Close() error {
	var errs []error
	if w.current != nil {
		errs = append(errs, w.current.Close())
		w.current = nil
	}
	if w.stop != nil {
		w.stop()
	}
	for _, k := range w.kept {
		errs = append(errs, k.Close())
	}
	w.kept = nil
	if w.err == nil {
		w.err = errors.New("the package is closed")
	}
	return errors.Join(errs...)
}

// reader reads the disks of the package below.
func (w *Whole) reader() images.Reader {
	return images.Reader{Package: w.below, Spool: w.opts.Spool}
}
