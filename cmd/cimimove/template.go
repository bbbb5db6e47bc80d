package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// maxTemplate bounds a SystemTemplate file, in bytes; a descriptor is at most 64 MiB.
const maxTemplate = 128 << 20

func template(ctx context.Context, c *call) (result, error) {
	if file := c.String("to-ovf"); file != "" {
		return c.templateToOVF(file)
	}
	if c.NArg() == 0 {
		return result{}, usage("template takes PACKAGE [OUT], or --to-ovf FILE OUT.ovf")
	}
	if err := c.oneForm(); err != nil {
		return result{}, err
	}
	if err := checkFile(cmp.Or(c.Args().Get(1), "-")); err != nil {
		return result{}, err
	}
	pkg, err := c.pkg(ctx, c.Args().First())
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	if err := c.offered(pkg); err != nil {
		return result{}, err
	}
	t, findings, err := systemtemplate.FromEnvelope(pkg.Envelope(), systemtemplate.Options{Configuration: c.String("deployment-option"), Signed: pkg.Certificate() != nil, NoContent: true})
	if err != nil {
		return result{}, err
	}
	encode, err := c.encoder()
	if err != nil {
		return result{}, err
	}
	if err := printFindings(c.err, findings); err != nil {
		return result{}, err
	}
	if out := c.Args().Get(1); out != "" && out != "-" {
		return result{}, replace(out, func(f *os.File) error { return encode(f, t) })
	}
	if c.String("output") == "text" {
		return result{}, encode(c.out, t)
	}
	b, err := cimi.MarshalJSON(t)
	return result{json.RawMessage(b), nil}, err
}

func (c *call) encoder() (func(io.Writer, cimi.Resource) error, error) {
	switch format := c.String("format"); format {
	case "json":
		return cimi.EncodeJSON, nil
	case "xml":
		return cimi.EncodeXML, nil
	default:
		return nil, usage("--format is json or xml, not %q", format)
	}
}

func (c *call) templateToOVF(file string) (result, error) {
	if c.NArg() != 1 {
		return result{}, usage("template --to-ovf FILE takes OUT.ovf")
	}
	if err := checkFile(c.Args().First()); err != nil {
		return result{}, err
	}
	b, err := readFile(file, c.in, maxTemplate)
	if err != nil {
		return result{}, err
	}
	decode := cimi.DecodeJSON
	if bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n"), []byte("<")) {
		decode = cimi.DecodeXML
	}
	r, err := decode(b)
	if err != nil {
		return result{}, invalidTemplate(file, err)
	}
	t, ok := r.(*cimi.SystemTemplate)
	if !ok {
		return result{}, invalidTemplate(file, fmt.Errorf("it is a %s, not a SystemTemplate", r.TypeName()))
	}
	env, findings, err := systemtemplate.ToEnvelope(t, systemtemplate.Options{NoContent: true})
	if err != nil {
		return result{}, err
	}
	if err := printFindings(c.err, findings); err != nil {
		return result{}, err
	}
	if out := c.Args().First(); out != "-" {
		return result{}, replace(out, func(f *os.File) error { _, err := f.Write(env.Bytes()); return err })
	}
	_, err = c.out.Write(env.Bytes())
	return result{}, err
}

func invalidTemplate(file string, err error) error {
	return &ovf.DescriptorError{Package: file, Offset: -1, Message: "not a SystemTemplate", Err: err}
}

// readFile reads a file whole; "-" is standard input.
func readFile(name string, in io.Reader, most int64) ([]byte, error) {
	r := in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError{err.Error()}
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, usage("%s is longer than %d bytes", name, most)
	}
	return b, nil
}
