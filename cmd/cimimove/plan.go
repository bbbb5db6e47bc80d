package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate"
)

// planOptions are what the command line asks of a migration.
func (c *call) planOptions() (migrate.Options, error) {
	o := migrate.Options{
		Name: c.String("name"), MAC: c.String("mac"),
		Configuration: c.String("deployment-option"), Via: migrate.Via(c.String("via")), Verify: migrate.Verify(c.String("verify")),
		IfExists: migrate.IfExists(c.String("if-exists")), OnFailure: migrate.OnFailure(c.String("on-failure")), PowerOn: c.Bool("power-on"),
		Allow: c.StringSlice("allow"), Deny: c.StringSlice("deny"), Strict: c.Bool("strict"), AcceptEULAs: c.Bool("accept-eulas"),
		Quiesce: migrate.Quiesce(c.String("quiesce")), SourceAfter: migrate.SourceAfter(c.String("source-after")), Warm: c.Bool("warm"),
		Relay: migrate.RelayOptions{Listen: c.String("relay-listen"), URL: c.String("relay-url")},
		Stage: c.String("stage"), StopTimeout: c.Duration("stop-timeout"), // a run that is resumed has it still
	}
	var err error
	if err = c.checkDiskMode(); err != nil {
		return o, err
	}
	if o.ParallelDisks, err = c.parallelDisks(); err != nil {
		return o, err
	}
	if o.Nets, err = c.mapping("net"); err != nil {
		return o, err
	}
	if o.Storage, err = c.mapping("storage"); err != nil {
		return o, err
	}
	if o.Controllers, err = c.controllers(); err != nil {
		return o, err
	}
	if o.Properties, err = c.properties(); err != nil {
		return o, err
	}
	o.Hooks, err = c.hooks()
	return o, err
}

// plan makes the plan of one migration from the command line, or looks again
// at one that was saved.
func (c *call) plan(ctx context.Context, e *migrate.Engine, args []string) (*migrate.Plan, result, error) {
	p, err := c.planned(ctx, e, args)
	if p == nil {
		return nil, result{}, err
	}
	if file := c.String("save"); file != "" && err == nil {
		err = savePlan(file, p)
	}
	return p, result{p, func(w io.Writer) error { return planText(w, p) }}, err
}

func (c *call) planned(ctx context.Context, e *migrate.Engine, args []string) (*migrate.Plan, error) {
	if file := c.String("plan"); file != "" {
		if len(args) > 0 {
			return nil, usage("--plan says what is moved; no arguments are taken beside it")
		}
		return c.plannedAgain(ctx, e, file)
	}
	if len(args) != 3 {
		return nil, usage("%s takes SOURCE SYSTEM DESTINATION, or --plan FILE; %d arguments given", c.Command.Name, len(args))
	}
	o, err := c.planOptions()
	if err != nil {
		return nil, err
	}
	if o.Source, o.Destination, err = c.sides(ctx, args[0], args[2]); err != nil {
		return nil, err
	}
	o.System = args[1]
	return e.Plan(ctx, o)
}

func (c *call) plannedAgain(ctx context.Context, e *migrate.Engine, file string) (*migrate.Plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("--plan: %v", err)
	}
	defer f.Close()
	saved, err := migrate.LoadPlan(file, f)
	if err != nil {
		return nil, err
	}
	values, err := c.properties()
	if err != nil {
		return nil, err
	}
	hooks, err := c.hooks()
	if err != nil {
		return nil, err
	}
	c.fromUs = saved.Options.Via == migrate.ViaResources
	src, dst, err := c.sides(ctx, saved.Source(), saved.Destination())
	if err != nil {
		return nil, err
	}
	return e.Again(ctx, saved, src, dst, migrate.ResumeOptions{Properties: values, Hooks: hooks})
}

// savePlan replaces file when the plan is written whole. Others than its owner
// do not read it: it says what is where.
func savePlan(file string, p *migrate.Plan) error {
	var b bytes.Buffer
	if err := p.Save(&b); err != nil {
		return err
	}
	return replacePrivate(file, b.Bytes())
}

