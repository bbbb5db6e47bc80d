package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// signing is the document of sign.
type signing struct {
	Package  string        `json:"package"`
	Out      string        `json:"out"`
	Signer   string        `json:"signer"`
	Findings []ovf.Finding `json:"findings"`
}

// sign writes a package with a signature. Without OUT the package itself is
// replaced: of a folder, only manifest and certificate are written.
func sign(ctx context.Context, c *call) (result, error) {
	name, out := c.Args().Get(0), c.Args().Get(1)
	signer, err := c.signer()
	switch {
	case err != nil:
		return result{}, err
	case signer == nil:
		return result{}, usage("sign needs --sign-key and --sign-cert")
	case out == "" && (name == "-" || strings.Contains(name, "://")):
		return result{}, usage("%s cannot be signed in its place; name OUT", shownName(name))
	}
	opts := convert.Options{Signer: signer}
	if s := c.String("sha"); s != "" {
		a, ok := manifest.ParseAlgorithm(s)
		if !ok {
			return result{}, usage("--sha is sha1, sha224, sha256, sha384 or sha512, not %q", s)
		}
		opts.Algorithm = a
	}
	if out != "" {
		if err := checkOut(out); err != nil {
			return result{}, err
		}
	}
	pkg, err := c.openPackage(ctx, name)
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	doc := &signing{Package: shownName(name), Out: out, Signer: signer.Chain[0].Subject.String(), Findings: []ovf.Finding{}}
	var res *convert.Result
	switch {
	case out == "-":
		res, err = convert.Stream(ctx, pkg, c.out, opts)
		if err == nil {
			return result{}, printFindings(c.err, res.Findings)
		}
	case out != "":
		res, err = convert.Package(ctx, pkg, out, opts)
	default:
		doc.Out = name
		res, err = signInPlace(ctx, pkg, name, opts)
	}
	if err != nil {
		return result{}, cannotEdit(pkg, err)
	}
	doc.Findings = append(doc.Findings, res.Findings...)
	return result{doc, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s signed by %s\n", doc.Out, doc.Signer); err != nil {
			return err
		}
		return printFindings(w, doc.Findings)
	}}, nil
}

func signInPlace(ctx context.Context, pkg ovf.Package, name string, opts convert.Options) (*convert.Result, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	folder := name
	if !info.IsDir() {
		if !strings.EqualFold(path.Ext(name), ".ovf") {
			return convert.Package(ctx, pkg, name, opts)
		}
		folder = path.Dir(name)
	}
	return convert.SignFolder(ctx, pkg, folder, opts)
}
