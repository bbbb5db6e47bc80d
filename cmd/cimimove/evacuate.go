package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/board"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// evacuation opens a runbook; done closes the clouds and the journal.
func (c *call) evacuation(ctx context.Context, file string) (v *evacuate.Evacuation, done func(), err error) {
	rb, err := c.runbook(file)
	if err != nil {
		return nil, nil, err
	}
	return c.evacuate(ctx, rb)
}

func (c *call) runbook(file string) (*runbook.Runbook, error) {
	vars := map[string]string{}
	for _, pair := range c.StringSlice("var") {
		k, v, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--var is NAME=VALUE, not %q", pair)
		}
		vars[k] = v
	}
	return runbook.Load(file, runbook.LoadOptions{Vars: vars})
}

func (c *call) evacuate(ctx context.Context, rb *runbook.Runbook) (v *evacuate.Evacuation, done func(), err error) {
	e, closeEngine, err := c.engine(ctx, c.show.event)
	if err != nil {
		return nil, nil, err
	}
	o, err := c.evacuationOptions()
	if err == nil {
		v, err = evacuate.New(ctx, e, rb, o)
	}
	if err != nil {
		closeEngine()
		return nil, nil, err
	}
	return v, func() {
		v.Close()
		closeEngine()
	}, nil
}

func (c *call) evacuationOptions() (o evacuate.Options, err error) {
	o = evacuate.Options{Parallel: c.Int("parallel-systems"), Allow: c.StringSlice("allow"), Deny: c.StringSlice("deny"), Strict: c.Bool("strict"),
		AcceptEULAs: c.Bool("accept-eulas"), OnFailure: migrate.OnFailure(c.String("on-failure"))}
	o.ParallelDisks, err = c.parallelDisks()
	return o, err
}

func (c *call) planRunbook(ctx context.Context, file string) (result, error) {
	v, done, err := c.evacuation(ctx, file)
	if err != nil {
		return result{}, err
	}
	defer done()
	p, err := v.Plan(ctx)
	if p == nil {
		return result{}, err
	}
	if file := c.String("html"); file != "" {
		page, pageErr := board.HTML(board.OfPlan(p))
		if pageErr == nil {
			pageErr = replaceFile(file, page)
		}
		if pageErr != nil {
			err = errors.Join(err, pageErr)
		}
	}
	return result{p, func(w io.Writer) error { return p.Text(w, planText) }}, err
}

func runRunbook(ctx context.Context, c *call) (result, error) {
	if c.Bool("schema") {
		return schema()
	}
	if c.NArg() == 0 {
		return result{}, usage("run takes a RUNBOOK; run --schema shows the form of one")
	}
	v, done, err := c.evacuation(ctx, c.Args().First())
	if err != nil {
		return result{}, err
	}
	defer done()
	return c.evacuated(ctx, v)
}

func (c *call) evacuated(ctx context.Context, v *evacuate.Evacuation) (result, error) {
	stop, err := c.showPage(v)
	if err != nil {
		return result{}, err
	}
	defer stop()
	var rep *evacuate.Report
	if c.String("queue") != "" {
		// Workers do it; this process waits for them.
		if err = v.Submit(ctx); err == nil {
			rep, err = v.Follow(ctx)
		}
	} else {
		rep, err = v.Run(ctx)
	}
	if file := c.String("report"); file != "" && rep != nil {
		if pageErr := writePage(file, v); pageErr != nil {
			err = errors.Join(err, pageErr)
		}
	}
	if rep == nil {
		return result{}, err
	}
	return result{rep, rep.Text}, err
}

// schema prints the JSON Schema of runbooks, for editors.
func schema() (result, error) {
	b, err := runbook.Schema()
	if err != nil {
		return result{}, err
	}
	return result{rawJSON(b), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s\n", b)
		return err
	}}, nil
}

// rawJSON is a document that is JSON already.
type rawJSON []byte

// MarshalJSON gives it.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// status shows runs, or how far an evacuation is.
func status(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	if c.Bool("watch") {
		return c.watch(ctx, e)
	}
	if c.NArg() == 1 {
		if rep, err := evacuate.Status(ctx, e.Journal, c.Args().First()); !errors.Is(err, journal.ErrNoBatch) {
			if err != nil {
				return result{}, err
			}
			return result{rep, rep.Text}, nil
		}
	}
	list, err := e.Status(ctx, c.Args().Slice()...)
	if err != nil {
		return result{}, err
	}
	if c.NArg() > 0 {
		return result{list, list.Text}, nil
	}
	all := statusOfAll{StatusList: list}
	if all.Runbooks, err = evacuate.List(ctx, e.Journal); err != nil {
		return result{}, err
	}
	return result{all, all.text}, nil
}