func planText(w io.Writer, p *migrate.Plan) error {
	fmt.Fprintf(w, "%s: %s to %s\n", p.System, p.Source, p.Destination)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "as\t%s\n", p.Name)
	fmt.Fprintf(t, "via\t%s\t%s\n", p.Via, p.Why)
	for _, w := range p.Ways {
		if !w.Taken {
			fmt.Fprintf(t, "not via\t%s\t%s\n", w.Via, w.Why)
		}
	}
	fmt.Fprintf(t, "verify\t%s\n", p.Verify)
	fmt.Fprintf(t, "resume\tby %s\t%s\n", p.Resume.Granularity, p.Resume.Why)
	fmt.Fprintf(t, "source\t%s\n", map[migrate.SourceAfter]string{migrate.SourceKeep: "kept as the move leaves it", migrate.SourceStart: "started again",
		migrate.SourceStop: "stopped", migrate.SourceDelete: "deleted when its copy is verified"}[p.SourceAfter])
	for _, m := range p.Machines {
		hardware := fmt.Sprintf("%d CPUs, %s memory", m.CPU, humanize.IBytes(uint64(max(0, m.MemoryKiB))*1024))
		if m.Firmware != "" {
			hardware += ", " + m.Firmware
		}
		if c := m.Configuration; c != nil {
			hardware += fmt.Sprintf("; nearest configuration %s, %d CPUs, %s", c.Name, c.CPU, humanize.IBytes(uint64(max(0, c.MemoryKiB))*1024))
		}
		fmt.Fprintf(t, "machine\t%s\t%s\n", m.Name, hardware)
	}
	for _, d := range p.Disks {
		fmt.Fprintf(t, "disk\t%s\t%s\n", d.Name, strings.TrimSpace(humanize.IBytes(uint64(d.CapacityBytes))+"  "+d.Storage))
	}
	if len(p.Disks) > 1 {
		fmt.Fprintf(t, "at a time\t%d of the disks\n", p.ParallelDisks)
	}
	for _, n := range p.Networks {
		target := n.Target
		if n.New {
			target += " (created)"
		}
		fmt.Fprintf(t, "network\t%s\t%s\n", n.Name, target)
	}
	for _, q := range p.Properties {
		state := "no value"
		switch {
		case q.Given:
			state = "given"
		case q.Set:
			state = "as it is"
		}
		fmt.Fprintf(t, "property\t%s\t%s\n", q.Key, state)
	}
	free := "the destination does not say how much is free"
	if p.Space.Free >= 0 {
		free = humanize.IBytes(uint64(p.Space.Free)) + " free"
	}
	fmt.Fprintf(t, "space\t%s at most\t%s\n", humanize.IBytes(uint64(p.Space.Capacity)), free)
	takes := "unknown"
	if p.Estimate.Seconds > 0 {
		takes = "at most " + (time.Duration(p.Estimate.Seconds) * time.Second).String()
	}
	fmt.Fprintf(t, "time\t%s\t%s\n", takes, p.Estimate.Basis)
	if w := p.Warm; w != nil {
		takes := fmt.Sprintf("about %s to hash, and what has changed", time.Duration(w.HashSeconds)*time.Second)
		if w.Tracked {
			takes = "what has changed"
		}
		fmt.Fprintf(t, "at rest\t%s\t%s\n", takes, w.Basis)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printFindings(w, p.Findings)
}

func plan(ctx context.Context, c *call) (result, error) {
	switch c.NArg() {
	case 0, 3:
		if c.NArg() == 0 && c.String("plan") == "" {
			break
		}
		e, done, err := c.engine(ctx, nil)
		if err != nil {
			return result{}, err
		}
		defer done()
		_, r, err := c.plan(ctx, e, c.Args().Slice())
		return r, err
	case 1:
		return c.planRunbook(ctx, c.Args().First())
	}
	return result{}, usage("plan takes a RUNBOOK, or SOURCE SYSTEM DESTINATION, or --plan FILE")
}
