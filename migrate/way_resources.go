package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
)

// The way by resources needs no package: the source makes an image of every
// disk, the destination fetches them through us (imageLocation, 5.15.7) and
// makes the System of its parts.

// apart: the parts are made one by one, with no System around them.
func (a *assembly) apart() bool { return a != nil && !a.Whole }

// indexImages finds the disks in what was gathered, and how much of each is
// known.
func (t *transfer) indexImages(ctx context.Context) error {
	var n exportNotes
	if err := t.run.notes(StepExport, &n); err != nil {
		return err
	}
	t.images = n.Images
	var at int64
	for _, image := range n.Images {
		d := relay.Disk{ID: image.Disk, Name: image.File, Declared: image.Format, Offset: at, Size: image.Size, Capacity: -1}
		if image.Virtual > 0 {
			d.Capacity = image.Virtual
		}
		at += image.Size
		var err error
		if d.Known, err = t.engine.Journal.KnownUpTo(ctx, t.id, d.ID); err != nil {
			return err
		}
		t.disks = append(t.disks, d)
	}
	return nil
}

// part is the content of an image by itself.
func (t *transfer) part(i int) (c cimi.Content, ok bool) {
	g, ok := t.content.(*gathered)
	if !ok || i >= len(g.parts) {
		return nil, false
	}
	return g.parts[i], true
}

// imageOffers offers every image at a URL of its own: in ranges where the
// source has them, else once.
func (t *transfer) imageOffers() []relay.Offer {
	var out []relay.Offer
	for i, d := range t.disks {
		o := relay.Offer{Name: d.Name, Type: relay.ImageType, Version: t.images[i].Version, Size: d.Size}
		if c, ok := t.part(i); ok && c.Ranged() {
			o.Content = relay.Section(t.tap, d.Offset, d.Size)
		} else {
			o.Stream = func(ctx context.Context, w io.Writer) error {
				in := relay.Sequence(ctx, t.tap, d.Offset, d.Size)
				defer in.Close()
				_, err := io.CopyBuffer(struct{ io.Writer }{w}, in, make([]byte, 1<<20))
				return err
			}
		}
		out = append(out, o)
	}
	return out
}

// imageDigests completes the source's content digests.
func (t *transfer) imageDigests(ctx context.Context) error {
	for i, d := range t.disks {
		if c, ok := t.part(i); ok && !c.Ranged() {
			if res, ok := t.tap.Digest(d.ID); ok {
				t.keep(d.ID, res.Digest)
				continue
			}
			if err := t.digestAgain(ctx, i); err != nil {
				return fmt.Errorf("disk %s: %w", d.ID, err)
			}
			continue
		}
		digest, err := t.digest(ctx, d)
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.ID, err)
		}
		t.keep(d.ID, digest)
	}
	return nil
}

// digestAgain reads an image once more that can be read in one go only.
func (t *transfer) digestAgain(ctx context.Context, i int) error {
	c, err := t.open(ctx, t.src, t.images[i].Location)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := relay.DigestImage(ctx, c, false, t.disks[i], relay.DigestOptions{})
	if err == nil {
		t.notes.Read += c.Size()
		t.keep(t.disks[i].ID, got.Digest)
	}
	return err
}

// offer serves the images: where and as they were offered before, if that can
// be, so that what was made to fetch from there still can.
func (t *transfer) offer(ctx context.Context) error {
	if t.serveThere(ctx) {
		return nil
	}
	t.notes.Attempt++
	listen, _, err := relayAddress(t.Relay, t.dst)
	if err != nil {
		return at(StepTransfer, Destination, t.dst.Name, err)
	}
	if err := t.serve(ctx, listen); err != nil {
		return &Error{Step: StepTransfer, Object: "relay", Err: err}
	}
	t.notes.Listen, t.notes.Reach = t.server.Addr(), t.server.Reach()
	return t.note(ctx, StepTransfer, t.notes)
}

// relayed names an offer without its secret.
func (t *transfer) relayed() string { return fmt.Sprintf("%d %s", t.notes.Attempt, t.notes.Listen) }

// passed counts bytes on the way to the destination.
func (t *transfer) passed() int64 { return t.moved.Load() + t.server.Sent() }

