package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cimimove/cimimove/cimi"
)

// A machine that was stopped for the move, or was found so, can be started and
// stopped again while its disks pass: it is at rest whenever somebody looks, and
// its copy lacks what was written in between. So what tells the content of its
// disks from that of other times is noted before the first byte is read, and
// looked at again before the run goes on or ends.

// contentNote is what tells the content of a Volume of the source, and where
// its cloud tells it.
type contentNote struct {
	Href    string `json:"href"` // below that of cimi.RelBlocks
	Version string `json:"version"`
}

// contents are those of the source's Volumes now, by id. Volumes of which the
// cloud does not tell are left out.
func (r *run) contents(ctx context.Context) (map[string]contentNote, error) {
	out := map[string]contentNote{}
	for _, d := range r.Shape.Disks {
		if d.Of != "" {
			continue // no operation of a Volume reads it
		}
		res, err := r.src.Provider.Get(ctx, d.ID, cimi.ReadOptions{})
		if err != nil {
			return nil, err
		}
		blocks := res.Base().Operation(cimi.RelBlocks)
		if blocks == nil {
			continue
		}
		n := contentNote{Href: below(blocks.Href, "version")}
		if n.Version, err = r.versionAt(ctx, n.Href); err != nil && !untold(err) {
			return nil, err
		}
		if n.Version != "" {
			out[d.ID] = n
		}
	}
	return out, nil
}

func (r *run) versionAt(ctx context.Context, href string) (string, error) {
	c, err := r.src.Provider.Open(ctx, href)
	if err != nil {
		return "", err
	}
	return c.Version(), c.Close()
}

// untold: a cloud that does not know, or not now.
func untold(err error) bool {
	return cimi.IsNotFound(err) || cimi.IsUnsupported(err) || cimi.IsConflict(err) || cimi.StatusOf(err) == 400
}

// unwritten refuses to go on when a disk of the source may have been written to
// since the run began to read them. One that is gone, or of which its cloud does
// not know any more, is not what it is about.
func (r *run) unwritten(ctx context.Context) error {
	var n exportNotes
	if err := r.notes(StepExport, &n); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(n.Contents)) {
		was := n.Contents[id]
		now, err := r.versionAt(ctx, was.Href)
		if untold(err) {
			continue
		}
		if err != nil {
			return at(StepExport, Source, r.System, err)
		}
		if now == "" || now == was.Version {
			continue
		}
		name := id
		for _, d := range r.Shape.Disks {
			if d.ID == id {
				name = d.Name
			}
		}
		return refuse(StepExport, Source, r.System, fmt.Errorf("%w: disk %s was written to, or its machine ran, after the run began to read it", ErrSourceChanged, name),
			fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
	}
	return nil
}
