package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/migrate"
)

func migrateSystem(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	p, r, err := c.plan(ctx, e, c.Args().Slice())
	if err != nil || c.Bool("dry-run") {
		return r, err
	}
	rep, err := e.Start(ctx, p)
	return reported(rep), c.keep(rep, resumable(rep, err))
}

// reported is a migration's report, which is there together with an error too.
func reported(rep *migrate.Report) result {
	if rep == nil {
		return result{}
	}
	return result{rep, rep.Text}
}

// resumeHint adds the command that goes on with a run.
type resumeHint struct {
	error
	run string
}

func (r resumeHint) Unwrap() error { return r.error }
func (r resumeHint) Hint() string {
	return fmt.Sprintf("cimimove resume %s goes on; cimimove rollback %s undoes", r.run, r.run)
}

func resumable(rep *migrate.Report, err error) error {
	if err == nil || rep == nil || rep.Run == "" {
		return err
	}
	switch migrate.ClassOf(err) {
	case migrate.ClassTransfer, migrate.ClassInterrupt:
		return resumeHint{err, rep.Run}
	}
	return err
}

// collected is the document of gc.
type collected struct {
	Removed []migrate.Removed `json:"removed"`
}

func gc(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	removed, err := e.GC(ctx, migrate.GCOptions{Run: c.String("run"), DryRun: c.Bool("dry-run")})
	doc := &collected{Removed: append([]migrate.Removed{}, removed...)}
	return result{doc, func(w io.Writer) error {
		switch {
		case err != nil && len(doc.Removed) == 0:
			return nil // the error says it
		case len(doc.Removed) == 0:
			_, err := fmt.Fprintln(w, "nothing was left behind")
			return err
		}
		verb := "removed"
		if c.Bool("dry-run") {
			verb = "would remove"
		}
		for _, r := range doc.Removed {
			fmt.Fprintf(w, "%s: %s %s of run %s\n", r.System, verb, strings.ToLower(r.What[:1])+r.What[1:], r.Run)
		}
		return nil
	}}, err
}
