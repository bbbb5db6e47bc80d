package migrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/ova"
)

// imageNote is where the content of a disk is read at the source.
type imageNote struct {
	Disk     string `json:"disk"` // what reports call it
	Image    string `json:"image"`
	Location string `json:"location"`
	// Made: the run made the image; else it was there.
	Made bool `json:"made,omitempty"`
	// File is what the image is called on the way.
	File    string      `json:"file"`
	Format  disk.Format `json:"format"`
	Size    int64       `json:"size"`
	Virtual int64       `json:"virtual,omitempty"` // size of the disk in it, 0 where it shows only in reading
	Version string      `json:"version,omitempty"`
}

// errNoBytes: an image of which the cloud does not say where its bytes are.
var errNoBytes = errors.New("the image has no imageLocation that its bytes could be read from (DSP0263 5.15.7)")

// exportImages has the source make an image of every disk, and opens them.
func (r *run) exportImages(ctx context.Context) error {
	var n exportNotes
	if r.begun(StepExport) {
		// Some of the images may be there already.
		if err := r.notes(StepExport, &n); err != nil {
			return err
		}
		n.Images = nil
	} else {
		var err error
		if n.Contents, err = r.contents(ctx); err != nil {
			return at(StepExport, Source, r.System, err)
		}
	}
	if err := r.begin(ctx, StepExport, n, nil); err != nil {
		return err
	}
	g := &gathered{}
	for i, d := range r.Shape.Disks {
		note, content, err := r.sourceImage(ctx, i, d)
		if err != nil {
			g.Close()
			return at(StepExport, Source, r.System, err)
		}
		n.Images = append(n.Images, note)
		g.add(content)
	}
	r.content, n.Size, n.Version = g, g.Size(), g.Version()
	return r.end(ctx, StepExport, journal.Ended, n)
}

// sourceImage makes an image of a disk and opens its bytes. Where none can be
// made, the latest that is there is read instead.
func (r *run) sourceImage(ctx context.Context, i int, d DiskShape) (imageNote, cimi.Content, error) {
	note := imageNote{Disk: r.Assembly.Keys[d.ID], Made: true}
	key, name := r.imageKey(d)
	x, err := r.imaging(ctx, Source, key, name, d)
	if err != nil {
		return note, nil, err
	}
	m, err := r.make(ctx, x)
	note.Image = m.ID
	if cimi.IsUnsupported(err) {
		var old *cimi.Common
		if old, err = r.latestImage(ctx, d, err); err == nil {
			note.Image, note.Made = old.ID, false
			r.findings = append(r.findings, ovf.Finding{ID: RuleOldImage, Severity: ovf.Warning, Object: "disk " + d.Name,
				Message: fmt.Sprintf("the source makes no image of it, so the one of %s is read: what was written since is not in it", old.Created)})
		}
	}
	if err != nil {
		return note, nil, err
	}
	content, err := r.openImage(ctx, r.src, note.Image, &note.Location, d, r.Shape.alone(d))
	if err == nil {
		if err = note.look(content, i, d); err == nil && !content.Ranged() {
			// What was looked at has passed.
			content.Close()
			content, err = r.open(ctx, r.src, note.Location)
		} else if err != nil {
			content.Close()
		}
	}
	return note, content, fetching(StepExport, Source, "disk "+d.Name, err)
}

// temporaryName is that of an image that is only needed on the way: no other
// run has it.
func (r *run) temporaryName(key string) string { return "cimimove-" + r.id + "-" + key }

// latestImage is the newest image that there is of a Volume, or snapshot of the
// machine whose own disk it is; cause is why none was made.
func (r *run) latestImage(ctx context.Context, d DiskShape, cause error) (*cimi.Common, error) {
	res, err := r.src.Provider.Get(ctx, cmp.Or(d.Of, d.ID), cimi.ReadOptions{})
	if err != nil {
		return nil, err
	}
	var there string
	switch of := res.(type) {
	case *cimi.Volume:
		there = cimi.HrefOf(of.Images)
	case *cimi.Machine:
		there = cimi.HrefOf(of.Snapshots)
	}
	all, err := listIfThere(ctx, r.src.Provider, there)
	if err != nil {
		return nil, err
	}
	var latest *cimi.Common
	for _, x := range all {
		image := x.Base()
		if image.Created != nil && (latest == nil || image.Created.After(latest.Created.Time)) {
			latest = image
		}
	}
	if latest == nil {
		return nil, cause
	}
	return latest, nil
}

// openImage opens the bytes of a disk in an image, where its imageLocation says.
// A cloud that only repeats what it was made of offers no bytes. alone is that
// of Shape.
func (r *run) openImage(ctx context.Context, e Endpoint, image string, location *string, d DiskShape, alone bool) (cimi.Content, error) {
	res, err := e.Provider.Get(ctx, image, cimi.ReadOptions{})
	if err != nil {
		return nil, err
	}
	at, _ := cimi.Value(res, "imageLocation").(string)
	if at == "" || at == d.ID || at == d.Of || at == image {
		return nil, refuse("", "", image, errNoBytes, "")
	}
	*location = at
	content, err := r.open(ctx, e, at)
	if err != nil || d.Of == "" {
		return content, err
	}
	own, err := ownDisk(ctx, content, d, alone)
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return own, nil
}