// targetImages makes an image of every disk at the destination, and gives them
// by the disk's id at the source.
func (t *transfer) targetImages(ctx context.Context) (map[string]string, error) {
	cep, err := t.dst.Provider.EntryPoint(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i, d := range t.Shape.Disks {
		key := "image " + t.images[i].Disk
		if err := t.dropStale(ctx, key); err != nil {
			return nil, err
		}
		x := making{key: key, count: t.passed,
			made: made{Side: Destination, Collection: cimi.HrefOf(cep.VolumeImages), Name: t.temporaryName(t.images[i].Disk), Temporary: true, Relay: t.relayed()},
			body: &cimi.VolumeImage{ImageLocation: t.server.URLOf(t.images[i].File), Bootable: cimi.Bool(d.Bootable)}}
		if d.Kept {
			x.Collection = cimi.HrefOf(cep.MachineImages)
			x.body = &cimi.MachineImage{Type: "IMAGE", ImageLocation: t.server.URLOf(t.images[i].File)}
		}
		m, err := t.make(ctx, x)
		if err != nil {
			return nil, err
		}
		out[d.ID] = m.ID
	}
	return out, nil
}

// dropStale removes an image that was made to fetch from where nothing is
// offered any more.
func (t *transfer) dropStale(ctx context.Context, key string) error {
	var m made
	step := madeStep(key)
	if !t.done(step) && !t.begun(step) {
		return nil
	}
	if err := t.run.notes(step, &m); err != nil || m.Relay == t.relayed() {
		return err
	}
	return t.removeMade(ctx, key, &m, journal.Dropped)
}

// assemble has the destination make the System in one request, of images that
// it fetches from us.
func (t *transfer) assemble(ctx context.Context) error {
	if err := t.offer(ctx); err != nil {
		return err
	}
	defer t.closeServer()
	images, err := t.targetImages(ctx)
	if err != nil {
		return t.assembleFailed(ctx, err)
	}
	_, systems, err := systemsOf(ctx, t.dst)
	if err != nil {
		return at(StepImport, Destination, t.dst.Name, err)
	}
	if err := t.stillFree(ctx, systems); err != nil {
		return t.assembleFailed(ctx, err)
	}
	in := importNotes{Attempt: t.notes.Attempt, Name: t.Name, Before: t.Before}
	if err := t.begin(ctx, StepImport, in, importUndo{DeleteSystemOf: t.id}); err != nil {
		return err
	}
	r := t.Assembly.recipe(t.Shape, t.Name, t.MAC, func(disk string) string { return images[disk] })
	create := &cimi.SystemCreate{Common: cimi.Common{Name: t.Name, Description: t.Shape.Description,
		Properties: map[string]string{runProperty: t.id}}, SystemTemplate: cimi.RefBy(r)}
	acc, err := t.dst.Provider.Create(ctx, systems, create)
	if cimi.StatusOf(err) == 400 {
		create.Properties = nil // our mark, which a cloud may refuse
		if again, second := t.dst.Provider.Create(ctx, systems, create); second == nil {
			acc, err = again, nil
		}
	}
	if err != nil {
		return t.importFailed(ctx, in, err)
	}
	in.Job, in.System = acc.Job, acc.Location
	if err := t.note(ctx, StepImport, in); err != nil {
		return err
	}
	server := t.server
	if err := t.followImport(ctx, in, acc); err != nil {
		return err
	}
	return t.ignored(server)
}

// errIgnored: a disk that was made without its content.
var errIgnored = errors.New("was made without its image being fetched: the cloud does not do what imageLocation asks for")

// ignored finds disks whose image nobody has asked for. server offered them
// from the beginning.
func (t *transfer) ignored(server *relay.Server) error {
	for i, d := range t.disks {
		if server.SentOf(d.Name) == 0 && t.images[i].Size > 0 {
			return &Error{Step: StepImport, Side: Destination, Object: "disk " + d.ID, Class: ClassIntegrity, Err: errIgnored}
		}
	}
	return nil
}

// assembleFailed says which side failed, and leaves nothing at the destination.
func (t *transfer) assembleFailed(ctx context.Context, cause error) error {
	cause = mask(cause, t.server.Base(), "relay")
	err := t.blame(ctx, cause)
	if ctx.Err() == nil {
		if source := t.ofSource(); source != nil {
			err = source
		}
	}
	t.closeServer()
	if lost(ctx) || t.OnFailure == FailureKeep && ClassOf(err) != ClassTransfer && ClassOf(err) != ClassInterrupt {
		return err
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if cleanErr := t.unmake(clean, func(_ string, m made) bool { return m.Side == Destination }); cleanErr != nil {
		t.findings = append(t.findings, leftFinding(t.Name, cleanErr))
		return err
	}
	if t.begun(StepImport) {
		return also(err, t.end(clean, StepImport, journal.Broken, nil))
	}
	return err
}
