package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
)

// destinationShape reads the configuration of what was made, in the names of
// the source.
func (v *verification) destinationShape(ctx context.Context) (*Shape, error) {
	if v.Assembly.apart() {
		shape, err := v.partsShape(ctx)
		v.Assembly.restore(v.Shape, shape)
		if err == nil {
			err = shape.readOwn(ctx, v.dst.Provider, v.Shape)
		}
		return shape, err
	}
	res, err := v.dst.Provider.Get(ctx, v.system, cimi.ReadOptions{})
	if err != nil {
		return nil, err
	}
	s, ok := res.(*cimi.System)
	if !ok {
		return nil, fmt.Errorf("%s: expected a System, the cloud answered a %s", v.system, res.TypeName())
	}
	shape, err := readShape(ctx, v.dst.Provider, s)
	if err == nil && v.Assembly != nil {
		v.Assembly.restore(v.Shape, shape)
		err = shape.readOwn(ctx, v.dst.Provider, v.Shape)
	}
	return shape, err
}

// byImages has the destination make an image of each disk, and reads it.
func (v *verification) byImages(ctx context.Context) error {
	v.found = map[string]relay.DiskDigest{}
	for _, d := range v.Shape.Disks {
		key := v.Assembly.Keys[d.ID]
		i := slices.IndexFunc(v.shape.Disks, func(x DiskShape) bool { return x.Name == d.Name && x.OVFID == d.OVFID && (x.Of != "") == d.Kept })
		if _, ok := v.source[key]; !ok || i < 0 {
			continue
		}
		if err := v.byImage(ctx, key, v.shape.Disks[i]); err != nil || v.notes.Unprovable != "" {
			return err
		}
	}
	return nil
}

// byImage reads one disk of the destination. The image goes at once, so that
// there is never more than one.
func (v *verification) byImage(ctx context.Context, key string, d DiskShape) error {
	check := "check " + key
	x, err := v.imaging(ctx, Destination, check, "check-"+key, d)
	if err != nil {
		return err
	}
	if x.Collection == "" {
		v.notes.Unprovable = "the destination makes no images of disks to read"
		return nil
	}
	m, err := v.make(ctx, x)
	if err != nil {
		return v.unprovableBy("makes no image of its disks", err)
	}
	var location string
	content, err := v.openImage(ctx, v.dst, m.ID, &location, d, v.shape.alone(d))
	if errors.Is(err, errNoBytes) {
		v.notes.Unprovable = "the destination gives no bytes of its images"
		return v.removeMade(ctx, check, &m, journal.Undone)
	}
	if err != nil {
		return v.unprovableBy("gives no bytes of its images", err)
	}
	defer content.Close()
	size := v.source[key].Size
	note := imageNote{Image: m.ID, Location: location}
	if err := note.look(content, 0, DiskShape{Of: d.Of, Name: d.Name}); err != nil {
		return err
	}
	if !content.Ranged() { // what was looked at has passed
		content.Close()
		if content, err = v.open(ctx, v.dst, location); err != nil {
			return err
		}
	}
	whole := relay.Disk{ID: key, Name: note.File, Declared: note.Format, Capacity: -1}
	if note.Virtual > 0 {
		whole.Capacity = note.Virtual
	}
	got, err := relay.DigestImage(ctx, content, content.Ranged(), whole, relay.DigestOptions{Sizes: map[string]int64{key: size},
		Progress: func(disk string, done, total int64) {
			v.feed.emit(Event{Run: v.id, System: v.System, Disk: disk, Phase: string(StepVerify), Done: done, Total: total})
		}})
	v.notes.BytesAtDest += content.Size()
	if err != nil {
		if ClassOf(err) == ClassOther && ctx.Err() == nil {
			err = &Error{Step: StepVerify, Side: Destination, Object: v.Name, Class: ClassTransfer, Err: err}
		}
		return err
	}
	v.found[key] = got
	return v.removeMade(ctx, check, &m, journal.Undone)
}
