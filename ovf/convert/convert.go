// Package convert writes a package anew: folder to OVA and back, its
// descriptor edited or in another version, its disks in another format,
// compressed or chunked otherwise, its manifest with another algorithm, signed.
//
// The package is read once, front to back, and its digests are checked as it
// passes, so that what cannot seek (a cloud's export, standard input) converts
// like a file. Nothing appears at the target before all digests agree. The
// descriptor differs only where it was edited or its files changed (DSP0243
// 7.1, 9.1).
package convert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/flatten"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Package writes pkg to target: an OVA when its name ends in .ova, a descriptor
// with its files beside it when it ends in .ovf, else a folder, or what
// opts.Create makes. A target that exists is replaced when all is written, but
// no file that is not of the package it replaces (dir.ErrNotReplaced). pkg
// stays the caller's to close.
func Package(ctx context.Context, pkg ovf.Package, target string, opts Options) (*Result, error) {
	descriptor := path.Base(pkg.Descriptor())
	if isDescriptor(target) {
		descriptor = path.Base(target)
	}
	c, err := begin(ctx, pkg, descriptor, opts)
	if err != nil {
		return c.result, err
	}
	defer c.close()
	w, err := c.create(ctx, target)
	if err != nil {
		return c.result, err
	}
	if err := c.write(ctx, w); err != nil {
		return c.result, errors.Join(err, end(ctx, w, err))
	}
	return c.result, nil
}

// write writes all of a package.
func (c *conversion) write(ctx context.Context, w ovf.Writer) error {
	if err := c.run(ctx, w); err != nil {
		return err
	}
	c.noticed()
	c.voidSignature()
	return w.Finish(ctx, c.env.Bytes())
}

// noticed adds what the package itself has to tell, when all of it has passed.
func (c *conversion) noticed() {
	r, ok := c.pkg.(ovf.Reporter)
	if !ok {
		return
	}
	for _, f := range r.Findings() {
		if !slices.Contains(c.result.Findings, f) {
			c.result.Findings = append(c.result.Findings, f)
		}
	}
}

func isDescriptor(target string) bool { return strings.EqualFold(path.Ext(target), ".ovf") }

// end gives up what was written, but for what is of use when the same is tried
// again: after an interruption, or a line that broke.
func end(ctx context.Context, w ovf.Writer, cause error) error {
	var (
		transfer *fetch.TransferError
		stall    *fetch.StallError
		status   *fetch.StatusError
		op       *net.OpError
	)
	again := ctx.Err() != nil || errors.As(cause, &transfer) || errors.As(cause, &stall) || errors.As(cause, &op) ||
		errors.As(cause, &status) && status.Temporary()
	if s, ok := w.(ovf.Suspender); ok && again {
		return s.Suspend()
	}
	return w.Abort()
}

// conversion is one package on its way.
type conversion struct {
	pkg    ovf.Package // its delta disks made whole where that is asked for
	name   string      // of the descriptor that is written
	env    *ovf.Envelope
	opts   Options
	out    map[string]*output // by ovf:id of the File
	closed func() error
	result *Result
	// companions, when not nil, are the manifest and certificate that stay.
	companions *ova.Companions
	signed     bool // what is written has a signature

	// What is looked up for each file, made when it is first asked for.
	held    map[string]bool  // see heldNames
	sizes   map[string]int64 // of stored files, by name
	spelled map[string]int   // entries of References by every spelling of their names
	places  map[string]int   // of files in References, by id
}

