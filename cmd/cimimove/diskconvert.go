package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/ovf/beside"
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
	if err := checkFile(out); err != nil {
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
	if n := c.Int("compress"); c.IsSet("compress") && (n < 0 || n > 9) {
		return result{}, usage("--compress is a level from 0 to 9, not %d", n)
	}
	var res disk.Result
	switch {
	case out == "-":
		res, err = c.encode(ctx, in, c.out, to, opts)
	case special(out):
		res, err = c.encodeInto(ctx, in, out, to, opts)
	default:
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
	if c.streams(in) {
		src, size, err := c.streamed()
		if err != nil {
			return disk.Result{}, err
		}
		src.TempDir = filepath.Dir(f.Name())
		return formats.ConvertStream(ctx, c.in, src, size, f, to, opts)
	}
	img, _, done, err := c.image(ctx, in)
	if err != nil {
		return disk.Result{}, err
	}
	defer done()
	return formats.Convert(ctx, img, f, to, opts)
}

// encode converts into a stream. Formats whose map comes first need the whole of
// what is streamed in.
func (c *call) encode(ctx context.Context, in string, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if c.streams(in) && (to == disk.Raw || to == disk.VMDK) {
		src, size, err := c.streamed()
		if err != nil {
			return disk.Result{}, err
		}
		return formats.Transcode(ctx, c.in, src, size, w, to, opts)
	}
	img, _, done, err := c.image(ctx, in)
	if err != nil {
		return disk.Result{}, err
	}
	defer done()
	return formats.Encode(ctx, img, w, to, opts)
}

// streamed says what comes on standard input. A raw disk of which --size does
// not tell the size ends with the stream.
func (c *call) streamed() (formats.Source, int64, error) {
	declared, err := c.declared()
	src := formats.Source{Name: "-", Declared: declared, RawToEnd: true}
	if err != nil {
		return src, 0, err
	}
	size := int64(-1)
	if s := c.String("size"); s != "" {
		n, err := humanize.ParseBytes(s)
		if err != nil || n > math.MaxInt64 {
			return src, 0, usage("--size %q is not a size such as 8GiB", s)
		}
		size = int64(n)
	}
	return src, size, nil
}

// special tells whether name is there and no regular file: a device, a pipe. It
// is written to, and not replaced.
func special(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// encodeInto writes a stream to what is there under the name out.
func (c *call) encodeInto(ctx context.Context, in, out string, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	f, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil {
		return disk.Result{}, usageError{err.Error()}
	}
	res, err := c.encode(ctx, in, f, to, opts)
	if err == nil {
		err = settled(f)
	}
	return res, errors.Join(err, f.Close())
}

// settled waits until a device has what was written: it tells of what failed then,
// and never when it is closed. A pipe or a terminal has nothing to wait for.
func settled(f interface{ Sync() error }) error {
	if err := f.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// replace writes a file that appears under its name, complete, or not at all.
// A name that is a link stays one; into a device or a pipe it is written as it is.
func replace(name string, write func(*os.File) error) (err error) {
	if special(name) {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	if name, err = beside.Place(name); err != nil {
		return err
	}
	f, err := beside.File(filepath.Dir(name), filepath.Base(name))
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
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
