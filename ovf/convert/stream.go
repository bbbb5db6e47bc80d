package convert

import (
	"context"
	"errors"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// ErrCannotStream: sizes must be known before bytes where the target cannot seek.
var ErrCannotStream = errors.New("an OVA on standard output needs a package that can be read anywhere, with its disks as they are; write to a file instead")

// Stream writes pkg to w as an OVA, files as they are, manifest last. The
// digests of pkg's own manifest are checked as files pass; on error w holds a
// part and what reads it finds a truncated archive.
func Stream(ctx context.Context, pkg ovf.Package, w io.Writer, opts Options) (*Result, error) {
	o, ok := pkg.(ovf.Opener)
	if !ok || opts.DiskFormat != "" {
		return nil, ErrCannotStream
	}
	c := &conversion{pkg: pkg, result: &Result{}}
	spec := ova.LayoutSpec{Name: pkg.Name(), Descriptor: pkg.Descriptor(), Envelope: pkg.Envelope().Bytes(), Algorithm: opts.Algorithm, NoManifest: opts.NoManifest}
	promised := map[string]manifest.Entry{}
	if m, err := manifest.Parse(pkg.Manifest()); err == nil {
		for _, e := range m.Entries {
			promised[e.Name] = e
		}
	}
	for _, m := range o.Members() {
		if m.Name == pkg.Descriptor() || isBeside(m.Name, pkg.Descriptor()) {
			continue
		}
		f, err := o.Open(ctx, m.Name)
		if err != nil {
			return c.result, err
		}
		defer f.Close()
		spec.Files = append(spec.Files, ova.LayoutFile{Name: m.Name, Size: m.Size, Content: f})
	}
	if pkg.Certificate() != nil {
		c.find(RuleSignature, ovf.Warning, pkg.Descriptor(), "the package was signed; what is written is not", "cimimove sign signs it")
	}
	layout, err := ova.NewLayout(spec)
	if err != nil {
		return c.result, err
	}
	if err := layout.Stream(ctx, w); err != nil {
		return c.result, err
	}
	for name, digest := range layout.Digests() {
		if e, ok := promised[name]; ok && e.Algorithm == layout.Algorithm() && e.Digest != digest {
			return c.result, &ovf.IntegrityError{Package: pkg.Name(), File: name, Algorithm: string(e.Algorithm), Expected: e.Digest, Actual: digest}
		}
	}
	return c.result, nil
}
