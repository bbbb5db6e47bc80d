package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// ErrMismatch: the destination is not what the source is.
var ErrMismatch = errors.New("the destination differs from the source")

// verify proves the destination equal as far as was asked for.
func (r *run) verify(ctx context.Context) error {
	if err := r.begin(ctx, StepVerify, nil, nil); err != nil {
		return err
	}
	var in importNotes
	var tn transferNotes
	if err := errors.Join(r.notes(StepImport, &in), r.notes(StepTransfer, &tn)); err != nil {
		return err
	}
	v := &verification{run: r, system: in.System, source: tn.Disks}
	if err := r.neverRan(ctx); err != nil {
		return err
	}
	if r.Warm {
		if err := r.stillProved(ctx); err != nil {
			return err
		}
		if err := v.fromDelta(); err != nil {
			return err
		}
	}
	err := v.configuration(ctx)
	if err == nil {
		switch {
		case r.Warm && r.Verify != VerifyNone:
			// Read anew it was after the last block: the whole of it need not pass here.
			v.byCloud()
			v.find(RuleWarmProof, ovf.Info, r.Name, "its disks were read anew by its own cloud after the last block was written, and did not pass here")
			v.findTold()
		case r.Verify == VerifyFull:
			err = v.full(ctx)
		case r.Verify == VerifyDigest:
			v.byCloud()
		}
	}
	v.conclude()
	if v.notes.Unprovable == "" && r.Verify != VerifyNone && err == nil && len(v.wrong) > 0 {
		err = &Error{Step: StepVerify, Side: Destination, Object: in.System, Class: ClassIntegrity,
			Err: fmt.Errorf("%w: %s", ErrMismatch, strings.Join(v.wrong, "; "))}
	}
	if err != nil {
		return also(at(StepVerify, Destination, r.Name, err), r.note(ctx, StepVerify, v.notes))
	}
	return r.end(ctx, StepVerify, journal.Ended, v.notes)
}

// fromDelta takes the source's digests from when its machines were at rest.
func (v *verification) fromDelta() error {
	var n deltaNotes
	if err := v.run.notes(StepDelta, &n); err != nil {
		return err
	}
	v.source, v.told = map[string]diskNote{}, map[string]int64{}
	for id, d := range n.Disks {
		if d.Tracked {
			v.told[id] = d.Told
		}
		v.source[id] = diskNote{Digest: d.Digest, Size: d.Size, Blank: d.Blank}
	}
	return nil
}

// findTold tells of disks for which the source's host was believed.
func (v *verification) findTold() {
	for _, id := range slices.Sorted(maps.Keys(v.told)) {
		v.find(RuleWarmTold, ovf.Info, "disk "+id, fmt.Sprintf("its host said that %d blocks of 1 MiB may have changed since it was copied: no others were read when it was at rest; --verify full reads all", v.told[id]))
	}
}

// verification compares two Systems.
type verification struct {
	*run
	system string // at the destination
	source map[string]diskNote
	told   map[string]int64 // blocks of those that its host tracks
	shape  *Shape           // of the destination
	notes  verifyNotes
	found  map[string]relay.DiskDigest
	wrong  []string
}

func (v *verification) find(rule string, severity ovf.Severity, object, message string) {
	v.notes.Findings = append(v.notes.Findings, ovf.Finding{ID: rule, Severity: severity, Object: object, Message: message})
}

// configuration compares the resources attribute by attribute.
func (v *verification) configuration(ctx context.Context) error {
	var err error
	if v.shape, err = v.destinationShape(ctx); err != nil {
		return err
	}
	want := expected{mapped: v.mapped, mac: v.MAC}
	if a := v.Assembly; a != nil {
		want.larger, want.noMACs = true, !a.MACs
	}
	v.notes.Configuration = compareShapes(v.Shape, v.shape, want)
	for _, d := range unequal(v.notes.Configuration) {
		severity := ovf.Error
		if v.Verify == VerifyNone {
			severity = ovf.Warning
		}
		v.find(RuleConfig, severity, d.Object, d.String())
		v.wrong = append(v.wrong, d.String())
	}
	return nil
}

// byCloud compares with the digests that the destination's cloud gives.
func (v *verification) byCloud() {
	v.found = map[string]relay.DiskDigest{}
	for id, d := range v.source {
		there, ok := v.shape.disk(id)
		if ok && d.Blank && there.Digest == "" {
			// The cloud made it without content, so there is none to digest.
			v.found[id] = relay.Blank(id, max(d.Size, there.Capacity*1000), d.Size)
		}
		if !ok || there.Digest == "" {
			continue
		}
		if digest, err := disk.ParseDigest(there.Digest, d.Size); err == nil {
			v.found[id] = relay.DiskDigest{ID: id, Digest: digest, Size: d.Size, Rest: true}
		}
	}
}

