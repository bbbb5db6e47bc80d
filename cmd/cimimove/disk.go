package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// The values of --digest.
const (
	contentDigest = "content"
	plainDigest   = "sha256"
	noDigest      = "none"
)

var digestKinds = []string{contentDigest, plainDigest, noDigest}

// diskInfoDocument is the document of disk info (cli.md, "Output").
type diskInfoDocument struct {
	Path           string  `json:"path"`
	Format         string  `json:"format"`
	Variant        string  `json:"variant"`
	VirtualSize    int64   `json:"virtualSize"`
	AllocatedBytes int64   `json:"allocatedBytes"`
	FileSize       int64   `json:"fileSize"`
	ContentDigest  *string `json:"contentDigest"` // null where it was not asked for
	SHA256         string  `json:"sha256,omitempty"`
}

func diskInfo(ctx context.Context, c *call) (result, error) {
	path := c.Args().First()
	img, size, done, err := c.image(ctx, path)
	if err != nil {
		return result{}, err
	}
	defer done()
	info := img.Info()
	doc := &diskInfoDocument{Path: path, Format: string(info.Format), Variant: info.Variant, VirtualSize: img.Size(), FileSize: size}
	if doc.AllocatedBytes, err = disk.Allocated(ctx, img); err != nil {
		return result{}, err
	}
	follow := diskProgress(c.show, path, "digest")
	switch kind := c.String("digest"); kind {
	case "", noDigest:
	case contentDigest:
		d, err := disk.ContentDigest(ctx, img, img.Size(), follow)
		if err != nil {
			return result{}, err
		}
		sum := d.String()
		doc.ContentDigest = &sum
	case plainDigest:
		d, err := disk.PlainDigest(ctx, img, img.Size(), 0, follow)
		if err != nil {
			return result{}, err
		}
		doc.SHA256 = hex.EncodeToString(d[:])
	default:
		return result{}, usage("--digest is one of %q, not %q", digestKinds, kind)
	}
	return result{doc, doc.text}, nil
}

func (d *diskInfoDocument) text(w io.Writer) error {
	variant := ""
	if d.Variant != "" {
		variant = " (" + d.Variant + ")"
	}
	fmt.Fprintf(w, "%s: %s%s\nvirtual size  %d bytes (%s)\nallocated     %d bytes (%s)\nfile          %d bytes (%s)\n", d.Path, d.Format, variant,
		d.VirtualSize, humanize.IBytes(uint64(d.VirtualSize)), d.AllocatedBytes, humanize.IBytes(uint64(max(0, d.AllocatedBytes))), d.FileSize, humanize.IBytes(uint64(d.FileSize)))
	if d.ContentDigest != nil {
		fmt.Fprintf(w, "content       %s\n", *d.ContentDigest)
	}
	if d.SHA256 != "" {
		fmt.Fprintf(w, "sha256        %s\n", d.SHA256)
	}
	return nil
}

func diskProgress(show progress, name, phase string) disk.Progress {
	return func(done, total int64) {
		show.event(migrate.Event{Disk: filepath.Base(name), Phase: phase, Done: done, Total: total})
	}
}

// declared is what --from says.
func (c *call) declared() (disk.Format, error) {
	if from := c.String("from"); from != "" {
		return diskFormat(from)
	}
	return "", nil
}

// streams tells whether path is standard input and that no file, which could be
// read anywhere.
func (c *call) streams(path string) bool {
	in, ok := c.in.(*interruptibleReader)
	return path == "-" && (!ok || in.file() == nil)
}

// image opens a disk image file, or keeps one that is streamed.
func (c *call) image(ctx context.Context, path string) (disk.Image, int64, func(), error) {
	declared, err := c.declared()
	if err != nil {
		return nil, 0, nil, err
	}
	src := formats.Source{Name: path, Declared: declared}
	if c.streams(path) {
		img, size, err := formats.OpenStream(ctx, c.in, src)
		if err != nil {
			return nil, 0, nil, err
		}
		return img, size, func() { img.Close() }, nil
	}
	f, size, err := c.imageFile(path)
	if err != nil {
		return nil, 0, nil, err
	}
	img, err := formats.OpenFile(f, size, src)
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	return img, size, func() { img.Close(); f.Close() }, nil
}

// imageFile opens a file or a device, whose size is where it ends.
func (c *call) imageFile(path string) (f *os.File, size int64, err error) {
	if path == "-" {
		f = c.in.(*interruptibleReader).file()
	} else if f, err = os.Open(path); err != nil {
		return nil, 0, usageError{err.Error()}
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Mode().IsRegular():
		return f, info.Size(), nil
	case info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0:
		if size, err = f.Seek(0, io.SeekEnd); err == nil {
			return f, size, nil
		}
	default:
		err = usage("%s is not a file", path)
	}
	f.Close()
	return nil, 0, err
}

// comparison is the document of disk compare.
type comparison struct {
	A               string `json:"a"`
	B               string `json:"b"`
	Equal           bool   `json:"equal"`
	FirstDifference *int64 `json:"firstDifference,omitempty"` // byte offset of the content
	SizeA           int64  `json:"sizeA"`
	SizeB           int64  `json:"sizeB"`
}

// errDiffer: the disks do not have the same content.
var errDiffer = errors.New("contents differ")

func diskCompare(ctx context.Context, c *call) (result, error) {
	names := [2]string{c.Args().Get(0), c.Args().Get(1)}
	var images [2]disk.Image
	for i, name := range names {
		img, _, done, err := c.image(ctx, name)
		if err != nil {
			return result{}, err
		}
		defer done()
		images[i] = img
	}
	at, equal, err := disk.Compare(ctx, images[0], images[1])
	if err != nil {
		return result{}, err
	}
	doc := &comparison{A: names[0], B: names[1], Equal: equal, SizeA: images[0].Size(), SizeB: images[1].Size()}
	if equal {
		return result{doc, func(w io.Writer) error { _, err := fmt.Fprintln(w, "same content"); return err }}, nil
	}
	doc.FirstDifference = &at
	return result{doc, nil}, &migrate.Error{Side: migrate.Conversion, Object: names[1], Class: migrate.ClassIntegrity,
		Err: fmt.Errorf("%w from %s at byte %d", errDiffer, names[0], at)}
}
