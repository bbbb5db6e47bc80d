package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// A warm migration copies the disks while the machines run, from a snapshot,
// stops them, and sends what differs by then. The steps are those of others,
// in another order: export (of the snapshot), transfer, quiesce, delta, verify.

// WarmPlan is how long the machines are at rest, of what is known beforehand:
// both sides read every disk anew, and the destination once more to prove what
// it has. What has changed by then comes to it.
type WarmPlan struct {
	HashBytesPerSecond int64  `json:"hashBytesPerSecond"`
	HashSeconds        int64  `json:"hashSeconds"`
	Basis              string `json:"basis"`
	// Tracked: the source's host keeps track of what is written, and is believed:
	// nothing is hashed but what has changed.
	Tracked bool `json:"tracked,omitempty"`
}

// planWarm looks whether both clouds offer what a warm migration takes.
func (p *Plan) planWarm(ctx context.Context, s *cimi.System) error {
	if !p.opts.Warm {
		return nil
	}
	cold := "leave --warm out: the machines are stopped for the whole of the move"
	if p.opts.Quiesce == QuiesceRefuse {
		p.find(RuleWarmSource, ovf.Error, p.System, "what has changed is sent when its machines are at rest, and they must not be stopped", "--quiesce graceful or force")
	}
	if p.Via != ViaRelay && p.Via != ViaDirect {
		p.find(RuleWarmSource, ovf.Error, string(p.Via), "on this way nothing is sent after the copy", "--via relay or direct; or "+cold)
	}
	if s.Operation(cimi.RelExportLive) == nil {
		p.find(RuleWarmSource, ovf.Error, p.System, "the source exports no machines that run: it offers no snapshots of them (no operation "+cimi.RelExportLive+")", cold)
	}
	source, err := readTarget(ctx, p.opts.Source)
	if err != nil {
		return at(StepPlan, Source, p.opts.Source.Name, err)
	}
	if !source.offers("Volume", cimi.RelBlocks) {
		p.find(RuleWarmSource, ovf.Error, p.opts.Source.Name, "the source gives no sums of the blocks of its disks", cold)
	}
	for _, rel := range []string{cimi.RelBlocks, cimi.RelDelta, cimi.RelProve} {
		if !p.target.offers("Volume", rel) {
			p.find(RuleWarmTarget, ovf.Error, p.opts.Destination.Name, "the destination takes no parts of disks (no operation "+rel+" of a Volume)", cold)
			break
		}
	}
	for _, m := range p.shape.Machines {
		for _, id := range m.Attached {
			if !slices.ContainsFunc(p.shape.Disks, func(d DiskShape) bool { return d.ID == id }) {
				p.find(RuleWarmSource, ovf.Error, "machine "+m.Name, "uses a disk of another System ("+id+"): nothing tells what has changed of it", cold)
			}
		}
	}
	return p.planOwnDisks(ctx, RuleWarmSource, "nothing tells what has changed of it", cold)
}

// offers tells whether resources of a type have an operation, by metadata.
func (t target) offers(typeName, rel string) bool {
	m := t.metadata[typeName]
	return m != nil && slices.ContainsFunc(m.Actions, func(a cimi.ActionMetadata) bool { return a.URI == rel })
}

// planDowntime says how long the machines are at rest, by the rate at which
// earlier runs hashed, else by that of this machine.
func (p *Plan) planDowntime() {
	if !p.opts.Warm {
		return
	}
	w := &WarmPlan{Basis: "SHA-256 on this machine; no earlier warm run between these endpoints was measured"}
	if p.opts.MeasuredHash != nil {
		if rate, ok := p.opts.MeasuredHash(p.Source, p.Destination); ok && rate.BytesPerSecond > 0 {
			w.HashBytesPerSecond = rate.BytesPerSecond
			w.Basis = fmt.Sprintf("measured over %d earlier warm runs between these endpoints", rate.Runs)
			if rate.Runs == 1 {
				w.Basis = "measured over the latest warm run between these endpoints"
			}
		}
	}
	if w.HashBytesPerSecond == 0 {
		w.HashBytesPerSecond = ownHashRate() / 2 // to compare, and to prove
	}
	w.HashSeconds = (p.Bytes + w.HashBytesPerSecond - 1) / w.HashBytesPerSecond
	p.Warm = w
	tracked := len(p.shape.Disks) > 0 && !slices.ContainsFunc(p.shape.Disks, func(d DiskShape) bool { return !d.tracked })
	if tracked && p.opts.Verify != VerifyFull && p.target.capable("Volume", cimi.CapabilityChangedOnly) {
		*w = WarmPlan{Tracked: true, Basis: "the source's host keeps track of what is written to its disks, and is believed; --verify full hashes them"}
		p.find(RuleWarm, ovf.Info, p.System, "is at rest for as long as takes what has changed by then; where the host does not know it any more, all disks are hashed ("+w.Basis+")", "")
		return
	}
	hint := ""
	if tracked && p.opts.Verify == VerifyFull {
		hint = "the source's host keeps track of what is written: --verify digest believes it, and hashes only that"
	}
	p.find(RuleWarm, ovf.Info, p.System, fmt.Sprintf("is at rest for about %s, to hash its disks, and for as long as takes what has changed by then (%s)",
		time.Duration(w.HashSeconds)*time.Second, w.Basis), hint)
}

