package convert

import (
	"context"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/images"
)

func (c *conversion) run(ctx context.Context, w ovf.Writer) error {
	opts := files.Options{
		MaxSize: func(f ovf.File) int64 {
			if o := c.out[f.ID]; o != nil && o.inflate && o.disk {
				return bound(o.capacity)
			}
			return -1
		},
		RawFile: func(f ovf.File) bool { o := c.out[f.ID]; return o == nil || !o.inflate },
	}
	_, anywhere := c.pkg.(ovf.Opener)
	added := false
	last := -1
	for content, err := range files.Contents(ctx, c.pkg, opts) {
		if err != nil {
			return err
		}
		switch {
		case !content.Unreferenced:
			if at := c.place(content.File.ID); at < last {
				c.find(RuleOrder, ovf.Warning, content.File.Href, "comes in another order than in References, and is written so", "convert from a file instead of a stream")
			} else {
				last = at
			}
			if err := c.file(ctx, w, content); err != nil {
				return err
			}
		case !anywhere:
			c.find(RuleUnreferenced, ovf.Warning, content.Name, "is in the package but not in References, and is left out", "convert from a file instead of a stream keeps it")
		default:
			if !added {
				added = true
				if err := c.add(ctx, w); err != nil {
					return err
				}
			}
			if _, err := c.copy(ctx, w, &output{name: content.Name}, content.Reader); err != nil {
				return err
			}
		}
	}
	if added {
		return nil
	}
	return c.add(ctx, w)
}

// place is the position of a file in References.
func (c *conversion) place(id string) int {
	if c.places == nil {
		c.places = map[string]int{}
		for i, f := range c.env.Files() {
			if _, twice := c.places[f.ID]; !twice {
				c.places[f.ID] = i
			}
		}
	}
	if i, ok := c.places[id]; ok {
		return i
	}
	return -1
}

// bound is how much a disk of that capacity may expand to: formats add tables.
func bound(capacity int64) int64 {
	if capacity <= 0 {
		return -1
	}
	return capacity + capacity/8 + 64<<20
}

// file writes one file of References.
func (c *conversion) file(ctx context.Context, w ovf.Writer, content *files.Content) error {
	o := c.out[content.File.ID]
	if o == nil {
		return nil // removed; skipping digests it all the same
	}
	var n int64
	var err error
	if o.encode {
		n, err = c.encode(ctx, w, o, content)
	} else {
		n, err = c.copy(ctx, w, o, content.Reader)
	}
	if err != nil {
		return err
	}
	c.describe(content.File.ID, o)
	for _, f := range c.entries(content.File.ID) {
		if f.Size != n && (f.Size >= 0 || o.encode) && c.companions == nil {
			f.SetSize(n)
		}
	}
	return nil
}

// entries are those of References that list a file: some producers list it twice.
func (c *conversion) entries(id string) (out []ovf.File) {
	for _, f := range c.env.Files() {
		if f.ID == id && (len(out) == 0 || f.Href == out[0].Href) {
			out = append(out, f)
		}
	}
	return out
}

// describe says in References what becomes of a file, its size apart.
func (c *conversion) describe(id string, o *output) {
	for _, f := range c.entries(id) {
		if f.Href != o.href {
			f.SetHref(o.href)
		}
		if o.inflate {
			switch {
			case o.compression != compression.Identity:
				f.SetCompression(string(o.compression))
			case f.Compression != "":
				f.SetCompression("")
			}
		}
		if f.ChunkSize != o.chunk {
			f.SetChunkSize(o.chunk)
		}
	}
}

// put writes what produce writes, compressed and in chunks as o says, and
// answers how many bytes are stored.
func (c *conversion) put(ctx context.Context, w ovf.Writer, o *output, compressed bool, produce func(io.Writer) error) (int64, error) {
	out := &chunks{ctx: ctx, w: w, name: o.name, size: o.chunk}
	defer out.abandon()
	var to io.Writer = out
	var packer io.WriteCloser
	if compressed {
		var err error
		if packer, err = compression.Writer(o.compression, out, level(c.opts.Level)); err != nil {
			return 0, err
		}
		to = packer
	}
	if err := produce(to); err != nil {
		return 0, err
	}
	if packer != nil {
		if err := packer.Close(); err != nil {
			return 0, err
		}
	}
	return out.total, out.Close()
}

func level(l int) int {
	if l == disk.LevelStored {
		return 1
	}
	return l
}

func (c *conversion) copy(ctx context.Context, w ovf.Writer, o *output, r io.Reader) (int64, error) {
	return c.put(ctx, w, o, o.inflate, func(to io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{to}, reading{ctx, r}, make([]byte, 1<<20))
		return err
	})
}

func (c *conversion) encode(ctx context.Context, w ovf.Writer, o *output, content *files.Content) (int64, error) {
	id := content.File.ID
	ids := c.disksOf(id)
	opts := disk.EncodeOptions{Level: c.opts.Level}
	if c.opts.Progress != nil && len(ids) > 0 {
		opts.Progress = func(done, total int64) { c.opts.Progress(ids[0], done, total) }
	}
	src := formats.Source{Name: content.ImageName(), Declared: c.declared(id)}
	r := images.Reader{Package: c.pkg, Spool: c.opts.Spool}
	var res disk.Result
	n, err := c.put(ctx, w, o, true, func(to io.Writer) (err error) {
		if res, err = r.Encode(ctx, content, src, content.ImageSize(o.capacity), to, c.opts.DiskFormat, opts); err != nil {
			err = fmt.Errorf("%s: %s: %w", c.pkg.Name(), content.Name, err)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	c.describeDisk(id, res, true)
	for _, id := range ids {
		c.result.Disks = append(c.result.Disks, Disk{ID: id, Href: o.href, Size: res.Info.Size, Digest: res.Digest})
	}
	return n, nil
}

// describeDisk says in the descriptor what the file of a disk is now; done says
// that res tells of it.
func (c *conversion) describeDisk(fileID string, res disk.Result, done bool) {
	for _, d := range c.env.Disks() {
		if d.FileRef != fileID {
			continue
		}
		if uri, ok := formats.URI(c.opts.DiskFormat); ok && d.ContentFormat() != uri {
			d.SetFormat(uri)
		}
		if done && d.PopulatedSize >= 0 && d.PopulatedSize != res.DataBytes {
			d.SetPopulatedSize(res.DataBytes)
		}
	}
}

func (c *conversion) disksOf(fileID string) []string {
	var ids []string
	for _, d := range c.env.Disks() {
		if d.FileRef == fileID {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// declared is the format that the descriptor promises for a file; an unknown
// URI promises nothing.
func (c *conversion) declared(fileID string) disk.Format {
	for _, d := range c.pkg.Envelope().Disks() {
		if d.FileRef == fileID {
			if f, ok := formats.OfURI(d.ContentFormat()); ok {
				return f
			}
		}
	}
	return ""
}

// add writes the files that come to the package.
func (c *conversion) add(ctx context.Context, w ovf.Writer) error {
	for _, f := range c.opts.Add {
		r, err := f.Open(ctx)
		if err != nil {
			return err
		}
		o := &output{name: f.Href, chunk: c.chunkOf(f)}
		n, err := c.copy(ctx, w, o, r)
		r.Close()
		if err != nil {
			return err
		}
		if n != f.Size {
			return fmt.Errorf("%s: has %d bytes, it had %d", f.Href, n, f.Size)
		}
		if o.chunk > 0 {
			if entry, ok := c.env.File(f.ID); ok {
				entry.SetChunkSize(o.chunk)
			}
		}
	}
	return nil
}

// reading ends when ctx does.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