// begin edits the descriptor and says what will be written.
func begin(ctx context.Context, pkg ovf.Package, descriptor string, opts Options) (*conversion, error) {
	c := &conversion{pkg: pkg, name: descriptor, opts: opts, out: map[string]*output{}, result: &Result{}, closed: func() error { return nil }}
	if a, ok := pkg.(ovf.Arranger); ok {
		a.InReferencesOrder()
	}
	if (opts.Flatten || opts.DiskFormat != "") && flatten.Needed(pkg.Envelope()) {
		f, err := flatten.Package(ctx, pkg, flatten.Options{Spool: opts.Spool})
		if err != nil {
			return c, err
		}
		c.pkg, c.closed = f, f.Close
		c.result.Findings = append(c.result.Findings, f.Changes()...)
	}
	for _, step := range []func() error{c.edit, c.layOut, c.keep} {
		if err := step(); err != nil {
			return c, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *conversion) close() error { return c.closed() }

// edit makes the descriptor that will be written, but for what files turn out to be.
func (c *conversion) edit() error {
	c.env = c.pkg.Envelope().Clone()
	if v := c.opts.Version; v != "" && v != c.env.Version() {
		env, findings, err := c.env.ConvertTo(v)
		if err != nil {
			return &edit.Error{Object: "version", Err: err}
		}
		c.env = env
		c.result.Findings = append(c.result.Findings, findings...)
	}
	o := c.opts.Edit
	o.Add = slices.Clone(o.Add)
	for _, f := range c.opts.Add {
		o.Add = append(o.Add, ovf.File{ID: f.ID, Href: f.Href, Size: f.Size})
	}
	findings, err := edit.Apply(c.env, o)
	c.result.Findings = append(c.result.Findings, findings...)
	return err
}

func (c *conversion) find(id string, severity ovf.Severity, object, message, hint string) {
	c.result.Findings = append(c.result.Findings, ovf.Finding{ID: id, Severity: severity, Object: object, Message: message, Hint: hint})
}

// descriptorSize is how many bytes to reserve for the descriptor: sizes and
// names of files may change as they are written.
func (c *conversion) descriptorSize() int64 {
	const room = 256
	n := len(c.env.Bytes())
	for _, o := range c.out {
		if o.mayEdit && c.companions == nil {
			n += room
		}
	}
	return int64(n)
}

func (c *conversion) create(ctx context.Context, target string) (ovf.Writer, error) {
	switch {
	case c.opts.Create != nil:
		return c.opts.Create(ctx, target, c.archive())
	case strings.EqualFold(path.Ext(target), ".ova"):
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s: is a folder: %w", target, dir.ErrNotReplaced)
		}
		return ova.Create(target, c.archive())
	}
	into := isDescriptor(target)
	if into {
		target = path.Dir(target)
	}
	o := dir.WriterOptions{Descriptor: c.name, Into: into, Algorithm: c.opts.Algorithm, NoManifest: c.opts.NoManifest}
	if k := c.companions; k != nil {
		o.Companions = &dir.Companions{Manifest: k.Manifest, Certificate: k.Certificate}
	}
	if s := c.opts.Signer; s != nil && c.companions == nil {
		mf := manifestName(o.Descriptor)
		o.Sign = func(b []byte) ([]byte, error) { return s.Sign(mf, b) }
	}
	return dir.Create(target, o)
}

// archive is what is known of an archive before it is written.
func (c *conversion) archive() ova.WriterOptions {
	names, known := c.names()
	o := ova.WriterOptions{Descriptor: c.name, DescriptorSize: c.descriptorSize(), Files: names, ManifestLast: !known,
		Algorithm: c.opts.Algorithm, NoManifest: c.opts.NoManifest, Companions: c.companions}
	if !known {
		o.Files = nil
	}
	if s := c.opts.Signer; s != nil && c.companions == nil {
		mf := manifestName(o.Descriptor)
		o.Certificate = &ova.LayoutCertificate{Size: s.Size(mf), Sign: func(b []byte) ([]byte, error) { return s.Sign(mf, b) }}
	}
	return o
}

func manifestName(descriptor string) string {
	return strings.TrimSuffix(descriptor, path.Ext(descriptor)) + ".mf"
}

// voidSignature tells that the original was signed and what was written is not.
func (c *conversion) voidSignature() {
	if c.pkg.Certificate() != nil && !c.signed {
		c.find(RuleSignature, ovf.Warning, c.pkg.Descriptor(), "the package was signed; what is written is not", "cimimove sign signs it")
	}
}

// Preview is what a conversion would do to the descriptor.
type Preview struct {
	Before, After []byte
	Findings      []ovf.Finding
}

// Look tells what Package would do, without reading more than the descriptor.
// Sizes that only writing tells stay as they are.
func Look(ctx context.Context, pkg ovf.Package, opts Options) (*Preview, error) {
	before := pkg.Envelope().Bytes()
	opts.Flatten = false
	c, err := begin(ctx, pkg, path.Base(pkg.Descriptor()), opts)
	if err != nil {
		return &Preview{Before: before, After: before, Findings: c.result.Findings}, err
	}
	defer c.close()
	for id, o := range c.out {
		c.describe(id, o)
		if o.encode {
			c.describeDisk(id, disk.Result{}, false)
		}
	}
	c.signed = c.signed || c.opts.Signer != nil
	c.voidSignature()
	return &Preview{Before: before, After: c.env.Bytes(), Findings: c.result.Findings}, nil
}

// keep decides whether manifest and certificate stay as they are, byte for
// byte, or the manifest at least, to be signed.
func (c *conversion) keep() error {
	mf, certificate := c.pkg.Manifest(), c.pkg.Certificate()
	why := c.changed()
	if why == "" && mf == nil {
		why = "it has no manifest, or that comes last in a stream"
	}
	switch {
	case c.opts.Signer != nil:
		c.signed = true
		if c.opts.KeepSignature {
			return &edit.Error{Object: "signature", Message: "to be kept and to be made anew"}
		}
		if why == "" && c.provesAll(mf) {
			signature, err := c.opts.Signer.Sign(manifestName(c.name), mf)
			if err != nil {
				return err
			}
			c.companions = &ova.Companions{Manifest: mf, Certificate: signature}
		}
	case certificate != nil && why == "":
		c.companions, c.signed = &ova.Companions{Manifest: mf, Certificate: certificate}, true
	case c.opts.KeepSignature && certificate == nil:
		return &edit.Error{Object: "signature", Message: "the package has none to keep"}
	case c.opts.KeepSignature:
		return &edit.Error{Object: "signature", Message: "it cannot be kept: " + why}
	}
	return nil
}

// changed says why a manifest cannot stay; empty when nothing that it proves changes.
func (c *conversion) changed() string {
	switch {
	case c.opts.NoManifest, c.opts.Algorithm != "" && !onlyBy(c.pkg.Manifest(), c.opts.Algorithm):
		return "the manifest is written anew"
	case len(c.opts.Add) > 0:
		return "files are added"
	case c.name != c.pkg.Descriptor():
		return "the descriptor gets another name"
	case string(c.env.Bytes()) != string(c.pkg.Envelope().Bytes()):
		return "the descriptor is edited"
	}
	for _, f := range c.pkg.Envelope().Files() {
		if o := c.out[f.ID]; o != nil && !o.verbatim {
			return fmt.Sprintf("file %q is written otherwise", f.Href)
		}
	}
	if _, ok := c.pkg.(ovf.Opener); !ok {
		m, err := manifest.Parse(c.pkg.Manifest())
		if err != nil {
			return "the manifest cannot be read"
		}
		for _, e := range m.Entries {
			if _, ok := c.fileOf(e.Name); !ok && e.Name != c.pkg.Descriptor() {
				return fmt.Sprintf("the manifest lists %q, which References do not", e.Name)
			}
		}
	}
	return ""
}

// provesAll says whether a manifest lists every file and is spelled as the
// standard has it.
func (c *conversion) provesAll(mf []byte) bool {
	m, err := manifest.Parse(mf)
	if err != nil || len(m.Findings) > 0 {
		return false
	}
	listed := map[string]bool{}
	for _, e := range m.Entries {
		listed[e.Name] = true
	}
	names, known := c.names()
	for _, n := range append(names, c.pkg.Descriptor()) {
		if !listed[n] {
			return false
		}
	}
	return known
}

// onlyBy says whether a manifest has digests of one algorithm only.
func onlyBy(mf []byte, a manifest.Algorithm) bool {
	m, err := manifest.Parse(mf)
	return err == nil && slices.Equal(m.Algorithms(), []manifest.Algorithm{a})
}