// ownHashRate is how many bytes a second one processor of this machine hashes.
func ownHashRate() int64 {
	const enough = 20 * time.Millisecond
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i)
	}
	began, n := time.Now(), int64(0)
	for time.Since(began) < enough {
		sha256.Sum256(b)
		n += int64(len(b))
	}
	return max(1, int64(float64(n)/time.Since(began).Seconds()))
}

// exportAction is how the source is asked for the package.
func (r *run) exportAction() *cimi.Action {
	if !r.Warm {
		return &cimi.Action{Action: cimi.ActionExport}
	}
	a := &cimi.Action{Action: cimi.RelExportLive}
	if !r.trusts() {
		a.Properties = map[string]string{cimi.ExportUntracked: "true"}
	}
	return a
}

// beginAgain gives up what was copied from a snapshot that is no more: what
// comes from another one is not added to it.
func (r *run) beginAgain(ctx context.Context, n exportNotes) error {
	if r.begun(StepImport) {
		var in importNotes
		if err := r.notes(StepImport, &in); err != nil {
			return err
		}
		if err := r.abandon(ctx, &in); err != nil {
			return at(StepImport, Destination, r.dst.Name, err)
		}
		if err := r.end(ctx, StepImport, journal.Dropped, in); err != nil {
			return err
		}
	}
	if err := r.engine.Journal.DropBlocks(ctx, r.id, ""); err != nil {
		return err
	}
	return r.note(ctx, StepExport, n)
}

// closeSnapshot is leaveSnapshot, but where the source would not know any more then
// what has changed since: that is still to be asked.
func (r *run) closeSnapshot(ctx context.Context) {
	var n exportNotes
	if r.notes(StepExport, &n) != nil || !n.Held {
		_ = r.leaveSnapshot(ctx)
		return
	}
	r.closeContent()
}

func (r *run) closeContent() {
	if r.content != nil {
		r.content.Close()
		r.content = nil
	}
}

// leaveSnapshot has the source remove the snapshot, which is not read any more.
// It goes by itself, later, where that fails.
func (r *run) leaveSnapshot(ctx context.Context) error {
	var n exportNotes
	if !r.Warm || r.notes(StepExport, &n) != nil || n.Location == "" || n.Left {
		return nil
	}
	r.closeContent()
	// One that is being made still would be there afterwards.
	if err := stopJob(ctx, r.src.Provider, n.Job); err != nil {
		return err
	}
	_, systems, err := systemsOf(ctx, r.src)
	if err != nil {
		return err
	}
	a := &cimi.Action{Action: cimi.RelForget, Common: cimi.Common{Properties: map[string]string{cimi.ExportLocation: n.Location}}}
	if _, err := r.src.Provider.Invoke(ctx, systems, a); err != nil && !cimi.IsUnsupported(err) && !cimi.IsNotFound(err) {
		return err
	}
	n.Left = true
	return r.note(ctx, StepExport, n)
}

// leftSnapshot says whether the steps of a run have left a snapshot at its source,
// empty for no.
func leftSnapshot(steps []journal.Step) string {
	for i := len(steps) - 1; i >= 0; i-- {
		if Step(steps[i].Name) != StepExport {
			continue
		}
		var n exportNotes
		if len(steps[i].Notes) > 0 && json.Unmarshal(steps[i].Notes, &n) == nil && n.Live && n.Location != "" && !n.Left {
			return "snapshot at the source"
		}
		break
	}
	return ""
}

// tidySnapshot leaves a snapshot that was still needed when the machines were at
// rest. What resists is told of.
func (r *run) tidySnapshot(ctx context.Context) {
	var n exportNotes
	if r.notes(StepExport, &n) != nil || !n.Held {
		return
	}
	limited, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	if err := r.leaveSnapshot(limited); err != nil {
		r.findings = append(r.findings, snapshotFinding(r.System, err))
	}
}

