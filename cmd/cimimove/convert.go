package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/object"
)

// conversion is the document of convert.
type conversion struct {
	Package  string          `json:"package"`
	Out      string          `json:"out"`
	Disks    []convertedDisk `json:"disks"`
	Findings []ovf.Finding   `json:"findings"`
}

type convertedDisk struct {
	ID            string `json:"id"`
	Href          string `json:"href"`
	VirtualSize   int64  `json:"virtualSize"`
	ContentDigest string `json:"contentDigest"`
}

func convertPackage(ctx context.Context, c *call) (result, error) {
	opts, err := c.convertOptions()
	if err == nil {
		err = checkOut(c.Args().Get(1))
	}
	if err != nil {
		return result{}, err
	}
	pkg, err := c.pkg(ctx, c.Args().Get(0))
	if err != nil {
		return result{}, err
	}
	defer pkg.Close()
	return c.write(ctx, pkg, c.Args().Get(1), opts)
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
			return result{}, err
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
		return result{}, uploading(out, err)
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

// convertOptions reads --disk-format, --compress and --sha.
func (c *call) convertOptions() (convert.Options, error) {
	var o convert.Options
	if s := c.String("disk-format"); s != "" {
		f, err := diskFormat(s)
		if err != nil {
			return o, err
		}
		o.DiskFormat, o.Recompress = f, c.IsSet("compress")
	}
	if c.IsSet("compress") {
		if o.DiskFormat == "" {
			o.DiskFormat, o.Recompress = disk.VMDK, true
		}
		o.Level = compressionLevel(c.Int("compress"))
	}
	if s := c.String("sha"); s != "" {
		a, ok := manifest.ParseAlgorithm(s)
		if !ok {
			return o, usage("--sha is sha1, sha256 or sha512, not %q", s)
		}
		o.Algorithm = a
	}
	if v := c.String("ovf-version"); v != "" {
		return o, notOffered("--ovf-version", "changing the version of a descriptor")
	}
	for _, f := range []string{"sign-key", "sign-cert"} {
		if c.String(f) != "" {
			return o, notOffered("--"+f, "signing")
		}
	}
	return o, nil
}

// compressionLevel turns the command line's 0 (stored) to 9 into the library's.
func compressionLevel(n int) int {
	if n == 0 {
		return disk.LevelStored
	}
	return n
}

func diskFormat(s string) (disk.Format, error) {
	all := []disk.Format{disk.Raw, disk.QCOW2, disk.VMDK, disk.VMDKSparse, disk.VHD, disk.VHDX, disk.VDI}
	for _, f := range all {
		if string(f) == s {
			return f, nil
		}
	}
	return "", usage("disk format %q; it is one of %v", s, all)
}

// notOffered refuses what a later version will do.
func notOffered(object, what string) error {
	return &migrate.Error{Object: object, Class: migrate.ClassRefused, Err: fmt.Errorf("%s is not offered by this version", what)}
}
