// Package check checks a package whole: its descriptor by the rules of
// ovf/validate, the files it names, their digests (DSP0243 5.1), and that every
// disk can be read from its first byte to its last.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/flatten"
	"github.com/cimimove/cimimove/ovf/images"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/validate"
)

// Rules of a package's content, beside those of ovf/validate.
const (
	RuleDigest  = "OVF-MF-010"   // a digest does not match the manifest
	RuleContent = "OVF-DISK-020" // a disk cannot be read
	RulePackage = "OVF-PKG-001"  // the archive or folder cannot be read
	RuleSize    = "DISK-SIZE-001"

	ruleMissing = "OVF-REF-011" // of ovf/validate: a File is not in the package
)

// Quick gives the findings that need the descriptor and the headers of disks
// only: what inspect shows.
func Quick(ctx context.Context, pkg ovf.Package) []ovf.Finding {
	r := &reading{pkg: pkg}
	r.bootDisks(ctx)
	return append(append(described(ctx, pkg), r.findings...), reported(pkg)...)
}

// described are the findings about the descriptor and what it names.
func described(ctx context.Context, pkg ovf.Package) []ovf.Finding {
	findings := validate.Validate(pkg.Envelope(), validate.Options{Inventory: inventoryOf(ctx, pkg)})
	for i := range findings {
		if findings[i].ID != ruleMissing {
			continue
		}
		if hint := instead(pkg, findings[i].Object); hint != "" {
			findings[i].Hint = hint
		}
	}
	return findings
}

func reported(pkg ovf.Package) []ovf.Finding {
	if r, ok := pkg.(ovf.Reporter); ok {
		return r.Findings()
	}
	return nil
}

// Options of Package; the zero value checks as much as can be checked.
type Options struct {
	// Signature is what is asked of the package's signature.
	Signature cert.Demand
	// Targets are platforms for which to tell what they would not take.
	Targets []validate.Target
	// Spool is the folder for temporary files, which some disks need; empty: the system's.
	Spool string
	// Allow are ids of rules whose errors do not make a package invalid; what the
	// reading itself ends with does all the same.
	Allow []string
	// Remote says which files on web servers are fetched; others are not checked,
	// which is a finding.
	Remote remote.Options
	// Progress is told of each disk's content in bytes; may be nil.
	Progress func(disk string, done, total int64)
}

// Package reads everything once. The findings say all that is wrong as far as
// reading got; the error, if any, is the first that a package must not have:
// an *ovf.IntegrityError, or one that wraps an *ovf.DescriptorError,
// *ovf.MissingFileError or disk.ErrCorrupt. An error of another kind is the
// reader's: the package could not be judged.
func Package(ctx context.Context, pkg ovf.Package, opts Options) ([]ovf.Finding, error) {
	findings := described(ctx, pkg)
	c := &reading{pkg: pkg, opts: opts}
	err := c.read(ctx)
	// The manifest of a stream is known when it has passed.
	for _, target := range opts.Targets {
		more, err := validate.Portability(pkg.Envelope(), target, algorithms(pkg)...)
		if err != nil {
			return findings, err
		}
		findings = append(findings, more...)
	}
	findings = append(append(findings, c.findings...), reported(pkg)...)
	if judged(err) {
		_, more, wrong := opts.Signature.Judge(pkg.Name(), cert.ManifestName(pkg), pkg.Manifest(), pkg.Certificate())
		findings = append(findings, more...)
		if err == nil && wrong != nil {
			return findings, wrong // of which there is a finding
		}
	}
	if f, ok := findingOf(err); ok {
		if !slices.ContainsFunc(findings, func(g ovf.Finding) bool { return g.Severity == ovf.Error && g.Object == f.Object }) {
			findings = append(findings, f)
		}
	}
	if err == nil {
		for _, f := range findings {
			if f.Severity == ovf.Error && !slices.Contains(opts.Allow, f.ID) {
				return findings, &ovf.DescriptorError{Package: pkg.Name(), Object: f.Object, Offset: -1, Message: f.Message + " (" + f.ID + ")"}
			}
		}
	}
	return findings, err
}

// algorithms are those of the digests of a package's manifest.
func algorithms(pkg ovf.Package) []string {
	m, err := manifest.Parse(pkg.Manifest())
	if pkg.Manifest() == nil || err != nil {
		return nil
	}
	var out []string
	for _, a := range m.Algorithms() {
		out = append(out, string(a))
	}
	return out
}

// judged tells an error about the package, or none, from one of reading it.
func judged(err error) bool {
	_, ok := findingOf(err)
	return err == nil || ok || aboutDisk(err)
}

func aboutDisk(err error) bool {
	return errors.Is(err, disk.ErrCorrupt) || errors.Is(err, disk.ErrWrongFormat) || errors.Is(err, disk.ErrUnsupported)
}

// reading is one pass through a package.
type reading struct {
	pkg      ovf.Package
	opts     Options
	findings []ovf.Finding
}

