package migrate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
)

// ErrSourceChanged: the source's bytes are not those that the run began with.
var ErrSourceChanged = errors.New("the source has changed since the run began")

// packageFormat is the only format of export that is asked for (mapping.md).
const packageFormat = "application/ovf"

// exportSystem asks a cloud to export a System, by one of its operations, and waits until the package's
// layout is frozen and its bytes can be had from Location. begun, where it is not
// nil, is told before that what is to be there.
func exportSystem(ctx context.Context, p cimi.Provider, id string, a *cimi.Action, begun func(*cimi.Accepted) error) (*cimi.Accepted, error) {
	a.Format = packageFormat
	acc, err := p.Invoke(ctx, id, a)
	if err != nil {
		return nil, err
	}
	if begun != nil {
		if err := begun(acc); err != nil {
			return acc, err
		}
	}
	if _, err := follow(ctx, p, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, nil); err != nil {
		return acc, err
	}
	if acc.Location == "" {
		return acc, fmt.Errorf("export of %s was accepted, but no Location says where the package is (DSP0263 5.13.1.2)", id)
	}
	return acc, nil
}

// export asks the source for the package.
func (r *run) export(ctx context.Context) error {
	if r.Via == ViaResources {
		return r.exportImages(ctx)
	}
	_ = r.leaveSnapshot(ctx) // of an attempt that broke off
	if err := r.begin(ctx, StepExport, nil, nil); err != nil {
		return err
	}
	var n exportNotes
	var err error
	if !r.Warm {
		// An export that was begun before was not read.
		if n.Contents, err = r.contents(ctx); err != nil {
			return at(StepExport, Source, r.System, err)
		}
	}
	acc, err := exportSystem(ctx, r.src.Provider, r.SystemID, r.exportAction(), func(acc *cimi.Accepted) error {
		// A snapshot that is made must be found by whoever goes on.
		n.Job, n.Location, n.Live = acc.Job, acc.Location, r.Warm
		return r.note(ctx, StepExport, n)
	})
	if err != nil {
		return at(StepExport, Source, r.System, err)
	}
	n.Job, n.Location = acc.Job, acc.Location
	n.Points, n.Held = r.exportPoints(ctx, acc.Job)
	if r.content, err = r.open(ctx, r.src, acc.Location); err != nil {
		return fetching(StepExport, Source, r.System, err)
	}
	if err := r.identify(ctx, &n); err != nil {
		return fetching(StepExport, Source, r.System, err)
	}
	return r.end(ctx, StepExport, journal.Ended, n)
}

// identify fills in what tells the source's bytes from others.
func (r *run) identify(ctx context.Context, n *exportNotes) error {
	n.Size, n.Version = r.content.Size(), r.content.Version()
	if !r.content.Ranged() {
		return nil
	}
	x, err := relay.ReadIndex(ctx, r.content, r.System)
	if err != nil {
		return err
	}
	n.Descriptor = hex.EncodeToString(x.DescriptorSum[:])
	return nil
}

// openSource opens the export that the journal names. One that is gone is made
// anew. Either way the bytes must be those that the run began with.
func (r *run) openSource(ctx context.Context) error {
	if r.content != nil {
		return nil
	}
	if r.done(StepStage) {
		return r.openStaged(ctx)
	}
	if !r.Warm {
		if err := r.stillAtRest(ctx); err != nil {
			return err
		}
	}
	if r.Via == ViaResources {
		return r.openImages(ctx)
	}
	var want, got exportNotes
	if err := r.notes(StepExport, &want); err != nil {
		return err
	}
	content, err := r.open(ctx, r.src, want.Location)
	got.Location, got.Job, got.Points, got.Held, got.Contents, got.Live = want.Location, want.Job, want.Points, want.Held, want.Contents, r.Warm
	if cimi.IsNotFound(err) || r.Warm && cimi.IsConflict(err) {
		acc, exportErr := exportSystem(ctx, r.src.Provider, r.SystemID, r.exportAction(), func(acc *cimi.Accepted) error {
			n := want
			n.Job, n.Location, n.Live, n.Left = acc.Job, acc.Location, r.Warm, false
			return r.note(ctx, StepExport, n)
		})
		if cimi.IsNotFound(exportErr) {
			return refuse(StepExport, Source, r.System, fmt.Errorf("%w: %w", ErrSourceChanged, exportErr), "")
		}
		if exportErr != nil {
			return at(StepExport, Source, r.System, exportErr)
		}
		got.Location, got.Job = acc.Location, acc.Job
		got.Points, got.Held = r.exportPoints(ctx, acc.Job)
		content, err = r.open(ctx, r.src, acc.Location)
	}
	if err != nil {
		return fetching(StepExport, Source, r.System, err)
	}
	r.content = content
	if err := r.identify(ctx, &got); err != nil {
		return fetching(StepExport, Source, r.System, err)
	}
	if d := want.differs(got); d != "" && r.Warm {
		return r.beginAgain(ctx, got)
	} else if d != "" {
		return refuse(StepExport, Source, r.System, fmt.Errorf("%w: %s", ErrSourceChanged, d),
			fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
	}
	if got.Location != want.Location {
		got.Version = want.Version
		return r.note(ctx, StepExport, got)
	}
	return nil
}

// differs says what is not the same, empty when nothing is. What a cloud does
// not tell is not compared.
func (want exportNotes) differs(got exportNotes) string {
	var out []string
	add := func(what string, a, b any) { out = append(out, fmt.Sprintf("%s was %v, is %v", what, a, b)) }
	if want.Size >= 0 && got.Size >= 0 && want.Size != got.Size {
		add("size", want.Size, got.Size)
	}
	if want.Version != "" && got.Version != "" && want.Version != got.Version {
		add("version", want.Version, got.Version)
	}
	if want.Descriptor != "" && got.Descriptor != "" && want.Descriptor != got.Descriptor {
		add("descriptor's SHA-256", want.Descriptor, got.Descriptor)
	}
	return strings.Join(out, "; ")
}
