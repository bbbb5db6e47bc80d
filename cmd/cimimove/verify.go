package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/check"
)

// verification is the document of verify: what is known of the signature, and,
// apart from it, whether the digests of the manifest are those of the files.
type verification struct {
	Package   string           `json:"package"`
	Verified  bool             `json:"verified"`
	Signature signatureSummary `json:"signature"`
	Digests   digestsSummary   `json:"digests"`
	Findings  []ovf.Finding    `json:"findings"`
}

type digestsSummary struct {
	Present    bool     `json:"present"`
	Valid      *bool    `json:"valid"` // null where there are none
	Algorithms []string `json:"algorithms"`
}

// verify checks signature and digests. Unless --signature says otherwise (its
// default is require here), there must be a signature by somebody who is trusted.
func verify(ctx context.Context, c *call) (result, error) {
	demand, err := c.demand()
	if err != nil {
		return result{}, err
	}
	name := c.Args().First()
	doc := &verification{Package: shownName(name), Findings: []ovf.Finding{}, Signature: signatureOf(false, nil), Digests: digestsSummary{Algorithms: []string{}}}
	pkg, err := c.openPackage(ctx, name)
	if err != nil {
		if migrate.ClassOf(err) == migrate.ClassInvalid {
			doc.Findings = append(doc.Findings, ovf.Finding{ID: check.RulePackage, Severity: ovf.Error, Object: shownName(name), Message: err.Error()})
			return result{doc, nil}, err
		}
		return result{}, err
	}
	defer pkg.Close()
	wrong := check.Digests(ctx, pkg)
	signature, findings, unsound := demand.Judge(pkg.Name(), cert.ManifestName(pkg), pkg.Manifest(), pkg.Certificate())
	doc.Signature = signatureOf(pkg.Certificate() != nil, signature)
	doc.Digests.Present = pkg.Manifest() != nil
	if doc.Digests.Present {
		ok := wrong == nil
		doc.Digests.Valid = &ok
		doc.Digests.Algorithms = append(doc.Digests.Algorithms, algorithms(pkg.Manifest())...)
	}
	if r, ok := pkg.(ovf.Reporter); ok {
		doc.Findings = append(doc.Findings, r.Findings()...)
	}
	if wrong != nil {
		doc.Findings = append(doc.Findings, check.Finding(wrong))
	}
	doc.Findings = append(doc.Findings, findings...)
	doc.Verified = wrong == nil && unsound == nil
	switch {
	case wrong == nil:
		wrong = unsound
	case unsound != nil:
		wrong = fmt.Errorf("%w; %w", wrong, unsound)
	}
	return result{doc, doc.text}, wrong
}

func (v *verification) text(w io.Writer) error {
	yes := func(b *bool, yes, no, unknown string) string {
		switch {
		case b == nil:
			return unknown
		case *b:
			return yes
		}
		return no
	}
	fmt.Fprintf(w, "digests    %s\n", yes(v.Digests.Valid, "all right ("+strings.Join(v.Digests.Algorithms, ", ")+")", "WRONG", "none"))
	if s := v.Signature; !s.Present {
		fmt.Fprintln(w, "signature  none")
	} else if s.Valid != nil {
		fmt.Fprintf(w, "signature  %s (%s)\n", yes(s.Valid, "right", "WRONG", ""), s.Algorithm)
		fmt.Fprintf(w, "signer     %s, %s\n", s.Signer, yes(s.Trusted, "trusted", "NOT trusted", ""))
		fmt.Fprintf(w, "issuer     %s\n", s.Issuer)
		fmt.Fprintf(w, "validity   %s to %s, %s now\n", day(s.NotBefore), day(s.NotAfter), yes(s.ValidNow, "valid", "NOT valid", ""))
		signed := "at a time that nothing tells"
		if s.SignedAt != nil {
			signed = *s.SignedAt + ", when the certificate was " + yes(s.ValidAtSigning, "valid", "NOT valid", "")
		}
		fmt.Fprintf(w, "signed     %s\n", signed)
	}
	if err := printFindings(w, v.Findings); err != nil {
		return err
	}
	word := "verified"
	if !v.Verified {
		word = "NOT verified"
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", v.Package, word)
	return err
}

func day(t *string) string {
	if t == nil {
		return "?"
	}
	if at, err := time.Parse(time.RFC3339, *t); err == nil {
		return at.Format(time.DateOnly)
	}
	return *t
}
