package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// Report is what a run did and what was proved: the document of the migrate
// command.
type Report struct {
	Run           string       `json:"run"`
	Source        string       `json:"source"`
	Destination   string       `json:"destination"`
	System        string       `json:"system"`
	Name          string       `json:"name,omitempty"` // at the destination
	DestinationID string       `json:"destinationId,omitempty"`
	State         string       `json:"state"`
	Via           string       `json:"via"`
	Verify        Verify       `json:"verify,omitempty"`
	Steps         []StepReport `json:"steps"`
	Bytes         Bytes        `json:"bytes"`
	// Warm is there when the disks were copied while the machines ran.
	Warm  *WarmReport  `json:"warm,omitempty"`
	Disks []DiskReport `json:"disks"`
	// Configuration is every attribute that was compared, with both values.
	Configuration []Comparison  `json:"configuration,omitempty"`
	Findings      []ovf.Finding `json:"findings"`
	Verified      bool          `json:"verified"`
	// Signature is there when a key was given (Engine.Signer).
	Signature *Signature `json:"signature,omitempty"`
}

// StepReport is when a step was taken; Ended is absent when it did not end.
type StepReport struct {
	Name    string     `json:"name"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	State   string     `json:"state"`
}

// Bytes of a run: Read from the source, Written to the destination, Logical
// content of the disks.
type Bytes struct {
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
	Logical int64 `json:"logical"`
}

// DiskReport has the content digests of a disk on both sides; a side that was
// not read has none. Size is how many bytes they cover.
type DiskReport struct {
	Name              string `json:"name"`
	SourceDigest      string `json:"sourceDigest"`
	DestinationDigest string `json:"destinationDigest"`
	Verified          bool   `json:"verified"`
	Size              int64  `json:"size"`
}

// report makes the report of a run as its journal has it; err is how the steps
// in this process ended.
func (r *run) report(ctx context.Context, err error) (*Report, error) {
	rep := &Report{Run: r.id, Source: r.src.Name, Destination: r.dst.Name, System: r.System, Name: r.Name, Via: string(r.Via),
		Verify: r.Verify, Steps: []StepReport{}, Disks: []DiskReport{}, Findings: []ovf.Finding{}}
	steps, stepsErr := r.engine.Journal.Steps(ctx, r.id)
	if stepsErr != nil {
		return nil, stepsErr
	}
	for _, s := range steps {
		sr := StepReport{Name: s.Name, Started: s.Started, State: string(s.State)}
		if !s.Ended.IsZero() {
			ended := s.Ended
			sr.Ended = &ended
		}
		rep.Steps = append(rep.Steps, sr)
	}
	var (
		in importNotes
		tn transferNotes
		vn verifyNotes
	)
	if err := errors.Join(r.notes(StepImport, &in), r.notes(StepTransfer, &tn), r.notes(StepVerify, &vn)); err != nil {
		return nil, err
	}
	if r.done(StepImport) {
		rep.DestinationID = in.System
		if r.Assembly.apart() {
			rep.DestinationID = strings.Join(r.partIDs(), ", ")
		}
	}
	rep.Bytes = Bytes{Read: tn.Read, Written: tn.Written}
	for _, d := range tn.Disks {
		rep.Bytes.Logical += d.Size
	}
	if err := r.warmBytes(rep); err != nil {
		return nil, err
	}
	rep.Disks = append(rep.Disks, vn.Disks...)
	rep.Configuration = vn.Configuration
	rep.Findings = append(append(rep.Findings, r.findings...), vn.Findings...)
	rep.Verified = vn.Verified && r.done(StepVerify)
	rep.State = string(r.stateAfter(err, rep.Verified))
	return rep, nil
}

func (r *run) stateAfter(err error, verified bool) journal.State {
	switch class := ClassOf(err); {
	case err == nil && r.halted:
		return journal.Staged
	case class == ClassInterrupt, class == ClassTransfer:
		return journal.Interrupted
	case class == ClassUnverified:
		return journal.Done
	case err != nil:
		return journal.Failed
	case verified:
		return journal.Verified
	}
	return journal.Done
}

func (rep *Report) encode() json.RawMessage {
	b, err := json.Marshal(rep)
	if err != nil {
		panic("migrate: a report is plain data: " + err.Error())
	}
	return b
}

func decodeReport(row *journal.Run) (*Report, error) {
	rep := &Report{}
	if err := json.Unmarshal(row.Report, rep); err != nil {
		return nil, fmt.Errorf("run %s: its report cannot be read: %w", row.ID, err)
	}
	return rep, nil
}

// Text writes the report as people read it.
func (rep *Report) Text(w io.Writer) error {
	var b strings.Builder
	verdict := rep.State
	if rep.Verified {
		verdict = "verified"
	} else if rep.State == string(journal.Done) {
		verdict = "done, NOT verified"
	}
	fmt.Fprintf(&b, "%s: %s\n", rep.System, verdict)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "run\t%s\n", rep.Run)
	fmt.Fprintf(t, "from\t%s\n", rep.Source)
	fmt.Fprintf(t, "to\t%s\n", rep.Destination)
	if rep.Name != rep.System && rep.Name != "" {
		fmt.Fprintf(t, "as\t%s\n", rep.Name)
	}
	if rep.DestinationID != "" {
		fmt.Fprintf(t, "id\t%s\n", rep.DestinationID)
	}
	fmt.Fprintf(t, "via\t%s\n", rep.Via)
	fmt.Fprintf(t, "bytes\tread %d, written %d, of disks %d\n", rep.Bytes.Read, rep.Bytes.Written, rep.Bytes.Logical)
	if w := rep.Warm; w != nil {
		fmt.Fprintf(t, "while it ran\tread %d\n", w.BulkBytes)
		fmt.Fprintf(t, "at rest\tpassed %d, %d of %d blocks differed, %d bytes replaced\n", w.DeltaBytes, w.Differing, w.Blocks, w.Changed)
		if w.Tracked > 0 {
			fmt.Fprintf(t, "tracked\t%d disks, of which %d blocks may have changed, the source's host says; no others were read\n", w.Tracked, w.Told)
		}
		fmt.Fprintf(t, "downtime\t%s\n", time.Duration(w.Downtime*float64(time.Second)).Round(time.Millisecond))
	}
	t.Flush()
	if len(rep.Disks) > 0 {
		t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "\ndisk\tbytes\tcontent digest at the source\tat the destination\t\n")
		for _, d := range rep.Disks {
			verdict := "NOT verified"
			if d.Verified {
				verdict = "equal"
			}
			dst := d.DestinationDigest
			def(&dst, "(not read)")
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", d.Name, d.Size, short(d.SourceDigest), short(dst), verdict)
		}
		t.Flush()
	}
	if rep.Signature != nil {
		fmt.Fprintf(&b, "signed by the key %s\n", rep.Signature.Key)
	}
	for _, f := range rep.Findings {
		fmt.Fprintf(&b, "%s %s: %s: %s\n", f.Severity, f.ID, f.Object, f.Message)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// short is enough of a digest for people; JSON has the whole.
func short(digest string) string {
	if len(digest) == 64 {
		return digest[:16] + "…"
	}
	return digest
}

// Failure is an error in result documents.
type Failure struct {
	Code    int    `json:"code"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Side    string `json:"side,omitempty"`
	Object  string `json:"object,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// FailureOf describes an error; nil for nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	class := ClassOf(err)
	f := &Failure{Code: int(class), Class: class.String(), Message: err.Error()}
	var e *Error
	if errors.As(err, &e) {
		f.Side, f.Object, f.Hint = string(e.Side), e.Object, e.Advice
	}
	return f
}

// inner is the message without the side and the object that it begins with.
func (f *Failure) inner() string {
	m := f.Message
	for _, s := range []string{f.Side, f.Object} {
		m = strings.TrimPrefix(m, s+": ")
	}
	return m
}

// Encode gives it as JSON.
func (f *Failure) Encode() json.RawMessage {
	b, err := json.Marshal(f)
	if err != nil {
		panic("migrate: a failure is plain data: " + err.Error())
	}
	return b
}