func snapshotFinding(system string, err error) ovf.Finding {
	return ovf.Finding{ID: RuleLeft, Severity: ovf.Warning, Object: system, Message: "its snapshot could not be removed at the source: " + err.Error(),
		Hint: "cimimove gc tries again; the source's cloud removes it by itself when it has not been read for long"}
}

// unchanged refuses to go on when the configuration of the source is another
// than that which was copied: nothing but the content of disks is sent again.
func (r *run) unchanged(ctx context.Context) (*Shape, error) {
	s, err := getSystem(ctx, r.src, Source, r.SystemID)
	if cimi.IsNotFound(err) {
		return nil, refuse(StepDelta, Source, r.System, fmt.Errorf("%w: %w", ErrSourceChanged, err), "")
	}
	if err != nil {
		return nil, err
	}
	now, err := readShape(ctx, r.src.Provider, s)
	if err != nil {
		return nil, at(StepDelta, Source, r.System, err)
	}
	var wrong []string
	for _, c := range compareShapes(r.Shape, now, expected{mapped: func(string) bool { return false }, mac: "keep"}) {
		// A disk that has grown counts as equal elsewhere.
		if !c.Equal || c.Note != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s was %s, is %s", c.Object, c.Attribute, orNone(c.Source), orNone(c.Destination)))
		}
	}
	if len(wrong) > 0 {
		return nil, refuse(StepDelta, Source, r.System, fmt.Errorf("%w: %s", ErrSourceChanged, strings.Join(wrong, "; ")), "begin a new run")
	}
	return now, nil
}

// WarmReport is what a warm migration moved while the machines ran, and when
// they were at rest.
type WarmReport struct {
	// BulkBytes were read of the snapshot; 0 where nothing passed here.
	BulkBytes int64 `json:"bulkBytes"`
	// DeltaBytes are all that passed after the machines were stopped: the sums
	// of both sides, what was read of the source, what was sent.
	DeltaBytes int64 `json:"deltaBytes"`
	// Blocks of 1 MiB were compared, Differing were not the same.
	Blocks    int64 `json:"blocks"`
	Differing int64 `json:"differing"`
	// Tracked is of how many disks the source's cloud told what had changed: Told
	// blocks of 1 MiB. Of these no other was read.
	Tracked int   `json:"trackedDisks,omitempty"`
	Told    int64 `json:"toldBlocks,omitempty"`
	// Changed is how many bytes of content were replaced.
	Changed int64 `json:"changedBytes"`
	// Downtime is from the first machine that was stopped to the start of its
	// copy, or to its proof where it is not started; 0 where none ran.
	Downtime float64 `json:"downtimeSeconds"`
	// HashBytesPerSecond is how fast the disks were compared and proved.
	HashBytesPerSecond int64 `json:"hashBytesPerSecond,omitempty"`
}

// warmBytes adds the second phase to a report.
func (r *run) warmBytes(rep *Report) error {
	if !r.Warm {
		return nil
	}
	var tn transferNotes
	var dn deltaNotes
	var qn quiesceNotes
	for s, into := range map[Step]any{StepTransfer: &tn, StepDelta: &dn, StepQuiesce: &qn} {
		if err := r.notes(s, into); err != nil {
			return err
		}
	}
	w := &WarmReport{BulkBytes: tn.Read}
	rep.Warm = w
	var hashed int64
	var took float64
	for _, d := range dn.Disks {
		w.DeltaBytes += d.Read + d.Compared + d.Written
		w.Blocks += d.Blocks
		w.Differing += d.Differing
		w.Changed += d.Changed
		rep.Bytes.Read += d.Read
		rep.Bytes.Written += d.Written
		rep.Bytes.Logical += d.Size
		if d.Tracked {
			w.Tracked++
			w.Told += d.Told
			continue
		}
		hashed += d.Size
		took += d.HashSeconds
	}
	if took > 0 {
		w.HashBytesPerSecond = int64(float64(hashed) / took)
	}
	end := r.steps[StepStart]
	if end == nil || end.Ended.IsZero() {
		end = r.steps[StepVerify]
	}
	if q := r.steps[StepQuiesce]; q != nil && len(qn.Stopped) > 0 && end != nil && !end.Ended.IsZero() {
		w.Downtime = end.Ended.Sub(q.Started).Seconds()
	}
	return nil
}
