package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// reportSigner is the key of --report-sign-key, nil without it.
func (c *call) reportSigner() (*migrate.Signer, error) {
	file := c.String("report-sign-key")
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, usage("--report-sign-key: %v", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, usage("--report-sign-key: %s: mode is %04o: others may read it; chmod 600 %s", file, info.Mode().Perm(), file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("--report-sign-key: %v", err)
	}
	return migrate.NewSigner(file, text)
}

// keep writes the report to the file of --report, whatever its outcome.
func (c *call) keep(rep *migrate.Report, err error) error {
	file := c.String("report")
	if rep == nil || file == "" {
		return err
	}
	b, encodeErr := json.MarshalIndent(rep, "", "  ")
	if encodeErr == nil {
		encodeErr = replaceFile(file, append(b, '\n'))
	}
	if encodeErr != nil {
		encodeErr = fmt.Errorf("--report: %w", encodeErr)
	}
	return errors.Join(err, encodeErr)
}

// checked is the document of report for a file.
type checked struct {
	Report    json.RawMessage    `json:"report"`
	Signature *migrate.Signature `json:"signature,omitempty"`
	// Signed: a key was given, and the report is what its holder signed.
	Signed bool `json:"signed"`
}

// report shows what a run has proved: from the journal, or from a file, whose
// signature it checks with --key.
func report(ctx context.Context, c *call) (result, error) {
	what := c.Args().First()
	if _, err := os.Stat(what); err != nil && journal.ValidID(what) {
		e, done, err := c.engine(ctx, nil)
		if err != nil {
			return result{}, err
		}
		defer done()
		rep, err := e.Report(ctx, what)
		return reported(rep), c.keep(rep, err)
	}
	b, err := os.ReadFile(what)
	if errors.Is(err, fs.ErrNotExist) {
		return result{}, usage("%s is neither a run nor a file", what)
	}
	if err != nil {
		return result{}, usageError{err.Error()}
	}
	rep := &migrate.Report{}
	doc := &checked{Report: b}
	if err := json.Unmarshal(b, rep); err != nil {
		return result{}, &migrate.Error{Object: what, Class: migrate.ClassInvalid, Err: fmt.Errorf("not a report: %w", err)}
	}
	key := c.String("key")
	if key != "" {
		text, err := os.ReadFile(key)
		if err != nil {
			return result{}, usage("--key: %v", err)
		}
		if doc.Signature, err = migrate.CheckReport(b, text); err != nil {
			return result{}, err
		}
		doc.Signed = true
	} else if _, doc.Signature, err = migrate.Canonical(b); err != nil {
		return result{}, &migrate.Error{Object: what, Class: migrate.ClassInvalid, Err: err}
	}
	return result{doc, func(w io.Writer) error {
		if err := rep.Text(w); err != nil {
			return err
		}
		switch {
		case doc.Signed:
			fmt.Fprintln(w, "the signature is right: this is what the holder of that key signed")
		case doc.Signature != nil:
			fmt.Fprintln(w, "the signature was not checked: --key FILE checks it")
		}
		return nil
	}}, nil
}
