package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// BatchOptions are those of RunBatch.
type BatchOptions struct {
	// Parallel is how many Systems move at a time; 0 takes the runbook's limit,
	// else 2.
	Parallel int
	// Allow, Deny and Strict are as in Options.
	Allow, Deny []string
	Strict      bool
}

// defaultParallel Systems keep both sides of a line busy.
const defaultParallel = 2

// BatchReport is the document of the run command.
type BatchReport struct {
	Run      string       `json:"run"`
	Items    []ItemReport `json:"items"`
	Verified int          `json:"verified"`
	Failed   int          `json:"failed"`
	Skipped  int          `json:"skipped"`
}

// ItemReport is a System of a runbook. State is that of its run; pending when
// it was not begun.
type ItemReport struct {
	System        string   `json:"system"`
	Run           string   `json:"run,omitempty"`
	DestinationID string   `json:"destinationId"`
	State         string   `json:"state"`
	Error         *Failure `json:"error,omitempty"`
}

const pending journal.State = "pending"

// batchID names a runbook: the same each time it is run.
func batchID(rb *runbook.Runbook) string {
	sum := sha256.Sum256([]byte(rb.Name))
	return hex.EncodeToString(sum[:6])
}

// RunBatch moves the Systems of a runbook, some at a time. It goes on after an
// item fails, unless the runbook says stop; then, and when anything failed, the
// error is an *Error of class 9. Run again, it takes up what is unfinished:
// interrupted items are resumed, failed ones begun anew, the others left alone.
func (e *Engine) RunBatch(ctx context.Context, rb *runbook.Runbook, o BatchOptions) (*BatchReport, error) {
	id := batchID(rb)
	lock, err := e.Journal.Lock("batch\x00" + id)
	if err != nil {
		return nil, &Error{Class: ClassRefused, Object: rb.Name, Err: err}
	}
	defer lock.Unlock()
	known, err := e.Journal.Items(ctx, id)
	if err != nil {
		return nil, err
	}
	b := &batch{engine: e, rb: rb, id: id, opts: o, dialed: map[string]*dialed{}}
	defer b.close()
	rows := map[string]journal.Item{}
	for _, row := range known {
		rows[row.Key] = row
	}
	for i, item := range rb.Items {
		row, ok := rows[item.Key()]
		if !ok {
			row = journal.Item{Batch: id, Key: item.Key(), State: pending}
		}
		row.Seq, row.System = i, item.System
		b.rows = append(b.rows, row)
	}
	err = b.run(ctx)
	rep := b.report()
	switch {
	case err != nil:
		return rep, err
	case ctx.Err() != nil:
		return rep, &Error{Class: ClassInterrupt, Object: rb.Name, Err: context.Cause(ctx), Advice: "the same command goes on"}
	case rep.Failed > 0:
		return rep, &Error{Class: ClassBatch, Object: rb.Name, Err: fmt.Errorf("%d of %d systems failed", rep.Failed, len(rep.Items)),
			Advice: "the same command tries what is unfinished again"}
	}
	return rep, nil
}

// BatchStatus reads how far a runbook is, also while another process runs it.
func (e *Engine) BatchStatus(ctx context.Context, rb *runbook.Runbook) (*BatchReport, error) {
	rows, err := e.Journal.Items(ctx, batchID(rb))
	if err != nil {
		return nil, err
	}
	return reportItems(batchID(rb), rows), nil
}

type batch struct {
	engine *Engine
	rb     *runbook.Runbook
	id     string
	opts   BatchOptions
	failed atomic.Bool // something failed, and the runbook says stop

	mu     sync.Mutex
	rows   []journal.Item
	dialed map[string]*dialed
}

// dialed is an endpoint that all items share.
type dialed struct {
	once sync.Once
	e    Endpoint
	err  error
}

func (b *batch) run(ctx context.Context) error {
	parallel := b.opts.Parallel
	if parallel <= 0 {
		parallel = b.rb.Limits.Systems
	}
	if parallel <= 0 {
		parallel = defaultParallel
	}
	// A failure of the journal ends the batch; failures of items do not.
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range b.rb.Items {
		if ctx.Err() != nil || b.failed.Load() {
			break
		}
		if b.row(i).State.Ended() {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil || b.failed.Load() {
				return nil
			}
			return b.item(ctx, i)
		})
	}
	return g.Wait()
}

func (b *batch) row(i int) journal.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows[i]
}

// item moves one System and records how that ended. Its error is one of the
// journal; those of the move are recorded.
func (b *batch) item(ctx context.Context, i int) error {
	row := b.row(i)
	rep, err := b.move(ctx, b.rb.Items[i], &row)
	switch {
	case rep != nil:
		row.State, row.DestinationID = journal.State(rep.State), rep.DestinationID
	case ClassOf(err) == ClassInterrupt && row.Run == "":
		row.State = pending
	case err != nil:
		row.State = journal.Failed
	}
	row.Error = json.RawMessage("null")
	if err != nil {
		row.Error = failureOf(err).encode()
		if b.rb.OnFailure == runbook.Stop {
			b.failed.Store(true)
		}
	}
	b.mu.Lock()
	b.rows[i] = row
	b.mu.Unlock()
	return b.engine.Journal.SetItem(ctx, row)
}

