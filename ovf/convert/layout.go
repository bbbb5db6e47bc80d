package convert

import (
	"fmt"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// output is what becomes of a file of References.
type output struct {
	href        string // in References
	name        string // of the stored file; of the whole where that is in chunks
	disk        bool   // a Disk has its content in it
	capacity    int64
	encode      bool               // the disk is encoded anew
	inflate     bool               // the stored compression is undone
	compression compression.Format // of what is written, where it is not copied
	chunk       int64              // 0: in one piece
	// stored is the length of the bytes that will be written, -1 when only writing
	// tells.
	stored   int64
	verbatim bool // the stored bytes stay as they are, under their names
	mayEdit  bool // the entry of References may change as it is written
}

// maxChunks is how many files a file is written as at most.
const maxChunks = 10_000

// layOut says what will be written of each file that the edited descriptor names.
// An href that leaves the package is a *ovf.DescriptorError.
func (c *conversion) layOut() error {
	capacity := map[string]int64{}
	for _, d := range c.pkg.Envelope().Disks() {
		if d.FileRef == "" {
			continue
		}
		// A capacity that cannot be read is no bound; the image has its own.
		size, err := d.CapacityBytes()
		if err != nil {
			size = -1
		}
		capacity[d.FileRef] = size
	}
	taken := map[string]string{}
	for _, f := range c.pkg.Envelope().Files() {
		if _, stays := c.env.File(f.ID); !stays || c.out[f.ID] != nil {
			continue
		}
		if _, err := ovf.MemberName(f.Href, nil); err != nil {
			return &ovf.DescriptorError{Package: c.pkg.Name(), Object: "File " + f.ID, Offset: -1, Clause: "7.1", Err: err}
		}
		o := &output{href: f.Href, name: c.storedName(f), capacity: -1, stored: -1}
		if size, ok := capacity[f.ID]; ok {
			o.disk, o.capacity = true, size
		}
		if o.name == c.pkg.Descriptor() || isBeside(o.name, c.pkg.Descriptor()) {
			continue // some producers list what is written in any case
		}
		if other, twice := taken[o.name]; twice {
			return &ovf.DescriptorError{Package: c.pkg.Name(), Object: "File " + f.ID, Offset: -1, Clause: "7.1",
				Message: fmt.Sprintf("%q is the file of %s too (OVF-REF-004)", f.Href, other)}
		}
		taken[o.name] = f.ID
		c.out[f.ID] = o
		c.decide(f, o)
	}
	return nil
}

func (c *conversion) decide(f ovf.File, o *output) {
	stored, whole := c.stored(f)
	was, known := compression.Parse(f.Compression)
	o.encode = o.disk && c.reencodes(f)
	o.compression = was
	switch want := c.opts.Compression; {
	case want != "" && o.disk:
		o.compression = want
	case want == compression.Identity:
		o.compression = want
	case o.encode:
		o.compression = compression.Identity
	}
	o.inflate = known == nil && (o.encode || o.compression != was)
	for _, n := range []*string{&o.href, &o.name} {
		if o.encode {
			*n = rename(*n, c.opts.DiskFormat)
		}
		if o.inflate {
			*n = recompressed(*n, o.compression)
		}
	}
	if !o.inflate {
		o.stored = stored
	}
	switch want := c.opts.ChunkSize; {
	case want == 0 && !o.inflate:
		o.chunk = f.ChunkSize
	case want > 0 && (o.stored > want || o.stored < 0 && o.disk):
		o.chunk = want
	}
	if o.chunk > 0 && max(o.stored, o.capacity)/o.chunk > maxChunks {
		c.find(RuleChunks, ovf.Warning, f.Href, fmt.Sprintf("chunks of %d bytes would be more than %d files; it is written in one piece", o.chunk, maxChunks), "--chunk-size gives another size")
		o.chunk = 0
	}
	o.verbatim = !o.encode && !o.inflate && o.chunk == f.ChunkSize && whole && o.href == f.Href
	o.mayEdit = !o.verbatim || f.Size >= 0 && f.Size != stored
}

// reencodes tells whether a disk is encoded anew.
func (c *conversion) reencodes(f ovf.File) bool {
	if c.opts.DiskFormat == "" {
		return false
	}
	if c.opts.Recompress {
		return true
	}
	for _, d := range c.pkg.Envelope().Disks() {
		if d.FileRef == f.ID {
			if is, ok := formats.OfURI(d.ContentFormat()); ok && is == c.opts.DiskFormat {
				return false
			}
		}
	}
	return true
}

// stored is the length of the stored bytes of a file, -1 when it is not known
// before it has come; whole says that chunks, if any, are as chunkSize says.
func (c *conversion) stored(f ovf.File) (size int64, whole bool) {
	o, ok := c.pkg.(ovf.Opener)
	if !ok {
		return -1, f.ChunkSize == 0
	}
	if c.sizes == nil {
		c.sizes = map[string]int64{}
		for _, m := range o.Members() {
			c.sizes[m.Name] = m.Size
		}
	}
	sizes := c.sizes
	find := func(name string) (int64, bool) {
		n, ok := ovf.MatchMember(name, func(n string) bool { _, ok := sizes[n]; return ok })
		return sizes[n], ok
	}
	if n, ok := find(f.Href); ok {
		return n, f.ChunkSize == 0
	}
	whole = true
	var last int64
	for n := 0; ; n++ {
		k, ok := find(manifest.ChunkName(f.Href, n))
		switch {
		case !ok && n == 0:
			return -1, false
		case !ok:
			return size, whole && last <= f.ChunkSize
		case n > 0 && last != f.ChunkSize, k < 0:
			whole = false
		}
		size, last = size+k, k
	}
}

// storedName is the name that a file has in the package, of its spellings; of a
// stream, the one that the manifest lists, else what the href says.
func (c *conversion) storedName(f ovf.File) string {
	held := c.heldNames()
	has := func(name string) bool {
		clean, err := ovf.CleanName(name)
		return err == nil && clean == name && held[name]
	}
	if name, ok := ovf.MatchMember(f.Href, has); ok {
		return name
	}
	if name, ok := ovf.MatchMember(manifest.ChunkName(f.Href, 0), has); ok {
		base, _, _ := manifest.CutChunk(name)
		return base
	}
	if clean, err := ovf.CleanName(f.Href); err == nil {
		return clean
	}
	return f.Href // the writer says what is wrong with it
}

// heldNames are the stored names that are known before anything has passed.
func (c *conversion) heldNames() map[string]bool {
	if c.held != nil {
		return c.held
	}
	c.held = map[string]bool{}
	if o, ok := c.pkg.(ovf.Opener); ok {
		for _, m := range o.Members() {
			c.held[m.Name] = true
		}
	} else if m, err := manifest.Parse(c.pkg.Manifest()); err == nil {
		for _, e := range m.Entries {
			c.held[e.Name] = true
		}
	}
	return c.held
}

// names are those of the files that will be written, in the order of
// References, what these do not name last; not known where a number of chunks
// is not.
func (c *conversion) names() (names []string, known bool) {
	known = true
	add := func(name string, stored, chunk int64) {
		if chunk <= 0 {
			names = append(names, name)
			return
		}
		if stored < 0 {
			known = false
			return
		}
		for n := 0; n == 0 || int64(n)*chunk < stored; n++ {
			names = append(names, manifest.ChunkName(name, n))
		}
	}
	listed := map[*output]bool{}
	for _, f := range c.env.Files() {
		// oVirt's image-uploader lists a file twice.
		if o := c.out[f.ID]; o != nil && !listed[o] {
			listed[o] = true
			add(o.name, o.stored, o.chunk)
		}
	}
	for _, f := range c.opts.Add {
		add(f.Href, f.Size, c.chunkOf(f))
	}
	o, ok := c.pkg.(ovf.Opener)
	if !ok {
		return names, known
	}
	for _, m := range o.Members() {
		if _, named := c.fileOf(m.Name); !named && m.Name != c.pkg.Descriptor() && !isBeside(m.Name, c.pkg.Descriptor()) {
			names = append(names, m.Name)
		}
	}
	return names, known
}

func (c *conversion) chunkOf(f File) int64 {
	if c.opts.ChunkSize > 0 && f.Size > c.opts.ChunkSize {
		return c.opts.ChunkSize
	}
	return 0
}

// fileOf finds the entry of the original References that a stored name is of.
func (c *conversion) fileOf(name string) (ovf.File, bool) {
	files := c.pkg.Envelope().Files()
	if c.spelled == nil {
		c.spelled = map[string]int{}
		for i, f := range files {
			ovf.MatchMember(f.Href, func(n string) bool {
				if _, taken := c.spelled[n]; !taken {
					c.spelled[n] = i
				}
				return false
			})
		}
	}
	if i, ok := c.spelled[name]; ok {
		return files[i], true
	}
	if base, _, chunk := manifest.CutChunk(name); chunk {
		if i, ok := c.spelled[base]; ok && files[i].ChunkSize > 0 {
			return files[i], true
		}
	}
	return ovf.File{}, false
}

// isBeside tells whether a file is the manifest or certificate of a descriptor.
func isBeside(name, descriptor string) bool {
	base := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	return name == base+".mf" || name == base+".cert"
}

var diskExtensions = map[disk.Format]string{disk.Raw: ".raw", disk.QCOW2: ".qcow2", disk.VMDK: ".vmdk", disk.VMDKSparse: ".vmdk",
	disk.VHD: ".vhd", disk.VHDX: ".vhdx", disk.VDI: ".vdi"}

// rename gives a disk's file the extension of its new format; that of a
// compression stays behind it.
func rename(href string, to disk.Format) string {
	href, packed := cutCompression(href)
	switch old := path.Ext(href); strings.ToLower(old) {
	case ".vmdk", ".qcow2", ".img", ".raw", ".vhd", ".vhdx", ".vdi":
		href = strings.TrimSuffix(href, old)
	}
	return href + diskExtensions[to] + packed
}

// recompressed gives a file the extension of its compression.
func recompressed(href string, to compression.Format) string {
	href, _ = cutCompression(href)
	if to == compression.Gzip {
		return href + ".gz"
	}
	return href
}

func cutCompression(href string) (base, extension string) {
	for _, ext := range []string{".gz", ".bz2", ".xz", ".zst"} {
		if e := path.Ext(href); strings.EqualFold(e, ext) {
			return strings.TrimSuffix(href, e), e
		}
	}
	return href, ""
}
