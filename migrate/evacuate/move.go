package evacuate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// Item is one System of a runbook.
type Item = runbook.Item

// item moves one System and records how that ended. Its error is one of the
// journal; those of the move are recorded.
func (v *Evacuation) item(ctx context.Context, c *claimed) error {
	defer c.release()
	v.live.tell(c.row.System, "begun, attempt %d", c.row.Attempts)
	rep, err := v.move(ctx, c)
	v.live.done(c.row.System)
	if c.row.Run != "" {
		_ = v.engine.Journal.Show(context.WithoutCancel(ctx), c.row.Run, nil) // nobody looks at it any more
	}
	row := &c.row
	row.Ended = v.opts.Now()
	cause := context.Cause(ctx)
	failure := migrate.FailureOf(err)
	class := migrate.ClassOf(err)
	if full := (*journal.FullError)(nil); errors.As(err, &full) {
		return err // it is gone on with when there is room for the journal
	}
	if errors.Is(err, journal.ErrLost) {
		return nil // another worker has it, and records how it ends
	}
	switch {
	case errors.Is(cause, errCancelled) && (rep == nil || !rep.Verified):
		if failure = v.undo(ctx, c); failure == nil {
			row.State, failure = journal.Cancelled, migrate.FailureOf(errCancelled)
		} else {
			row.State = journal.Failed
		}
	case errors.Is(cause, errWindow) && err != nil:
		v.yield(ctx, c)
		row.State, row.Attempts, row.Ended = journal.Pending, 0, time.Time{}
	case class == migrate.ClassInterrupt || ctx.Err() != nil && err != nil:
		row.State, row.Ended = journal.Interrupted, time.Time{}
		if row.Run == "" {
			row.State = journal.Pending
		}
	case err == nil:
		row.State, row.DestinationID = journal.State(rep.State), rep.DestinationID
	case class == migrate.ClassUnverified:
		row.State = journal.Done
		if rep != nil {
			row.DestinationID = rep.DestinationID
		}
	case errors.Is(err, journal.ErrLocked) && v.engine.Journal.Shared():
		// A worker that lost this item still has its run: it is told of that
		// within a heartbeat, and gives it up. One that died took the run a moment
		// after the item, and keeps it as much longer. Nothing was tried.
		row.State, row.NotBefore, row.Ended, failure = journal.Interrupted, v.opts.Now().Add(lockedPause), time.Time{}, nil
		row.Attempts--
	case again(class) && row.Attempts <= c.item.Retries.Count:
		row.State, row.NotBefore = journal.Pending, v.opts.Now().Add(pause(c.item.Retries, row.Attempts))
	default:
		row.State = journal.Failed
	}
	row.Error = json.RawMessage("null")
	v.live.tell(row.System, "%s", row.State)
	if row.State == journal.Failed {
		advise(failure, v.id, row.System)
	}
	if failure != nil {
		row.Error = failure.Encode()
		v.live.tell(row.System, "%s", failure.Message)
	}
	if err := v.set(ctx, *row, -1); err != nil {
		if errors.Is(err, journal.ErrLost) {
			return nil
		}
		return err
	}
	switch row.State {
	case journal.Verified:
		v.notify(ctx, Notice{Event: "verified", System: row.System, DestinationID: row.DestinationID})
	case journal.Failed:
		v.notify(ctx, Notice{Event: "failed", System: row.System, Error: failure})
	}
	if row.Wish != "" || errors.Is(cause, errCancelled) {
		return v.engine.Journal.Wish(ctx, v.id, row.Key, "")
	}
	return nil
}

// again tells failures that may pass: of the transfer, and of the cloud.
func again(c migrate.Class) bool {
	return c == migrate.ClassTransfer || c == migrate.ClassRemote || c == migrate.ClassOther
}

// lockedPause is how long a run is left to the worker that still has it.
const lockedPause = 2 * time.Second

// maxPause bounds the doubling of the wait.
const maxPause = 30 * time.Minute

// pause is how long to wait before the retry after attempt n.
func pause(r runbook.Retries, n int) time.Duration {
	wait := time.Duration(r.Wait)
	if wait == 0 {
		wait = runbook.DefaultWait
	}
	for ; n > 1 && wait < maxPause; n-- {
		wait *= 2
	}
	return min(wait, maxPause)
}

