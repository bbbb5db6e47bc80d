package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
)

// transferred is the document of import and export.
type transferred struct {
	System   string        `json:"system"`
	ID       string        `json:"id"`
	Out      string        `json:"out,omitempty"`
	Skipped  bool          `json:"skipped,omitempty"`
	Findings []ovf.Finding `json:"findings"`
}

func importPackage(ctx context.Context, c *call) (result, error) {
	o, err := c.importOptions()
	if err != nil {
		return result{}, err
	}
	pkg, err := c.pkg(ctx, c.Args().Get(0))
	if err == nil {
		pkg, err = c.whole(pkg, c.Args().Get(0))
	}
	if err != nil {
		return result{}, err
	}
	if err := c.licences(pkg.Envelope()); err != nil {
		return result{}, errors.Join(err, pkg.Close())
	}
	dst, err := c.cloud(ctx, c.Args().Get(1), endpoint.Destination)
	if err != nil {
		return result{}, errors.Join(err, pkg.Close())
	}
	o.Events = c.show.event
	res, err := migrate.ImportPackage(ctx, pkg, dst, o)
	doc := &transferred{Findings: []ovf.Finding{}}
	if res != nil {
		doc.System, doc.ID, doc.Skipped = res.System, res.ID, res.Skipped
		doc.Findings = append(doc.Findings, res.Findings...)
	}
	if err != nil && doc.ID == "" {
		return result{doc, nil}, err
	}
	return result{doc, doc.imported}, err
}

func (t *transferred) imported(w io.Writer) error {
	switch {
	case t.Skipped:
		fmt.Fprintf(w, "%s is there already: %s\n", t.System, t.ID)
	case t.ID != "":
		fmt.Fprintf(w, "%s imported: %s\n", t.System, t.ID)
	}
	return printFindings(w, t.Findings)
}

func (c *call) importOptions() (migrate.ImportOptions, error) {
	if c.String("on-failure") == "keep" {
		return migrate.ImportOptions{}, usage("--on-failure keep: an import is all or nothing, so nothing is there to keep when it fails")
	}
	if err := c.checkDiskMode(); err != nil {
		return migrate.ImportOptions{}, err
	}
	o := migrate.ImportOptions{
		Name: c.String("name"), MAC: c.String("mac"), Configuration: c.String("deployment-option"),
		IfExists: migrate.IfExists(c.String("if-exists")), PowerOn: c.Bool("power-on"),
		Relay:        migrate.RelayOptions{Listen: c.String("relay-listen"), URL: c.String("relay-url")},
		StallTimeout: c.Duration("stall-timeout"),
		Allow:        c.StringSlice("allow"), Deny: c.StringSlice("deny"), Strict: c.Bool("strict"),
	}
	var err error
	if o.ParallelDisks, err = c.parallelDisks(); err != nil {
		return o, err
	}
	if o.Bandwidth, err = c.bandwidth(); err != nil {
		return o, err
	}
	if o.Manifest, err = c.manifestPolicy(); err != nil {
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
	switch as := c.String("as"); as {
	case "system":
	case "template":
		o.Template = true
	default:
		return o, usage("--as is system or template, not %q", as)
	}
	return o, nil
}

// parallelDisks is how many disks may move at the same time.
func (c *call) parallelDisks() (int, error) {
	n := c.Int("parallel-disks")
	if c.IsSet("parallel-disks") && n < 1 {
		return 0, usage("--parallel-disks takes a number of disks, at least 1, not %d", n)
	}
	return n, nil
}

// controllers reads --controller-map.
func (c *call) controllers() (map[string]string, error) {
	m, err := c.mapping("controller-map")
	if err == nil {
		if bad := edit.CheckControllers(m); bad != nil {
			err = usage("--controller-map: %v", bad)
		}
	}
	return m, err
}

// mapping reads a repeatable A=B option.
func (c *call) mapping(name string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range c.StringSlice(name) {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" || v == "" {
			return nil, usage("--%s takes NAME=TARGET (or *=TARGET), not %q", name, s)
		}
		out[k] = v
	}
	return out, nil
}

// properties reads --props and --prop; KEY@FILE takes the value from a file,
// so that secrets need not stand in a command line.
func (c *call) properties() (map[string]string, error) {
	out := map[string]string{}
	lines := c.StringSlice("prop")
	if file := c.String("props"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, usage("--props: %v", err)
		}
		var all []string
		for _, l := range strings.Split(string(b), "\n") {
			if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
				all = append(all, l)
			}
		}
		lines = append(all, lines...)
	}
	for _, s := range lines {
		i := strings.IndexAny(s, "=@")
		if i <= 0 {
			return nil, usage("a property is KEY=VALUE or KEY@FILE, not %q", s)
		}
		k, v := s[:i], s[i+1:]
		if s[i] == '@' {
			b, err := os.ReadFile(v)
			if err != nil {
				return nil, usage("--prop %s: %v", k, err)
			}
			v = strings.TrimRight(string(b), "\r\n")
		}
		out[k] = v
	}
	return out, nil
}

func exportSystem(ctx context.Context, c *call) (result, error) {
	out := c.Args().Get(2)
	opts, err := c.convertOptions()
	if err == nil {
		err = checkOut(out)
	}
	if err != nil {
		return result{}, err
	}
	src, err := c.cloud(ctx, c.Args().Get(0), endpoint.Source)
	if err != nil {
		return result{}, err
	}
	e, err := migrate.ExportPackage(ctx, src, c.Args().Get(1))
	if err != nil {
		return result{}, err
	}
	defer e.Close()
	doc := &transferred{System: e.System, ID: e.ID, Out: out, Findings: append([]ovf.Finding{}, e.Findings...)}
	if out == "-" && !c.packs() {
		if err := e.WriteOVA(ctx, c.out, nil); err != nil {
			return result{}, err
		}
		return result{}, printFindings(c.err, doc.Findings)
	}
	pkg, err := e.Package(ctx)
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	if opts.DiskFormat == "" && out != "-" {
		// What comes has stored grains; a file that can seek gets compressed ones.
		opts.DiskFormat, opts.Recompress = disk.VMDK, true
	}
	written, err := c.write(ctx, pkg, out, opts)
	if out == "-" {
		return result{}, cmp.Or(err, printFindings(c.err, doc.Findings))
	}
	if w, ok := written.doc.(*conversion); ok {
		doc.Findings = append(doc.Findings, w.Findings...)
	}
	if err != nil {
		return result{doc, nil}, err
	}
	return result{doc, doc.exported}, nil
}

func (t *transferred) exported(w io.Writer) error {
	fmt.Fprintf(w, "%s exported: %s\n", t.System, t.Out)
	return printFindings(w, t.Findings)
}
