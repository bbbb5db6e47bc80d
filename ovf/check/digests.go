package check

import (
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/files"
)

// Digests reads every stored file and compares it with the manifest; nothing
// is decoded. The error is the first that a package must not have.
func Digests(ctx context.Context, pkg ovf.Package) error {
	if o, ok := pkg.(ovf.Opener); ok {
		if missing := files.Missing(o); len(missing) > 0 {
			return missing[0]
		}
	}
	for {
		m, err := pkg.Next(ctx)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if _, err := io.Copy(io.Discard, m.Reader); err != nil {
			return err
		}
	}
}

// Finding is an error about a package as a finding.
func Finding(err error) ovf.Finding {
	if f, ok := findingOf(err); ok {
		return f
	}
	return ovf.Finding{ID: RulePackage, Severity: ovf.Error, Object: "package", Message: err.Error()}
}