// look finds out what the image is, and whether the whole disk is in it.
func (n *imageNote) look(c cimi.Content, i int, d DiskShape) error {
	n.Size, n.Version = c.Size(), c.Version()
	if n.Size < 0 {
		return refuse("", "", n.Image, errors.New("its bytes are of unknown number, and the destination must be told"), "")
	}
	if c.Ranged() {
		kind, err := disk.Detect(c, n.Size)
		if err != nil {
			return err
		}
		n.Format = cmp.Or(kind.Format, disk.Raw)
		img, err := formats.Open(c, n.Size, formats.Source{Name: n.Image, Declared: n.Format})
		if err != nil {
			return err
		}
		defer img.Close()
		n.Virtual = img.Size()
	} else {
		head := make([]byte, min(disk.HeaderSize, n.Size))
		if err := disk.ReadFull(c, head, 0); err != nil {
			return err
		}
		if d.Of != "" && ova.Begins(head) {
			return refuse("", "", n.Image, fmt.Errorf("disk %s: the image of its machine is a package that the cloud gives in one go only, and a disk in it is read in ranges", d.Name), "")
		}
		if n.Format = cmp.Or(disk.DetectHeader(head).Format, disk.Raw); n.Format == disk.Raw {
			n.Virtual = n.Size
		}
	}
	n.File = fmt.Sprintf("disk-%d.%s", i+1, extension(n.Format))
	// Capacities are in kilobytes, which clouds round in either direction.
	const slack = 1 << 20
	if n.Virtual > 0 && n.Virtual+slack < d.Capacity*1000 {
		return &Error{Class: ClassIntegrity, Object: n.Image,
			Err: fmt.Errorf("it has %d bytes, and the volume %d kB: it is not whole, or the cloud counts otherwise than the standard (5.6)", n.Virtual, d.Capacity)}
	}
	return nil
}

// extension is what files of a format are called.
func extension(f disk.Format) string {
	switch f {
	case disk.Raw:
		return "raw"
	case disk.VMDKSparse:
		return "vmdk"
	}
	return strings.ToLower(string(f))
}

// openImages opens the images that the journal names. One that is gone is made
// anew. Either way they must be of the size that the run began with.
func (r *run) openImages(ctx context.Context) error {
	var want exportNotes
	if err := r.notes(StepExport, &want); err != nil {
		return err
	}
	if len(want.Images) != len(r.Shape.Disks) {
		return fmt.Errorf("%d images in the journal, and %d disks in the plan", len(want.Images), len(r.Shape.Disks))
	}
	g, again := &gathered{}, false
	for i, d := range r.Shape.Disks {
		n := want.Images[i]
		content, err := r.openImage(ctx, r.src, n.Image, &n.Location, d, r.Shape.alone(d))
		if cimi.IsNotFound(err) && n.Made {
			if err := r.forget(ctx, d, n.Image); err != nil {
				return err
			}
			n, content, err = r.sourceImage(ctx, i, d)
			again = true
		}
		if err != nil {
			g.Close()
			return fetching(StepExport, Source, r.System, err)
		}
		g.add(content)
		if was := want.Images[i]; content.Size() != was.Size || content.Version() != "" && was.Version != "" && content.Version() != was.Version {
			g.Close()
			return refuse(StepExport, Source, r.System, fmt.Errorf("%w: the image of disk %s has %d bytes, it had %d", ErrSourceChanged, d.Name, content.Size(), was.Size),
				fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
		}
		want.Images[i] = n
	}
	r.content = g
	if !again {
		return nil
	}
	// What is known of the old images' blocks is not known of the new ones'.
	if err := r.engine.Journal.DropBlocks(ctx, r.id, ""); err != nil {
		return err
	}
	return r.note(ctx, StepExport, want)
}

// forget records that the image of a disk is gone, unless there is another by
// now: one of a machine is that of several disks.
func (r *run) forget(ctx context.Context, d DiskShape, image string) error {
	key, _ := r.imageKey(d)
	m, ok := r.wasMade(key)
	if !ok || m.ID != image {
		return nil
	}
	return r.end(ctx, madeStep(key), journal.Dropped, m)
}

// gathered are several contents as one, each behind the one before.
type gathered struct {
	parts []cimi.Content
	at    []int64 // where each begins
	size  int64
}

func (g *gathered) add(c cimi.Content) {
	g.parts, g.at = append(g.parts, c), append(g.at, g.size)
	g.size += c.Size()
}

// Size is that of all together.
func (g *gathered) Size() int64 { return g.size }

// Ranged tells whether all can be read anywhere.
func (g *gathered) Ranged() bool {
	for _, c := range g.parts {
		if !c.Ranged() {
			return false
		}
	}
	return true
}

// Version identifies the bytes of all; empty where one has none.
func (g *gathered) Version() string {
	h := sha256.New()
	for _, c := range g.parts {
		if c.Version() == "" {
			return ""
		}
		fmt.Fprintf(h, "%d %s\n", c.Size(), c.Version())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// in finds the part that holds off, and off in it; -1 behind the end.
func (g *gathered) in(off int64) (part int, at int64) {
	for i := len(g.parts) - 1; i >= 0; i-- {
		if off >= g.at[i] && off < g.at[i]+g.parts[i].Size() {
			return i, off - g.at[i]
		}
	}
	return -1, 0
}

func (g *gathered) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		i, at := g.in(off + int64(n))
		if i < 0 {
			return n, io.EOF
		}
		want := min(int64(len(p)-n), g.parts[i].Size()-at)
		k, err := g.parts[i].ReadAt(p[n:n+int(want)], at)
		if n += k; int64(k) < want {
			return n, err
		}
	}
	return n, nil
}

// Stream is relay.Streamer, within one part; whoever reads a file of one reads
// no further.
func (g *gathered) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	i, at := g.in(off)
	if i < 0 {
		return io.NopCloser(strings.NewReader(""))
	}
	return relay.Sequence(ctx, g.parts[i], at, min(n, g.parts[i].Size()-at))
}

func (g *gathered) Close() error {
	var errs []error
	for _, c := range g.parts {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
