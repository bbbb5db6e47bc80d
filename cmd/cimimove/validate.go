package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/validate"
)

// verdict is the document of validate (cli.md, "Output").
type verdict struct {
	Package  string        `json:"package"`
	Valid    bool          `json:"valid"`
	Findings []ovf.Finding `json:"findings"`
}

func validatePackage(ctx context.Context, c *call) (result, error) {
	name := c.Args().First()
	doc := &verdict{Package: shownName(name), Findings: []ovf.Finding{}}
	demand, err := c.demand()
	if err != nil {
		return result{}, err
	}
	opts := check.Options{Signature: demand, Allow: c.StringSlice("allow"), Progress: func(disk string, done, total int64) {
		c.show.event(migrate.Event{System: shownName(name), Disk: disk, Phase: "validate", Done: done, Total: total})
	}}
	for _, s := range c.StringSlice("for") {
		if !slices.Contains(validate.Targets(), validate.Target(s)) {
			return result{}, usage("--for takes one of %v, not %q", validate.Targets(), s)
		}
		opts.Targets = append(opts.Targets, validate.Target(s))
	}
	pkg, err := c.openPackage(ctx, name)
	if err != nil {
		if migrate.ClassOf(err) == migrate.ClassInvalid {
			doc.Findings = append(doc.Findings, ovf.Finding{ID: check.RulePackage, Severity: ovf.Error, Object: shownName(name), Message: strings.TrimPrefix(errors.Unwrap(err).Error(), shownName(name)+": ")})
			return result{doc, doc.text}, err
		}
		return result{}, err
	}
	defer pkg.Close()
	if opts.Remote, err = c.elsewhere(name); err != nil {
		return result{}, err
	}
	findings, err := check.Package(ctx, pkg, opts)
	doc.Findings = append(doc.Findings, findings...)
	if err == nil {
		err = c.judge(doc.Findings)
	}
	doc.Valid = err == nil
	return result{doc, doc.text}, err
}

// judge applies --strict, --deny and --allow to findings.
func (c *call) judge(findings []ovf.Finding) error {
	denied := map[string]bool{}
	for _, rule := range c.StringSlice("deny") {
		denied[rule] = true
	}
	for _, rule := range c.StringSlice("allow") {
		denied[rule] = false
	}
	for _, f := range findings {
		refuse, named := denied[f.ID]
		if !named {
			refuse = f.Severity == ovf.Warning && c.Bool("strict")
		}
		if refuse {
			return &ovf.DescriptorError{Object: f.Object, Offset: -1, Message: f.Message, Err: errors.New(f.ID)}
		}
	}
	return nil
}

func (v *verdict) text(w io.Writer) error {
	if err := printFindings(w, v.Findings); err != nil {
		return err
	}
	word := "valid"
	if !v.Valid {
		word = "NOT valid"
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", v.Package, word)
	return err
}
