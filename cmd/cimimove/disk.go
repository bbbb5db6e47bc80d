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

// diskInfoDocument is the document of disk info (cli.md, "Output").
type diskInfoDocument struct {
	Path           string `json:"path"`
	Format         string `json:"format"`
	Variant        string `json:"variant"`
	VirtualSize    int64  `json:"virtualSize"`
	AllocatedBytes int64  `json:"allocatedBytes"`
	FileSize       int64  `json:"fileSize"`
	ContentDigest  string `json:"contentDigest,omitempty"`
	SHA256         string `json:"sha256,omitempty"`
}

func diskInfo(ctx context.Context, c *call) (result, error) {
	path := c.Args().First()
	img, size, done, err := c.image(path, c.String("from"))
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
	case "":
	case "content":
		d, err := disk.ContentDigest(ctx, img, img.Size(), follow)
		if err != nil {
			return result{}, err
		}
		doc.ContentDigest = d.String()
	case "sha256":
		d, err := disk.PlainDigest(ctx, img, img.Size(), follow)
		if err != nil {
			return result{}, err
		}
		doc.SHA256 = hex.EncodeToString(d[:])
	default:
		return result{}, usage("--digest is content or sha256, not %q", kind)
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
	if d.ContentDigest != "" {
		fmt.Fprintf(w, "content       %s\n", d.ContentDigest)
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

// image opens a disk image file.
func (c *call) image(path, from string) (disk.Image, int64, func(), error) {
	declared := disk.Format("")
	if from != "" {
		var err error
		if declared, err = diskFormat(from); err != nil {
			return nil, 0, nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, nil, usageError{err.Error()}
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeDevice == 0 {
		err = usage("%s is not a file", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	size := info.Size()
	if info.Mode()&os.ModeDevice != 0 {
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			f.Close()
			return nil, 0, nil, err
		}
	}
	img, err := formats.OpenFile(f, size, formats.Source{Name: path, Declared: declared})
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	return img, size, func() { img.Close(); f.Close() }, nil
}

// diskConversion is the document of disk convert.
type diskConversion struct {
	In            string `json:"in"`
	Out           string `json:"out"`
	Format        string `json:"format"`
	VirtualSize   int64  `json:"virtualSize"`
	ContentDigest string `json:"contentDigest"`
}

func diskConvert(ctx context.Context, c *call) (result, error) {
	in, out := c.Args().Get(0), c.Args().Get(1)
	if c.String("to") == "" {
		return result{}, usage("disk convert needs --to FORMAT")
	}
	to, err := diskFormat(c.String("to"))
	if err != nil {
		return result{}, err
	}
	if err := checkOut(out); err != nil {
		return result{}, err
	}
	opts := disk.EncodeOptions{Progress: diskProgress(c.show, in, "convert")}
	if c.IsSet("compress") {
		opts.Level = compressionLevel(c.Int("compress"))
	}
	var res disk.Result
	if out == "-" {
		res, err = c.encode(ctx, in, c.out, to, opts)
	} else {
		err = replace(out, func(f *os.File) error {
			res, err = c.convertTo(ctx, in, f, to, opts)
			return err
		})
	}
	if err != nil || out == "-" {
		return result{}, err
	}
	doc := &diskConversion{in, out, string(to), res.Info.Size, ""}
	if res.HasDigest {
		doc.ContentDigest = res.Digest.String()
	}
	return result{doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s of %d bytes, content %s\n", out, to, doc.VirtualSize, doc.ContentDigest)
		return err
	}}, nil
}

// convertTo converts into a file, which can be sparse.
func (c *call) convertTo(ctx context.Context, in string, f *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if in == "-" {
		src, size, err := c.streamed()
		if err != nil {
			return disk.Result{}, err
		}
		if to == disk.Raw {
			return formats.ConvertStream(ctx, c.in, src, size, f, to, disk.DecodeOptions{Progress: opts.Progress})
		}
		return formats.Transcode(ctx, c.in, src, size, f, to, opts)
	}
	img, _, done, err := c.image(in, c.String("from"))
	if err != nil {
		return disk.Result{}, err
	}
	defer done()
	return formats.Convert(ctx, img, f, to, opts)
}

// encode converts into a stream.
func (c *call) encode(ctx context.Context, in string, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if in == "-" {
		src, size, err := c.streamed()
		if err != nil {
			return disk.Result{}, err
		}
		return formats.Transcode(ctx, c.in, src, size, w, to, opts)
	}
	img, _, done, err := c.image(in, c.String("from"))
	if err != nil {
		return disk.Result{}, err
	}
	defer done()
	return formats.Encode(ctx, img, w, to, opts)
}

// streamed says what comes on standard input. A raw disk does not tell its
// size, so that is asked for.
func (c *call) streamed() (formats.Source, int64, error) {
	src := formats.Source{Name: "-"}
	if from := c.String("from"); from != "" {
		var err error
		if src.Declared, err = diskFormat(from); err != nil {
			return src, 0, err
		}
	}
	size := int64(-1)
	if s := c.String("size"); s != "" {
		n, err := humanize.ParseBytes(s)
		if err != nil {
			return src, 0, usage("--size %q is not a size such as 8GiB", s)
		}
		size = int64(n)
	}
	if src.Declared == disk.Raw && size < 0 {
		return src, 0, usage("a raw disk on standard input needs --size BYTES")
	}
	return src, size, nil
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
		img, _, done, err := c.image(name, c.String("from"))
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

// replace writes a file that appears under its name, complete, or not at all.
func replace(name string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