// full exports the destination and reads every disk anew.
func (v *verification) full(ctx context.Context) error {
	if v.Via == ViaResources {
		return v.byImages(ctx)
	}
	acc, err := exportSystem(ctx, v.dst.Provider, v.system, &cimi.Action{Action: cimi.ActionExport}, nil)
	if err != nil {
		return v.unprovable(err)
	}
	content, err := v.open(ctx, v.dst, acc.Location)
	if err != nil {
		return v.unprovable(err)
	}
	defer content.Close()
	sizes := map[string]int64{}
	for id, d := range v.source {
		sizes[id] = d.Size
	}
	v.found, _, err = relay.Digests(ctx, content, v.Name, relay.DigestOptions{Sizes: sizes, Manifest: manifest.Ignore, Progress: func(disk string, done, total int64) {
		v.feed.emit(Event{Run: v.id, System: v.System, Disk: disk, Phase: string(StepVerify), Done: done, Total: total})
	}})
	v.notes.BytesAtDest = max(content.Size(), 0)
	if err != nil && ClassOf(err) == ClassOther && ctx.Err() == nil {
		return &Error{Step: StepVerify, Side: Destination, Object: v.Name, Class: ClassTransfer, Err: err}
	}
	return err
}

// unprovable tells a destination that refuses to be read from one that cannot
// be reached now.
func (v *verification) unprovable(err error) error {
	return v.unprovableBy("gives no export to read", err)
}

func (v *verification) unprovableBy(what string, err error) error {
	var cloud *cimi.Error
	var job *cimi.JobError
	switch {
	case ClassOf(err) == ClassIntegrity:
		// It cannot read what it was given: that is a proof, of the contrary.
		return &Error{Step: StepVerify, Side: Destination, Object: v.Name, Class: ClassIntegrity, Err: fmt.Errorf("%w: %w", ErrMismatch, err)}
	case errors.As(err, &job):
	case errors.As(err, &cloud) && cloud.Status >= 400 && cloud.Status < 500 && !cimi.IsUnauthorized(err):
	case cimi.IsUnsupported(err):
	default:
		return err
	}
	v.notes.Unprovable = "the destination " + what + ": " + err.Error()
	return nil
}

// conclude lists both digests of every disk.
func (v *verification) conclude() {
	for _, id := range slices.Sorted(maps.Keys(v.source)) {
		src := v.source[id]
		d := DiskReport{Name: id, SourceDigest: src.Digest, Size: src.Size}
		got, ok := v.found[id]
		switch {
		case v.Verify == VerifyNone:
		case !ok && v.notes.Unprovable == "" && v.Verify == VerifyFull:
			v.wrong = append(v.wrong, fmt.Sprintf("disk %s is not at the destination", id))
		case !ok && v.notes.Unprovable == "":
			v.notes.Unprovable = fmt.Sprintf("the destination's cloud gives no digest of disk %s; --verify full reads it", id)
		case !ok:
		default:
			d.DestinationDigest = got.Digest.String()
			d.Verified = d.DestinationDigest == d.SourceDigest && got.Rest
			if !d.Verified {
				v.wrong = append(v.wrong, v.mismatch(id, src, got))
			} else if got.Size > src.Size {
				v.find(RuleSize, ovf.Info, "disk "+id, fmt.Sprintf("is %d bytes at the destination, %d at the source; the rest is zero", got.Size, src.Size))
			}
		}
		if !d.Verified && v.Verify != VerifyNone {
			v.find(RuleVerification, ovf.Error, "disk "+id, "is not verified")
		}
		v.notes.Disks = append(v.notes.Disks, d)
	}
	if n := len(v.Shape.Disks) - len(v.source); n > 0 && v.notes.Unprovable == "" && v.Verify != VerifyNone {
		v.notes.Unprovable = fmt.Sprintf("nothing is known of the content of %d of %d disks at the source", n, len(v.Shape.Disks))
	}
	v.notes.Verified = v.Verify != VerifyNone && len(v.wrong) == 0 && v.notes.Unprovable == ""
}

func (v *verification) mismatch(id string, src diskNote, got relay.DiskDigest) string {
	switch {
	case got.Size < src.Size:
		return fmt.Sprintf("disk %s has %d bytes, at the source it has %d", id, got.Size, src.Size)
	case !got.Rest && got.Digest.String() == src.Digest:
		return fmt.Sprintf("disk %s: behind its %d bytes it is not zero", id, src.Size)
	}
	return fmt.Sprintf("disk %s: content digest is %s, at the source it is %s", id, got.Digest, src.Digest)
}
