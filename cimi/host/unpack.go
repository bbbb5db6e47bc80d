package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
)

// Store is where a host puts what Unpack reads. Nothing of it counts before
// Unpack has returned without error.
type Store interface {
	// Disk gives the sink of a disk, once for each; d has its id.
	Disk(ctx context.Context, d *Disk) (disk.Sink, error)
	// Digest is the content digest of the first size bytes of a disk that was
	// written; asked for only where content came out of order.
	Digest(ctx context.Context, d *Disk, size int64) (disk.Digest, error)
	// File takes a stored file of the package that is not a disk's, byte for byte.
	File(ctx context.Context, name string) (io.WriteCloser, error)
}

// Unpack reads the package once, in one pass: each stored file is checked
// against the manifest, its chunks joined, its compression undone, its disk
// decoded into the store and its content digest taken, all as the bytes pass.
// When it returns without error every file was there, every digest of the
// manifest has agreed, and the System is complete.
func (a *Arrival) Unpack(ctx context.Context, store Store) error {
	if a.deltas != nil {
		defer a.deltas.Close() // temporary files; what fails to go has no name any more
	}
	for d := range a.System.AllDisks() {
		if _, ok := a.sources[d]; ok {
			continue
		}
		sink, err := store.Disk(ctx, d)
		if err != nil {
			return err
		}
		if err := sink.Begin(disk.Info{Format: disk.Raw, Size: d.CapacityBytes}); err != nil {
			return noSpace("disk "+d.OVFID, d.CapacityBytes, err)
		}
	}
	a.oneAtATime()
	u := &unpacking{Arrival: a, store: store}
	opts := files.Options{MaxSize: a.maxSize, RawFile: func(f ovf.File) bool { return len(a.content[f.ID]) == 0 }, From: u.from()}
	err := files.Each(ctx, a.pkg, opts, a.parallel, u.take)
	var integrity *ovf.IntegrityError
	switch {
	case u.broken != nil && !errors.As(err, &integrity):
		return u.broken
	case err != nil:
		return err
	}
	a.companions()
	if r, ok := a.pkg.(ovf.Reporter); ok {
		findings := r.Findings()
		if a.deltas != nil {
			findings = findings[len(a.deltas.Changes()):] // told when it was planned
		}
		for _, f := range findings {
			a.opts.Finding(f)
		}
	}
	return nil
}

// oneAtATime sees to it that those who are told are told by one goroutine at a
// time.
func (a *Arrival) oneAtATime() {
	var mu sync.Mutex
	if find := a.opts.Finding; find != nil {
		a.opts.Finding = func(f ovf.Finding) {
			mu.Lock()
			defer mu.Unlock()
			find(f)
		}
	}
	if progress := a.opts.Progress; progress != nil {
		a.opts.Progress = func(p DiskProgress) {
			mu.Lock()
			defer mu.Unlock()
			progress(p)
		}
	}
}

// unpacking is an Arrival whose contents pass, several at a time.
type unpacking struct {
	*Arrival
	store Store

	mu     sync.Mutex
	broken error // what is wrong with content that passed
	kept   sync.Mutex
}

// take puts one content into the store.
func (u *unpacking) take(ctx context.Context, c *files.Content) error {
	u.mu.Lock()
	broken := u.broken != nil
	u.mu.Unlock()
	if broken {
		return nil
	}
	var err error
	if disks := u.content[c.File.ID]; !c.Unreferenced && len(disks) > 0 {
		err = u.unpackDisk(ctx, c, disks, u.store)
	} else {
		u.kept.Lock() // their order is that of the System's FileNames
		err = u.keep(ctx, c, u.store)
		u.kept.Unlock()
	}
	if err == nil || !isContentError(err) {
		return err
	}
	// Where the bytes are not those of the manifest, that is the better
	// explanation; only the end of the package tells.
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.broken == nil {
		u.broken = err
	}
	return nil
}

// isContentError: the bytes that came are at fault, not the way they took or
// the place they go to.
func isContentError(err error) bool {
	var de *ovf.DescriptorError
	return errors.Is(err, disk.ErrCorrupt) || errors.Is(err, disk.ErrWrongFormat) || errors.As(err, &de)
}

// maxSize bounds what a compressed file may expand to: an image is never
// much larger than its disk.
func (a *Arrival) maxSize(f ovf.File) int64 {
	disks := a.content[f.ID]
	if len(disks) == 0 || !f.Compressed() || disks[0].CapacityBytes == 0 {
		return -1
	}
	return 2*disks[0].CapacityBytes + 64<<20
}