func (b *batch) move(ctx context.Context, item runbook.Item, row *journal.Item) (*Report, error) {
	engine := *b.engine
	engine.Dial = b.dial
	if row.Run != "" {
		was, err := engine.Journal.Run(ctx, row.Run)
		if err != nil && !errors.Is(err, journal.ErrNoRun) {
			return nil, err
		}
		if err == nil && (was.State.Ended() && was.State != journal.RolledBack || was.State == journal.Running || was.State == journal.Interrupted) {
			values, err := propertiesOf(ctx, item)
			if err != nil {
				return nil, err
			}
			return engine.Resume(ctx, row.Run, ResumeOptions{Properties: values})
		}
	}
	src, err := b.dial(ctx, b.rb.EndpointURL(item.Source), Source)
	if err != nil {
		return nil, at(StepDiscover, Source, item.Source, err)
	}
	dst, err := b.dial(ctx, b.rb.EndpointURL(item.Destination), Destination)
	if err != nil {
		return nil, at(StepDiscover, Destination, item.Destination, err)
	}
	o, err := itemOptions(ctx, item, src, dst, b.opts, engine.Relay)
	if err != nil {
		return nil, err
	}
	plan, err := NewPlan(ctx, o)
	if err != nil {
		return nil, err
	}
	row.State = journal.Running
	return engine.startItem(ctx, plan, row)
}

func itemOptions(ctx context.Context, item runbook.Item, src, dst Endpoint, o BatchOptions, relay RelayOptions) (Options, error) {
	values, err := propertiesOf(ctx, item)
	return Options{Source: src, Destination: dst, System: item.System, Name: item.Name, Nets: item.Net, Storage: item.Storage,
		Properties: values, MAC: item.MAC, Verify: Verify(item.Verify), Via: Via(item.Via), IfExists: IfExists(item.IfExists),
		OnFailure: OnFailure(item.OnFailure), PowerOn: item.PowerOn, Allow: o.Allow, Deny: o.Deny, Strict: o.Strict, Relay: relay}, err
}

// propertiesOf resolves the references among an item's properties.
func propertiesOf(ctx context.Context, item runbook.Item) (map[string]string, error) {
	if len(item.Properties) == 0 {
		return nil, nil
	}
	values := map[string]string{}
	for k, v := range item.Properties {
		text, err := v.Resolve(ctx)
		if err != nil {
			return nil, &Error{Step: StepPlan, Class: ClassUsage, Object: "property " + k, Err: err}
		}
		values[k] = text
	}
	return values, nil
}

// PlanItem plans one System of a runbook and writes nothing; see NewPlan. The
// Providers that it dials are closed again.
func (e *Engine) PlanItem(ctx context.Context, rb *runbook.Runbook, item runbook.Item, o BatchOptions) (*Plan, error) {
	src, err := e.Dial(ctx, rb.EndpointURL(item.Source), Source)
	if err != nil {
		return nil, at(StepDiscover, Source, item.Source, err)
	}
	defer src.Provider.Close()
	dst, err := e.Dial(ctx, rb.EndpointURL(item.Destination), Destination)
	if err != nil {
		return nil, at(StepDiscover, Destination, item.Destination, err)
	}
	defer dst.Provider.Close()
	opts, err := itemOptions(ctx, item, src, dst, o, e.Relay)
	if err != nil {
		return nil, err
	}
	return NewPlan(ctx, opts)
}

// dial opens each endpoint once for all items.
func (b *batch) dial(ctx context.Context, name string, side Side) (Endpoint, error) {
	b.mu.Lock()
	key := string(side) + " " + name
	d := b.dialed[key]
	if d == nil {
		d = &dialed{}
		b.dialed[key] = d
	}
	b.mu.Unlock()
	d.once.Do(func() {
		d.e, d.err = b.engine.Dial(context.WithoutCancel(ctx), name, side)
		d.e.shared = true
	})
	return d.e, d.err
}

func (b *batch) close() {
	for _, d := range b.dialed {
		if d.e.Provider != nil {
			d.e.Provider.Close()
		}
	}
}

func (b *batch) report() *BatchReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	return reportItems(b.id, b.rows)
}

func reportItems(id string, rows []journal.Item) *BatchReport {
	rep := &BatchReport{Run: id, Items: []ItemReport{}}
	for _, row := range rows {
		item := ItemReport{System: row.System, Run: row.Run, DestinationID: row.DestinationID, State: string(row.State)}
		if len(row.Error) > 0 {
			// What this package wrote; an item of another version has no error shown.
			_ = json.Unmarshal(row.Error, &item.Error)
		}
		switch {
		case row.State == journal.Verified:
			rep.Verified++
		case row.State == journal.Skipped:
			rep.Skipped++
		case row.State == journal.Failed, row.State == journal.Interrupted, item.Error != nil:
			rep.Failed++
		}
		rep.Items = append(rep.Items, item)
	}
	return rep
}

// Text writes the report as people read it.
func (rep *BatchReport) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SYSTEM\tSTATE\tRUN\tDESTINATION")
	for _, i := range rep.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", i.System, i.State, i.Run, i.DestinationID)
		if i.Error != nil {
			fmt.Fprintf(t, "  %s\n", i.Error.Message)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d verified, %d failed, %d skipped, of %d\n", rep.Verified, rep.Failed, rep.Skipped, len(rep.Items))
	return err
}
