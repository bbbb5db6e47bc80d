package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/files"
)

// Keeper is a Store that keeps, when an import breaks off, what has arrived of
// its disks, so that an import of the same Resume and the same package goes on
// there. What is kept is listed nowhere.
type Keeper interface {
	Store
	// Chunk is how many bytes of an image may arrive between two calls of Keep;
	// 0: nothing is kept.
	Chunk() int64
	// Kept is how far a disk had come; ok is false when nothing is kept. The
	// sink of a disk of which something is kept leaves what lies before Block as
	// it is, and clears the rest.
	Kept(d *Disk) (Kept, bool)
	// Keep records how far a disk has come. When it returns, all that was
	// written to the disk's sink before is as durable as the record. It is
	// called by one goroutine at a time for each disk.
	Keep(ctx context.Context, d *Disk, k Kept) error
}

// Forgetter is a Host that keeps what has arrived of imports that broke off.
type Forgetter interface {
	// Forget removes what is kept under a Resume, if anything is.
	Forget(ctx context.Context, resume string) error
	// ImportChunk is how many bytes of a disk may arrive twice.
	ImportChunk() int64
}

// Kept is how far the image of a disk has come.
type Kept struct {
	// File is how far the stored file has come: to a place where a block begins,
	// or, when Done, to its end.
	File ovf.Passed `json:"file"`
	// Block is the one that begins there: all before it is written, what lies
	// behind may be half of something.
	Block int64 `json:"block"`
	// Head is the start of the image, which is wanted in front of the rest.
	Head []byte `json:"-"`
	// Info is what the image says of itself.
	Info disk.Info `json:"info"`
	// Done: the disk is whole, and this is its content digest.
	Done   bool   `json:"done,omitempty"`
	Digest string `json:"digest,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"` // that the digest is of
}

// Identity tells the package from others, and from other versions of it; empty
// where nothing does.
func (a *Arrival) Identity() string {
	id, ok := a.pkg.(ovf.Identified)
	p, parallel := a.pkg.(ovf.Parallel)
	if !ok || !parallel || id.Version() == "" {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", id.Version(), a.System.Descriptor)
	for _, m := range p.Members() {
		fmt.Fprintf(h, "%s\x00%d\x00", m.Name, m.Size)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// keeper is the store where it keeps what arrives of the disks of a content.
func (a *Arrival) keeper(store Store, disks []*Disk, c *files.Content) (Keeper, bool) {
	k, ok := store.(Keeper)
	return k, ok && k.Chunk() > 0 && a.opts.Resume != "" && len(disks) == 1 && c.Passage != nil
}

// from tells where stored files go on, by their names.
func (u *unpacking) from() func(name string) ovf.Passed {
	k, ok := u.store.(Keeper)
	if !ok || k.Chunk() <= 0 || u.opts.Resume == "" {
		return nil
	}
	places := map[string]ovf.Passed{}
	for _, f := range u.pkg.Envelope().Files() {
		disks := u.content[f.ID]
		if len(disks) != 1 || f.Compressed() || f.ChunkSize > 0 {
			continue
		}
		kept, ok := k.Kept(disks[0])
		if !ok {
			continue
		}
		ovf.MatchMember(f.Href, func(spelling string) bool {
			if _, taken := places[spelling]; !taken {
				places[spelling] = kept.File
			}
			return false
		})
	}
	return func(name string) ovf.Passed { return places[name] }
}

// errComplete: the disk was whole before this import.
var errComplete = errors.New("whole already")

// decodeKept is decode for a disk of which what arrives is kept, and of which
// something may be kept already.
func (a *Arrival) decodeKept(ctx context.Context, k Keeper, c *files.Content, source formats.Source, target *arriving, opts disk.DecodeOptions) (disk.Result, error) {
	d := target.disks[0]
	was, going := k.Kept(d)
	if going && was.Done {
		d.ContentBytes, d.ContentDigest = was.Bytes, was.Digest
		if err := target.Begin(was.Info); err != nil {
			return disk.Result{}, err
		}
		if opts.Progress != nil {
			opts.Progress(was.Info.Size, was.Info.Size)
		}
		// Its digest is compared when nothing is left of it to read.
		if n, err := io.Copy(io.Discard, c.Reader); err != nil {
			return disk.Result{}, err
		} else if n > 0 {
			return disk.Result{}, fmt.Errorf("%s: %d bytes came behind its end", c.Name, n)
		}
		return disk.Result{}, errComplete
	}
	m := newMarks(ctx, k, d, c, was)
	in := io.Reader(m)
	if going {
		in = io.MultiReader(newHead(was.Head), m)
	}
	opts.OnPlace, opts.OnBlock = m.place, m.block
	target.begun = func(info disk.Info) { m.info(info) }
	res, err := formats.Decode(ctx, in, source, c.ImageSize(d.CapacityBytes), target, opts)
	if going {
		res.HasDigest = false // what came before is not in it
	}
	if err == nil && !res.HasDigest {
		var digest disk.Digest
		if digest, err = k.Digest(ctx, d, res.Info.Size); err == nil {
			res.Digest, res.HasDigest = digest, true
		}
	}
	return res, m.end(ctx, res, err)
}

// headOf is the part of an image that is wanted in front of the rest.
func headOf(start []byte) ([]byte, bool) {
	n, ok := vmdk.FrontOfStream(start)
	if !ok || n > int64(len(start)) {
		return nil, false
	}
	return start[:n], true
}
