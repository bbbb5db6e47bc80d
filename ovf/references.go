package ovf

import (
	"strconv"
	"strings"
)

// File is an entry of References (DSP0243 7.1).
type File struct {
	Element
	ID          string
	Href        string
	Size        int64  // in bytes as declared, -1 when absent or not a number
	Compression string // "" or "identity": none; gzip, bzip2
	ChunkSize   int64  // in bytes, 0 when the file is in one piece
}

// Files are the entries of References, in order.
func (e *Envelope) Files() []File { return e.lookup().files }

// File is the entry with that ovf:id.
func (e *Envelope) File(id string) (File, bool) {
	x := e.lookup()
	i, ok := x.fileByID[id]
	if !ok {
		return File{}, false
	}
	return x.files[i], true
}

func (e *Envelope) readFiles() []File {
	var out []File
	for _, refs := range e.children(e.doc.Root(), "References") {
		for _, n := range e.children(refs, "File") {
			f := File{Element: Element{e, n}, ID: e.attrOr(n, "id", ""), Size: -1,
				Compression: e.attrOr(n, "compression", ""), ChunkSize: 0}
			// A blank at the edge of an href may be part of a file's name.
			f.Href, _ = e.attr(n, "href")
			if v, err := strconv.ParseInt(e.attrOr(n, "size", ""), 10, 64); err == nil && v >= 0 {
				f.Size = v
			}
			if v, err := strconv.ParseInt(e.attrOr(n, "chunkSize", ""), 10, 64); err == nil && v > 0 {
				f.ChunkSize = v
			}
			out = append(out, f)
		}
	}
	return out
}

// Compressed says whether the stored bytes have to be inflated.
func (f File) Compressed() bool {
	return f.Compression != "" && !strings.EqualFold(f.Compression, "identity")
}

// index holds what views look up by id, so that ten thousand machines do not
// read DiskSection ten thousand times.
type index struct {
	edits     int
	files     []File
	fileByID  map[string]int
	disks     []Disk
	diskByID  map[string]int
	diskByRef map[string]int
	networks  []Network
}

func (e *Envelope) lookup() *index {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index != nil && e.index.edits == e.doc.Edits() {
		return e.index
	}
	x := &index{edits: e.doc.Edits(), fileByID: map[string]int{}, diskByID: map[string]int{}, diskByRef: map[string]int{}}
	x.files, x.networks = e.readFiles(), e.readNetworks()
	x.disks = e.readDisks(x.files)
	// The first of several with one id wins; validation reports the others.
	for i := len(x.files) - 1; i >= 0; i-- {
		x.fileByID[x.files[i].ID] = i
	}
	for i := len(x.disks) - 1; i >= 0; i-- {
		x.diskByID[x.disks[i].ID] = i
		x.diskByRef[x.disks[i].FileRef] = i
	}
	e.index = x
	return x
}

// FileUses are the elements besides Disks that name a File by its ovf:id with
// ovf:fileRef: icons, message bundles, environment files.
func (e *Envelope) FileUses(id string) []Element {
	var out []Element
	for n := range e.doc.Root().Descendants() {
		switch e.kind(n) {
		case "", "Disk", "SharedDisk":
			continue
		}
		if ref, ok := e.attr(n, "fileRef"); ok && strings.TrimSpace(ref) == id {
			out = append(out, Element{e, n})
		}
	}
	return out
}