// read reads every file to its end, and every disk's content.
func (r *reading) read(ctx context.Context) error {
	pkg := r.pkg
	if remote.Needed(pkg.Envelope()) {
		opts := r.opts.Remote
		opts.Leave = true
		g, err := remote.Package(pkg, opts)
		if err != nil {
			return err
		}
		defer func() {
			g.Close()
			r.findings = append(r.findings, g.Left()...)
		}()
		pkg = g
	}
	if flatten.Needed(pkg.Envelope()) {
		w, err := flatten.Package(ctx, pkg, flatten.Options{Spool: r.opts.Spool, Level: disk.LevelStored})
		if err != nil {
			return err
		}
		defer w.Close()
		pkg = w
	}
	disks := map[string][]ovf.Disk{} // by File id
	for _, d := range pkg.Envelope().Disks() {
		if d.FileRef != "" {
			disks[d.FileRef] = append(disks[d.FileRef], d)
		}
	}
	var unreadable error
	opts := files.Options{MaxSize: func(f ovf.File) int64 { return bound(disks[f.ID]) }}
	for content, err := range files.Contents(ctx, pkg, opts) {
		if err != nil {
			return err
		}
		of := disks[content.File.ID]
		if content.Unreferenced || len(of) == 0 {
			continue // skipping digests all the same
		}
		if err := r.disk(ctx, pkg, content, of[0]); err != nil {
			var integrity *ovf.IntegrityError
			var descriptor *ovf.DescriptorError
			if errors.As(err, &integrity) || errors.As(err, &descriptor) || !aboutDisk(err) {
				return err
			}
			// A wrong digest says more than what it broke, so the rest of the file
			// is read before the disk is blamed.
			// One that was proved beside its reading is closed then.
			if _, drainErr := io.Copy(io.Discard, content.Reader); drainErr != nil && !errors.Is(drainErr, io.ErrClosedPipe) {
				return drainErr
			}
			if unreadable == nil {
				unreadable = err
			}
			r.add(RuleContent, ovf.Error, content.Name, err.Error())
		}
	}
	return unreadable
}

func (r *reading) add(id string, severity ovf.Severity, object, message string) {
	r.findings = append(r.findings, ovf.Finding{ID: id, Severity: severity, Object: object, Message: message, Clause: "DSP0243 9.1"})
}

func (r *reading) disk(ctx context.Context, pkg ovf.Package, content *files.Content, d ovf.Disk) error {
	declared, _ := formats.OfURI(d.ContentFormat())
	capacity, err := d.CapacityBytes()
	if err != nil {
		capacity = -1 // a finding of its own
	}
	opts := disk.DecodeOptions{Name: content.Name, NoDigest: true}
	if r.opts.Progress != nil {
		opts.Progress = func(done, total int64) { r.opts.Progress(d.ID, done, total) }
	}
	start := &beginning{}
	res, err := images.Reader{Package: pkg, Spool: r.opts.Spool}.Decode(ctx, content, formats.Source{Name: content.ImageName(), Declared: declared}, content.ImageSize(capacity), start, opts)
	var integrity *ovf.IntegrityError
	var descriptor *ovf.DescriptorError
	switch {
	case errors.As(err, &integrity), errors.As(err, &descriptor):
		return err // it names the package
	case err != nil:
		return fmt.Errorf("%s: %w", pkg.Name(), err)
	}
	if capacity >= 0 && res.Info.Size > capacity {
		r.add(RuleSize, ovf.Warning, d.ID, fmt.Sprintf("the disk in %s has %d bytes, its capacity is given as %d; the larger one counts", content.Name, res.Info.Size, capacity))
	}
	if res.Info.Format == disk.Raw && res.Info.Size < capacity {
		r.add(RuleSize, ovf.Warning, d.ID, fmt.Sprintf("%s has %d bytes, the capacity of its disk is given as %d; what is missing reads as zeros", content.Name, res.Info.Size, capacity))
	}
	r.firmware(d, start)
	return nil
}

// bound is how much the content of a disk's file may expand to.
func bound(disks []ovf.Disk) int64 {
	most := int64(-1)
	for _, d := range disks {
		if c, err := d.CapacityBytes(); err == nil {
			most = max(most, c+c/8+64<<20)
		}
	}
	return most
}

// findingOf is an error as a finding, for the document of validate.
func findingOf(err error) (ovf.Finding, bool) {
	var (
		integrity  *ovf.IntegrityError
		missing    *ovf.MissingFileError
		descriptor *ovf.DescriptorError
	)
	switch {
	case errors.As(err, &integrity):
		return ovf.Finding{ID: RuleDigest, Severity: ovf.Error, Object: integrity.File, Message: without(integrity.Error(), integrity.Package, integrity.File), Clause: "DSP0243 5.1",
			Hint: "fetch the package again: the file is not the one that its manifest was made of; --manifest ignore takes it as it is"}, true
	case errors.As(err, &missing):
		object := missing.Href
		if missing.FileID != "" {
			object = "file " + missing.FileID // as the rules name it
		}
		return ovf.Finding{ID: ruleMissing, Severity: ovf.Error, Object: object, Message: without(missing.Error(), missing.Package), Clause: "DSP0243 7.1",
			Hint: "fetch the file, or export the package again"}, true
	case errors.As(err, &descriptor):
		return ovf.Finding{ID: RulePackage, Severity: ovf.Error, Object: descriptor.Object, Message: without(descriptor.Error(), descriptor.Package, descriptor.Object)}, true
	}
	return ovf.Finding{}, false
}

// without is a message without what it begins with and a finding says beside it.
func without(message string, said ...string) string {
	for _, s := range said {
		if s != "" {
			message = strings.TrimPrefix(message, s+": ")
		}
	}
	return message
}
