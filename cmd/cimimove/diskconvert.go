package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// diskConversion is the document of disk convert.
type diskConversion struct {
	In            string  `json:"in"`
	Out           string  `json:"out"`
	Format        string  `json:"format"`
	VirtualSize   int64   `json:"virtualSize"`
	ContentDigest *string `json:"contentDigest"` // null where it was not asked for
	FileSHA256    string  `json:"fileSHA256,omitempty"`
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
	opts := disk.EncodeOptions{Progress: diskProgress(c.show, in, "convert"), Variant: c.String("variant")}
	switch kind := c.String("digest"); kind {
	case "", noDigest:
		opts.NoDigest = true
	case contentDigest:
	case plainDigest:
		opts.FileDigest = true
	default:
		return result{}, usage("--digest is one of %q, not %q", digestKinds, kind)
	}
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
	doc := &diskConversion{In: in, Out: out, Format: string(to), VirtualSize: res.Info.Size}
	if res.HasDigest {
		sum := res.Digest.String()
		doc.ContentDigest = &sum
	}
	if opts.FileDigest {
		doc.FileSHA256 = hex.EncodeToString(res.FileDigest[:])
	}
	return result{doc, doc.text}, nil
}

func (d *diskConversion) text(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s of %d bytes", d.Out, d.Format, d.VirtualSize)
	if d.ContentDigest != nil {
		fmt.Fprintf(w, ", content %s", *d.ContentDigest)
	}
	if d.FileSHA256 != "" {
		fmt.Fprintf(w, ", file sha256 %s", d.FileSHA256)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// convertTo converts into a file, which can be sparse.
func (c *call) convertTo(ctx context.Context, in string, f *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if in == "-" {
		src, size, err := c.streamed()
		if err != nil {
			return disk.Result{}, err
		}
		return formats.ConvertStream(ctx, c.in, src, size, f, to, opts)
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
