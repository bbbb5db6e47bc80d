package stage

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// bucket is a Place in an object store. The state is the id of an upload.
type bucket struct {
	store  *object.Store
	prefix object.Location
}

func openBucket(name string, o object.Options) (*bucket, error) {
	l, err := object.Parse(name)
	if err != nil {
		return nil, err
	}
	l.Key = strings.Trim(l.Key, "/")
	s, err := object.Dial(o)
	if err != nil {
		return nil, err
	}
	return &bucket{s, l}, nil
}

func (b *bucket) String() string { return strings.TrimSuffix(b.prefix.String(), "/") }

func (b *bucket) Close() error { return b.store.Close() }

// Free looks whether the bucket is there; nobody knows how much it takes.
func (b *bucket) Free(ctx context.Context) (int64, error) {
	enough := errors.New("one is enough")
	err := b.store.List(ctx, b.prefix, func(object.Location, int64) error { return enough })
	if errors.Is(err, enough) {
		err = nil
	}
	return -1, err
}

func (b *bucket) at(run string) object.Location {
	return object.Location{Bucket: b.prefix.Bucket, Key: path.Join(b.prefix.Key, packageName(run))}
}

func (b *bucket) Write(ctx context.Context, run string, size int64, state string) (Writing, error) {
	if state != "" {
		info, err := b.store.Stat(ctx, b.at(run))
		if err == nil && info.Size == size {
			return &upload{finished: true, state: state, pos: size}, nil // as in a folder
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	u, err := b.store.Upload(ctx, b.at(run), object.UploadOptions{Size: size, ID: state})
	if err != nil {
		return nil, err
	}
	w := &upload{Upload: u, state: u.ID(), size: size}
	if w.state == state {
		w.pos = u.Resume(size)
	}
	return w, nil
}

type upload struct {
	*object.Upload
	state     string
	size, pos int64
	finished  bool
}

func (u *upload) Offset() int64 { return u.pos }

func (u *upload) Write(p []byte) (int, error) {
	n, err := u.WriteAt(p, u.pos)
	u.pos += int64(n)
	return n, err
}

// Sync: a part is durable when the store has it, and the store tells which it
// has.
func (u *upload) Sync(context.Context) (string, error) { return u.state, nil }

func (u *upload) Finish(ctx context.Context) error {
	if u.finished {
		return nil
	}
	if u.pos != u.size {
		return notWhole(u.state, u.pos, u.size)
	}
	return u.Commit(ctx)
}

func (u *upload) Close() error {
	if u.finished {
		return nil
	}
	return u.Suspend()
}

func (b *bucket) Open(ctx context.Context, run string) (Package, error) {
	f, err := b.store.Open(ctx, b.at(run))
	if err != nil {
		return nil, err
	}
	return &remote{f, f.At(context.WithoutCancel(ctx))}, nil
}

type remote struct {
	*fetch.File
	at interface {
		ReadAt(p []byte, off int64) (int, error)
	}
}

func (r *remote) ReadAt(p []byte, off int64) (int, error) { return r.at.ReadAt(p, off) }

func (b *bucket) Remove(ctx context.Context, run, _ string) error {
	// The id of an upload may not have been recorded: all of the run's go.
	return errors.Join(b.store.Remove(ctx, b.at(run)), b.store.AbortUploads(ctx, b.at(run)))
}

// linkTime is how long a link holds: the longest that stores allow.
const linkTime = 7 * 24 * time.Hour

func (b *bucket) Link(ctx context.Context, run string) (string, error) {
	return b.store.Link(ctx, b.at(run), linkTime)
}