// statusOfAll is what status shows without a RUN: runbooks, and the runs of
// Systems, those of runbooks among them.
type statusOfAll struct {
	Runbooks evacuate.Summaries `json:"runbooks"`
	*migrate.StatusList
}

func (s statusOfAll) text(w io.Writer) error {
	if err := s.Runbooks.Text(w); err != nil {
		return err
	}
	return s.StatusList.Text(w)
}

// watchInterval is how often status --watch looks.
const watchInterval = time.Second

// watch shows an evacuation until nothing of it is under way any more: on a
// terminal as a table that is drawn anew, elsewhere only the end.
func (c *call) watch(ctx context.Context, e *migrate.Engine) (result, error) {
	if c.NArg() != 1 {
		return result{}, usage("status --watch takes the RUN of a runbook")
	}
	_, tty := terminal(c.err)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		rep, err := evacuate.Status(ctx, e.Journal, c.Args().First())
		if errors.Is(err, journal.ErrNoBatch) {
			return result{}, usage("%v; status lists the runs", err)
		}
		if err != nil {
			return result{}, err
		}
		if !rep.Active {
			return result{rep, rep.Text}, nil
		}
		if tty && !c.Bool("quiet") {
			fmt.Fprint(unwrapped(c.err), "\x1b[H\x1b[2J")
			if err := rep.Text(c.err); err != nil {
				return result{}, err
			}
		}
		select {
		case <-ctx.Done():
			return result{rep, rep.Text}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// resume goes on with a migration or an evacuation.
func resume(ctx context.Context, c *call) (result, error) {
	values, err := c.properties()
	if err != nil {
		return result{}, err
	}
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	rb, err := evacuate.Recorded(ctx, e.Journal, c.Args().First())
	if errors.Is(err, journal.ErrNoBatch) {
		defer done()
		if run, err := e.Journal.Run(ctx, c.Args().First()); err == nil {
			c.fromUs = run.Via == string(migrate.ViaResources)
		}
		hooks, err := c.hooks()
		if err != nil {
			return result{}, err
		}
		rep, err := e.Resume(ctx, c.Args().First(), migrate.ResumeOptions{Properties: values, Hooks: hooks})
		return reported(rep), c.keep(rep, resumable(rep, err))
	}
	if err == nil && (c.IsSet("hook") || c.IsSet("hooks") || len(values) > 0) {
		err = usage("%s is of a runbook: its hooks and properties stand there", c.Args().First())
	}
	if err == nil {
		err = evacuate.Control{Journal: e.Journal}.Continue(ctx, c.Args().First())
	}
	done()
	if err != nil {
		return result{}, err
	}
	v, done, err := c.evacuate(ctx, rb)
	if err != nil {
		return result{}, err
	}
	defer done()
	r, err := c.evacuated(ctx, v)
	if errors.Is(err, journal.ErrLocked) {
		// Another process carries it out, and was paused.
		rep := v.Report()
		return result{rep, rep.Text}, nil
	}
	return r, err
}

// rollback undoes a migration, or every one of an evacuation.
func rollback(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	run := c.Args().First()
	rep, err := evacuate.Rollback(ctx, e, run)
	if errors.Is(err, journal.ErrNoBatch) {
		rep, err := e.Rollback(ctx, run)
		return reported(rep), c.keep(rep, err)
	}
	if rep == nil {
		return result{}, err
	}
	return result{rep, rep.Text}, err
}

// controls are the commands that ask something of an evacuation.
func control(ask func(ctx context.Context, c evacuate.Control, run, system string) error) action {
	return func(ctx context.Context, c *call) (result, error) {
		e, done, err := c.engine(ctx, nil)
		if err != nil {
			return result{}, err
		}
		defer done()
		run := c.Args().First()
		if err := ask(ctx, evacuate.Control{Journal: e.Journal}, run, c.Args().Get(1)); err != nil {
			return result{}, err
		}
		rep, err := evacuate.Status(ctx, e.Journal, run)
		if err != nil {
			return result{}, err
		}
		return result{rep, rep.Text}, nil
	}
}
