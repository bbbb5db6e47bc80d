package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/object"
)

// conversion is the document of convert.
type conversion struct {
	Package  string          `json:"package"`
	Out      string          `json:"out"`
	Disks    []convertedDisk `json:"disks"`
	Findings []ovf.Finding   `json:"findings"`
	// With --dry-run: what would change in the descriptor, as a unified diff.
	DryRun bool   `json:"dryRun,omitempty"`
	Diff   string `json:"diff,omitempty"`
}

type convertedDisk struct {
	ID            string `json:"id"`
	Href          string `json:"href"`
	VirtualSize   int64  `json:"virtualSize"`
	ContentDigest string `json:"contentDigest"`
}

func convertPackage(ctx context.Context, c *call) (result, error) {
	out, dry := c.Args().Get(1), c.Bool("dry-run")
	if out == "" && !dry {
		return result{}, usage("convert takes PACKAGE OUT; without OUT only --dry-run can be done")
	}
	opts, err := c.convertOptions()
	if err == nil {
		err = c.editOptions(&opts)
	}
	if err == nil && out != "" {
		err = checkOut(out)
	}
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
	defer pkg.Close()
	if dry {
		return c.preview(ctx, pkg, out, opts)
	}
	return c.write(ctx, pkg, out, opts)
}

// preview shows what would change in the descriptor.
func (c *call) preview(ctx context.Context, pkg ovf.Package, out string, opts convert.Options) (result, error) {
	p, err := convert.Look(ctx, pkg, opts)
	doc := &conversion{Package: pkg.Name(), Out: out, Disks: []convertedDisk{}, DryRun: true, Findings: []ovf.Finding{}}
	doc.Findings = append(doc.Findings, p.Findings...)
	if err != nil {
		return result{doc, nil}, cannotEdit(pkg, err)
	}
	doc.Diff = edit.Diff(pkg.Descriptor(), p.Before, p.After)
	return result{doc, func(w io.Writer) error {
		if _, err := io.WriteString(w, doc.Diff); err != nil {
			return err
		}
		return printFindings(c.err, doc.Findings)
	}}, nil
}

// cannotEdit gives an edit that cannot be made its class.
func cannotEdit(pkg ovf.Package, err error) error {
	var e *edit.Error
	if errors.As(err, &e) {
		return &migrate.Error{Side: migrate.PackageSide, Object: pkg.Name(), Class: migrate.ClassRefused, Err: err}
	}
	return err
}

// write writes a package to where the user wants it.
func (c *call) write(ctx context.Context, pkg ovf.Package, out string, opts convert.Options) (result, error) {
	if object.Is(out) {
		store, err := c.store()
		if err != nil {
			return result{}, err
		}
		defer store.Close()
		opts.Create = store.Create
	}
	if out == "-" {
		res, err := convert.Stream(ctx, pkg, c.out, opts)
		if err != nil {
			return result{}, cannotEdit(pkg, err)
		}
		return result{}, printFindings(c.err, res.Findings)
	}
	opts.Progress = func(disk string, done, total int64) {
		c.show.event(migrate.Event{System: pkg.Name(), Disk: disk, Phase: "convert", Done: done, Total: total})
	}
	res, err := convert.Package(ctx, pkg, out, opts)
	doc := &conversion{Package: pkg.Name(), Out: out, Disks: []convertedDisk{}, Findings: []ovf.Finding{}}
	if res != nil {
		doc.Findings = append(doc.Findings, res.Findings...)
		for _, d := range res.Disks {
			doc.Disks = append(doc.Disks, convertedDisk{d.ID, d.Href, d.Size, d.Digest.String()})
		}
	}
	if err != nil {
		return result{doc, nil}, uploading(out, cannotEdit(pkg, err))
	}
	return result{doc, doc.text}, nil
}

// goesOn tells of an upload that was interrupted how it is taken up.
type goesOn struct{ error }

func (g goesOn) Unwrap() error { return g.error }
func (g goesOn) Hint() string {
	return "the same command goes on: what the store has of it is not sent again"
}

func uploading(out string, err error) error {
	switch migrate.ClassOf(err) {
	case migrate.ClassTransfer, migrate.ClassInterrupt:
		if object.Is(out) {
			return goesOn{err}
		}
	}
	return err
}

func (d *conversion) text(w io.Writer) error {
	fmt.Fprintf(w, "%s written\n", d.Out)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, disk := range d.Disks {
		fmt.Fprintf(t, "%s\t%s\t%d bytes\tcontent %s\n", disk.ID, disk.Href, disk.VirtualSize, disk.ContentDigest)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printFindings(w, d.Findings)
}