// move begins the item's run, or takes up the one that was interrupted.
func (v *Evacuation) move(ctx context.Context, c *claimed) (*migrate.Report, error) {
	engine := v.bounded()
	listener := v.engine.Events
	engine.Events = func(e migrate.Event) {
		v.progress(e)
		v.show(e)
		if listener != nil {
			listener(e)
		}
	}
	values, err := v.properties(ctx, c.item)
	if err != nil {
		return nil, err
	}
	if c.row.Run != "" {
		was, err := engine.Journal.Run(ctx, c.row.Run)
		if err != nil && !errors.Is(err, journal.ErrNoRun) {
			return nil, err
		}
		if err == nil && (was.State.Ended() && was.State != journal.RolledBack || was.State == journal.Running || was.State == journal.Interrupted) {
			return engine.Resume(ctx, c.row.Run, migrate.ResumeOptions{Properties: values, Hooks: c.item.EngineHooks()})
		}
	}
	o, err := v.migration(ctx, c.item, values)
	if err != nil {
		return nil, err
	}
	plan, err := engine.Plan(ctx, o)
	if err != nil {
		return nil, err
	}
	c.row.Disks, c.row.Bytes, c.row.Name = len(plan.Disks), plan.Bytes, plan.Name
	return engine.StartItem(ctx, plan, &c.row)
}

// bounded is the engine with what all items of the runbook share.
func (v *Evacuation) bounded() *migrate.Engine {
	e := *v.engine
	e.Dial, e.Limits = v.clouds.dial, v.limits
	return &e
}

// migration makes the options of one item's migration.
func (v *Evacuation) migration(ctx context.Context, item Item, values map[string]string) (migrate.Options, error) {
	src, err := v.clouds.dial(ctx, v.rb.EndpointURL(item.Source), migrate.Source)
	if err != nil {
		return migrate.Options{}, sided(migrate.Source, item.Source, err)
	}
	dst, err := v.clouds.dial(ctx, v.rb.EndpointURL(item.Destination), migrate.Destination)
	if err != nil {
		return migrate.Options{}, sided(migrate.Destination, item.Destination, err)
	}
	return migrate.Options{
		Source: src, Destination: dst, System: item.System, Name: item.Name, Nets: item.Net, Storage: item.Storage, Controllers: item.Controllers,
		Properties: values, MAC: item.MAC, Verify: migrate.Verify(item.Verify), Via: migrate.Via(item.Via), Stage: item.Stage,
		IfExists: migrate.IfExists(item.IfExists), OnFailure: cmp.Or(migrate.OnFailure(item.OnFailure), v.opts.OnFailure), PowerOn: item.PowerOn,
		Quiesce: quiesce(item.Cutover.Stop), SourceAfter: migrate.SourceAfter(item.Cutover.Source), AcceptEULAs: v.opts.AcceptEULAs,
		StopTimeout: time.Duration(item.Cutover.Deadline), Warm: item.Warm, Hooks: item.EngineHooks(),
		Allow: v.opts.Allow, Deny: v.opts.Deny, Strict: v.opts.Strict, Relay: v.engine.Relay,
		ParallelDisks: v.opts.ParallelDisks,
	}, nil
}

// quiesce is what the engine calls a way to come to rest: never is refuse.
func quiesce(stop string) migrate.Quiesce {
	if stop == "never" {
		return migrate.QuiesceRefuse
	}
	return migrate.Quiesce(stop)
}

// sided keeps an error that says where it arose, and adds it to others.
func sided(side migrate.Side, name string, err error) error {
	var own *migrate.Error
	if errors.As(err, &own) {
		return err
	}
	return &migrate.Error{Step: migrate.StepDiscover, Side: side, Object: name, Err: err}
}

// properties resolves the references among an item's properties.
func (v *Evacuation) properties(ctx context.Context, item Item) (map[string]string, error) {
	values := map[string]string{}
	for k, ref := range item.Properties {
		text, err := ref.Resolve(ctx)
		if err != nil {
			return nil, &migrate.Error{Step: migrate.StepPlan, Class: migrate.ClassUsage, Object: "property " + k, Err: err}
		}
		values[k] = text
	}
	return values, nil
}

// undo takes back what the item's run did.
func (v *Evacuation) undo(ctx context.Context, c *claimed) *migrate.Failure {
	if c.row.Run == "" {
		return nil
	}
	_, err := v.bounded().Rollback(context.WithoutCancel(ctx), c.row.Run)
	return migrate.FailureOf(err)
}

// yield makes room when a window closes: a source whose machines were stopped
// gets them back, which means that the transfer begins anew; otherwise what
// has arrived is kept, and the next window goes on with it.
func (v *Evacuation) yield(ctx context.Context, c *claimed) {
	if c.row.Run == "" {
		return
	}
	ctx = context.WithoutCancel(ctx)
	stopped, err := v.engine.SourceStopped(ctx, c.row.Run)
	if err == nil && !stopped {
		return
	}
	if v.undo(ctx, c) == nil {
		c.row.Run = ""
	}
}

// progress keeps what is seen of each disk for those who watch.
func (v *Evacuation) progress(e migrate.Event) {
	v.live.event(e)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changed()
}
