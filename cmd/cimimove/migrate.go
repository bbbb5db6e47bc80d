package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
)

func migrateSystem(ctx context.Context, c *call) (result, error) {
	p, r, err := c.plan(ctx, c.Args().Get(0), c.Args().Get(1), c.Args().Get(2))
	if err != nil || c.Bool("dry-run") {
		return r, err
	}
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	if c.Bool("insecure") {
		fmt.Fprintln(c.err, "cimimove: server certificates are not checked (--insecure)")
	}
	rep, err := e.Start(ctx, p)
	return reported(rep), resumable(rep, err)
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

// plan makes the plan of one migration from the command line.
func (c *call) plan(ctx context.Context, source, system, destination string) (*migrate.Plan, result, error) {
	src, dst, err := c.sides(ctx, source, destination)
	if err != nil {
		return nil, result{}, err
	}
	o := migrate.Options{
		Source: src, Destination: dst, System: system, Name: c.String("name"), MAC: c.String("mac"),
		Configuration: c.String("deployment-option"), Via: migrate.Via(c.String("via")), Verify: migrate.Verify(c.String("verify")),
		IfExists: migrate.IfExists(c.String("if-exists")), OnFailure: migrate.OnFailure(c.String("on-failure")), PowerOn: c.Bool("power-on"),
		Allow: c.StringSlice("allow"), Deny: c.StringSlice("deny"), Strict: c.Bool("strict"),
		Relay: migrate.RelayOptions{Listen: c.String("relay-listen"), URL: c.String("relay-url")},
	}
	if o.Nets, err = c.mapping("net"); err != nil {
		return nil, result{}, err
	}
	if o.Storage, err = c.mapping("storage"); err != nil {
		return nil, result{}, err
	}
	if o.Properties, err = c.properties(); err != nil {
		return nil, result{}, err
	}
	p, err := migrate.NewPlan(ctx, o)
	if p == nil {
		return nil, result{}, err
	}
	return p, result{p, func(w io.Writer) error { return planText(w, p) }}, err
}

func planText(w io.Writer, p *migrate.Plan) error {
	fmt.Fprintf(w, "%s: %s to %s\n", p.System, p.Source, p.Destination)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "as\t%s\n", p.Name)
	fmt.Fprintf(t, "via\t%s\t%s\n", p.Via, p.Why)
	fmt.Fprintf(t, "verify\t%s\n", p.Verify)
	for _, m := range p.Machines {
		fmt.Fprintf(t, "machine\t%s\t%d CPUs, %s memory\n", m.Name, m.CPU, humanize.IBytes(uint64(max(0, m.MemoryKiB))*1024))
	}
	for _, d := range p.Disks {
		fmt.Fprintf(t, "disk\t%s\t%s\n", d.Name, humanize.IBytes(uint64(d.CapacityBytes)))
	}
	for _, n := range p.Networks {
		target := n.Target
		if n.New {
			target += " (created)"
		}
		fmt.Fprintf(t, "network\t%s\t%s\n", n.Name, target)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printFindings(w, p.Findings)
}

// planned is the document of plan for a runbook.
type planned struct {
	Items   []plannedItem `json:"items"`
	Refused int           `json:"refused"`
}

type plannedItem struct {
	System string        `json:"system"`
	Plan   *migrate.Plan `json:"plan,omitempty"`
	Error  *failure      `json:"error,omitempty"`
}

func plan(ctx context.Context, c *call) (result, error) {
	switch c.NArg() {
	case 3:
		_, r, err := c.plan(ctx, c.Args().Get(0), c.Args().Get(1), c.Args().Get(2))
		return r, err
	case 1:
		return c.planRunbook(ctx, c.Args().First())
	}
	return result{}, usage("plan takes a RUNBOOK, or SOURCE SYSTEM DESTINATION")
}

func (c *call) planRunbook(ctx context.Context, file string) (result, error) {
	rb, err := runbook.Load(file, runbook.LoadOptions{})
	if err != nil {
		return result{}, err
	}
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	doc := &planned{Items: []plannedItem{}}
	var first error
	for _, item := range rb.Items {
		p, err := e.PlanItem(ctx, rb, item, c.batchOptions())
		row := plannedItem{System: item.System, Plan: p, Error: failed(ctx, err)}
		if err != nil {
			doc.Refused++
			if first == nil {
				first = fmt.Errorf("%s: %w", item.System, err)
			}
		}
		doc.Items = append(doc.Items, row)
	}
	text := func(w io.Writer) error {
		for i, item := range doc.Items {
			if i > 0 {
				fmt.Fprintln(w)
			}
			if item.Plan != nil {
				if err := planText(w, item.Plan); err != nil {
					return err
				}
			}
			if item.Error != nil {
				fmt.Fprintf(w, "%s: refused: %s\n", item.System, item.Error.Message)
			}
		}
		return nil
	}
	return result{doc, text}, first
}

func (c *call) batchOptions() migrate.BatchOptions {
	return migrate.BatchOptions{Parallel: c.Int("parallel-systems"), Allow: c.StringSlice("allow"), Deny: c.StringSlice("deny"), Strict: c.Bool("strict")}
}

func runRunbook(ctx context.Context, c *call) (result, error) {
	rb, err := runbook.Load(c.Args().First(), runbook.LoadOptions{})
	if err != nil {
		return result{}, err
	}
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	rep, err := e.RunBatch(ctx, rb, c.batchOptions())
	if rep == nil {
		return result{}, err
	}
	return result{rep, rep.Text}, err
}

func status(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	list, err := e.Status(ctx, c.Args().Slice()...)
	if err != nil {
		return result{}, err
	}
	return result{list, list.Text}, nil
}

func resume(ctx context.Context, c *call) (result, error) {
	values, err := c.properties()
	if err != nil {
		return result{}, err
	}
	e, done, err := c.engine(ctx, c.show.event)
	if err != nil {
		return result{}, err
	}
	defer done()
	rep, err := e.Resume(ctx, c.Args().First(), migrate.ResumeOptions{Properties: values})
	return reported(rep), resumable(rep, err)
}

func rollback(ctx context.Context, c *call) (result, error) {
	e, done, err := c.engine(ctx, nil)
	if err != nil {
		return result{}, err
	}
	defer done()
	rep, err := e.Rollback(ctx, c.Args().First())
	return reported(rep), err
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
		if len(doc.Removed) == 0 {
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