func (a *Arrival) unpackDisk(ctx context.Context, c *files.Content, disks []*Disk, store Store) error {
	first := disks[0]
	target := &arriving{disks: disks, finding: a.opts.Finding}
	source := formats.Source{Name: imageName(c), At: c.At}
	if f, ok := formats.OfURI(first.Format); ok {
		source.Declared = f
	}
	in := &watched{r: c.Reader}
	c.Reader = in
	for _, d := range disks {
		target.sinks = append(target.sinks, noSink{d.CapacityBytes})
	}
	res, streamed, err := a.stream(ctx, c, disks, source, target, store)
	if !streamed {
		res, err = a.decode(ctx, c, source, target, store)
	}
	if errors.Is(err, errComplete) {
		return nil
	}
	var place *sinkError
	switch {
	case in.err != nil:
		return in.err
	case errors.As(err, &place):
		return noSpace("disk "+first.OVFID, first.CapacityBytes, err)
	case target.err != nil:
		return noSpace("disk "+first.OVFID, first.CapacityBytes, target.err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: disk %s: %w", a.pkg.Name(), first.OVFID, err)
	}
	if res.Kept > 0 {
		a.opts.Finding(ovf.Finding{ID: RuleKept, Severity: ovf.Info, Object: "disk " + first.OVFID,
			Message: fmt.Sprintf("its image cannot be read as a stream: %d bytes were kept in a temporary file meanwhile", res.Kept)})
	}
	digest := res.Digest
	if !res.HasDigest {
		if digest, err = store.Digest(ctx, first, res.Info.Size); err != nil {
			return fmt.Errorf("disk %s: %w", first.OVFID, err)
		}
	}
	for _, d := range disks {
		d.ContentBytes, d.ContentDigest = digest.Size, digest.String()
	}
	return nil
}

// RuleKept: an image was kept in a temporary file to be read.
const RuleKept = "DISK-KEPT-001"

// decode writes the content of an image to the sinks of its disks.
func (a *Arrival) decode(ctx context.Context, c *files.Content, source formats.Source, target *arriving, store Store) (disk.Result, error) {
	first := target.disks[0]
	for i, d := range target.disks {
		sink, err := store.Disk(ctx, d)
		if err != nil {
			return disk.Result{}, &sinkError{err}
		}
		target.sinks[i] = sink
	}
	opts := disk.DecodeOptions{Workers: a.workers(), Progress: func(done, total int64) {
		if a.opts.Progress != nil {
			a.opts.Progress(DiskProgress{Disk: first.OVFID, Done: done, Total: total})
		}
	}}
	if k, ok := a.keeper(store, target.disks, c); ok {
		return a.decodeKept(ctx, k, c, source, target, opts)
	}
	return formats.Decode(ctx, c.Reader, source, c.ImageSize(first.CapacityBytes), target, opts)
}

// workers shares the processors between the disks that are decoded at a time,
// and with them the memory that each takes.
func (a *Arrival) workers() int { return max(1, disk.Processors()/max(1, a.parallel)) }

// imageName is the file's name without the extension of its compression, so
// that the extension of the format shows.
func imageName(c *files.Content) string {
	name := path.Base(c.File.Href)
	if c.File.Compressed() {
		for _, ext := range []string{".gz", ".bz2", ".xz", ".zst"} {
			if cut, ok := strings.CutSuffix(name, ext); ok {
				return cut
			}
		}
	}
	return name
}

func (a *Arrival) keep(ctx context.Context, c *files.Content, store Store) error {
	name := c.Name
	if !c.Unreferenced {
		name = c.File.Href
	}
	w, err := store.File(ctx, name)
	if err != nil {
		return err
	}
	in := &watched{r: c.Reader}
	_, err = io.Copy(w, in)
	err = errors.Join(err, w.Close())
	switch {
	case in.err != nil:
		return in.err
	case err != nil:
		return noSpace("file "+name, c.StoredSize, err)
	}
	a.System.FileNames = append(a.System.FileNames, name)
	return nil
}

// companions notes what manifest and certificate are called: as the descriptor,
// with their own extension (DSP0243 5.1).
func (a *Arrival) companions() {
	base := strings.TrimSuffix(a.pkg.Descriptor(), path.Ext(a.pkg.Descriptor()))
	if a.pkg.Manifest() != nil {
		a.System.ManifestName = base + ".mf"
	}
	if a.pkg.Certificate() != nil {
		a.System.CertificateName = base + ".cert"
	}
}

// Manifest and Certificate are those of the package, nil when it has none;
// known after Unpack.
func (a *Arrival) Manifest() []byte    { return a.pkg.Manifest() }
func (a *Arrival) Certificate() []byte { return a.pkg.Certificate() }

// watched remembers why reading ended, so that a decoder's account of it does
// not hide the cause.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// noSpace makes a full file system, or one that has no files of that size, an ErrNoSpace with the object's name.
func noSpace(object string, need int64, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return &NoSpaceError{Object: object, Need: need, Free: -1, Err: err}
	}
	return fmt.Errorf("%s: %w", object, err)
}
