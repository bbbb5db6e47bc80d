package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// UploadOptions of Upload.
type UploadOptions struct {
	// Size is the length of the object in bytes, or as much as it will have at
	// most; -1 where nobody knows.
	Size int64
	// ID of an upload to go on with, from an earlier Upload.ID. Empty: the
	// newest that was begun for this object and not ended, else a new one.
	ID string
}

// Upload is an object on its way. Every byte of it is written once, in any
// order; what is written in ascending order takes the least memory. A part is
// sent when all its bytes are there. Nothing is at the object's place before
// Commit. WriteAt is for one goroutine.
type Upload struct {
	store *Store
	at    Location
	id    string
	parts division
	most  int64           // bytes of the object; -1 where nobody knows
	ctx   context.Context // of the sending
	stop  context.CancelCauseFunc

	open    map[int]*part // that lack bytes
	length  int64         // as far as was written
	free    sync.Pool     // buffers
	sending chan struct{} // holds one entry for each part on its way
	work    sync.WaitGroup

	mu    sync.Mutex
	there map[int]sentPart // stored already, by number
	sent  int64            // bytes that were sent in this process
	err   error
	done  bool
}

type sentPart struct {
	etag string
	size int64
}

// part is one that is being filled.
type part struct {
	number     int
	start, end int64
	buf        []byte
	filled     int64
}

// Upload begins to store an object, or goes on. ctx is that of all that is sent.
func (s *Store) Upload(ctx context.Context, l Location, o UploadOptions) (*Upload, error) {
	if err := l.needsKey(); err != nil {
		return nil, err
	}
	d, err := divide(o.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l, err)
	}
	u := &Upload{store: s, at: l, id: o.ID, parts: d, most: o.Size, open: map[int]*part{}, there: map[int]sentPart{}}
	_, _, size, _ := d.part(0)
	u.sending = make(chan struct{}, senders(size))
	u.ctx, u.stop = context.WithCancelCause(ctx)
	if u.id == "" {
		if u.id, err = s.left(ctx, l); err != nil {
			return nil, err
		}
	}
	if u.id != "" {
		if err := u.list(ctx); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return u, err
		}
		u.id, u.there = "", map[int]sentPart{}
	}
	err = s.retry(ctx, l, 0, func(ctx context.Context) (err error) {
		u.id, err = s.core.NewMultipartUpload(ctx, l.Bucket, l.Key, minio.PutObjectOptions{ContentType: contentType(l.Key), DisableContentSha256: true})
		if err == nil && u.id == "" {
			err = errors.New("the answer names no upload")
		}
		return err
	})
	return u, s.explain("begin upload", l, err)
}

// left is the newest upload that was begun for an object and not ended.
func (s *Store) left(ctx context.Context, l Location) (string, error) {
	all, err := s.uploads(ctx, l)
	if err != nil {
		return "", err
	}
	var newest minio.ObjectMultipartInfo
	for _, m := range all {
		if newest.UploadID == "" || m.Initiated.After(newest.Initiated) {
			newest = m
		}
	}
	return newest.UploadID, nil
}

// uploads lists what was begun for an object and not ended; nothing where that
// may not be listed.
func (s *Store) uploads(ctx context.Context, l Location) (all []minio.ObjectMultipartInfo, err error) {
	var key, mark string
	for range maxPages {
		var page minio.ListMultipartUploadsResult
		err := s.retry(ctx, l, 0, func(ctx context.Context) (err error) {
			page, err = s.core.ListMultipartUploads(ctx, l.Bucket, l.Key, key, mark, "", 1000)
			return err
		})
		var refused minio.ErrorResponse
		if errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden {
			return nil, nil // who may not list begins anew
		}
		if err != nil {
			return nil, s.explain("list uploads of", l, err)
		}
		for _, m := range page.Uploads {
			if m.Key == l.Key {
				all = append(all, m)
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == mark {
			return all, nil
		}
		key, mark = page.NextKeyMarker, page.NextUploadIDMarker
	}
	return nil, s.endless(l, "uploads")
}

// list reads which parts are stored.
func (u *Upload) list(ctx context.Context) error {
	for mark := 0; ; {
		var page minio.ListObjectPartsResult
		err := u.store.retry(ctx, u.at, 0, func(ctx context.Context) (err error) {
			page, err = u.store.core.ListObjectParts(ctx, u.at.Bucket, u.at.Key, u.id, mark, 1000)
			return err
		})
		var refused minio.ErrorResponse
		if errors.As(err, &refused) && refused.Code == noSuchUpload {
			return fmt.Errorf("%s: upload: %w", u.at, fs.ErrNotExist)
		}
		if err != nil {
			return u.store.explain("list parts of", u.at, err)
		}
		for _, p := range page.ObjectParts {
			u.there[p.PartNumber] = sentPart{strings.Trim(p.ETag, `"`), p.Size}
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= mark || page.NextPartNumberMarker >= maxParts {
			return nil
		}
		mark = page.NextPartNumberMarker
	}
}

// ID is what goes on with the upload in a later process.
func (u *Upload) ID() string { return u.id }

// Sent is how many bytes have been sent in this process.
func (u *Upload) Sent() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sent
}

// Resume gives the end of the parts that are stored without a gap from the
// start, of an object of size bytes. A caller who knows that they are the
// object's goes on writing there.
func (u *Upload) Resume(size int64) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	for off := int64(0); off < size; {
		number, start, end, ok := u.parts.part(off)
		end = min(end, size)
		if p, stored := u.there[number]; !ok || !stored || p.size != end-start {
			break
		}
		off = end
		u.length = end
	}
	return u.length
}

// WriteAt takes bytes of the object. It waits while as many parts as may be
// are on their way.
func (u *Upload) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		if err := u.failed(); err != nil {
			return n, err
		}
		number, start, end, ok := u.parts.part(off + int64(n))
		if !ok {
			return n, fmt.Errorf("%s: more bytes than an object can have", u.at)
		}
		at := u.open[number]
		if at == nil {
			size := end - start
			if u.most >= 0 {
				size = min(size, max(u.most-start, 0))
			}
			at = &part{number: number, start: start, end: start + size, buf: u.buffer(size)}
			u.open[number] = at
		}
		from := min(off+int64(n)-start, int64(len(at.buf)))
		m := copy(at.buf[from:], p[n:])
		if m == 0 {
			return n, fmt.Errorf("%s: more bytes than the %d that were announced", u.at, u.most)
		}
		at.filled += int64(m)
		n += m
		if u.length = max(u.length, off+int64(n)); at.filled == at.end-at.start {
			delete(u.open, number)
			u.send(at, at.end-at.start)
		}
	}
	return n, nil
}

func (u *Upload) buffer(size int64) []byte {
	if b, ok := u.free.Get().(*[]byte); ok && int64(cap(*b)) >= size {
		return (*b)[:size]
	}
	return make([]byte, size)
}

func (u *Upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.err != nil:
		return u.err
	case u.done:
		return fmt.Errorf("%s: %w", u.at, fs.ErrClosed)
	case u.ctx.Err() != nil:
		return context.Cause(u.ctx)
	}
	return nil
}

// Commit makes the object of what was written, in place of one that stood there.
func (u *Upload) Commit(ctx context.Context) error {
	if err := u.flush(); err != nil {
		return err
	}
	parts, sum, err := u.whole()
	if err != nil {
		return err
	}
	err = u.store.retry(ctx, u.at, 0, func(ctx context.Context) error {
		_, err := u.store.core.CompleteMultipartUpload(ctx, u.at.Bucket, u.at.Key, u.id, parts, minio.PutObjectOptions{})
		return err
	})
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.Code == noSuchUpload {
		// An earlier attempt may have been done without our hearing of it.
		if info, statErr := u.store.Stat(ctx, u.at); statErr == nil && info.ETag == sum && info.Size == u.length {
			err = nil
		}
	}
	if err != nil {
		return u.store.explain("complete", u.at, err)
	}
	u.end()
	return nil
}

// flush sends what is not full, and waits for what is on its way.
func (u *Upload) flush() error {
	for number, p := range u.open {
		n := u.length - p.start
		if p.filled != n {
			return fmt.Errorf("%s: part %d has %d of %d bytes", u.at, number, p.filled, min(n, p.end-p.start))
		}
		delete(u.open, number)
		u.send(p, n)
	}
	if u.length == 0 && len(u.there) == 0 {
		u.send(&part{number: 1}, 0) // an object has one part at least
	}
	u.work.Wait()
	return u.failed()
}

func (u *Upload) end() {
	u.mu.Lock()
	u.done = true
	u.mu.Unlock()
	u.stop(nil)
}

// abortTimeout bounds the removal of what an upload has stored.
const abortTimeout = time.Minute

// Abort removes what was stored. After Commit it does nothing.
func (u *Upload) Abort() error {
	if u.suspend() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTimeout)
	defer cancel()
	return u.store.AbortUpload(ctx, u.at, u.id)
}

// Suspend ends the sending and keeps what is stored, so that whoever writes
// the same object again goes on with it.
func (u *Upload) Suspend() error {
	u.suspend()
	return nil
}

func (u *Upload) suspend() (done bool) {
	u.mu.Lock()
	done = u.done
	u.done = true
	u.mu.Unlock()
	u.stop(fs.ErrClosed)
	u.work.Wait()
	return done
}

// AbortUpload removes what an upload has stored; one that is not there is none
// to remove.
func (s *Store) AbortUpload(ctx context.Context, l Location, id string) error {
	err := s.retry(ctx, l, 0, func(ctx context.Context) error {
		return s.core.AbortMultipartUpload(ctx, l.Bucket, l.Key, id)
	})
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.Code == noSuchUpload {
		return nil
	}
	return s.explain("abort upload", l, err)
}

// AbortUploads removes what every upload of an object that was not ended has stored.
func (s *Store) AbortUploads(ctx context.Context, l Location) error {
	all, err := s.uploads(ctx, l)
	for _, m := range all {
		err = errors.Join(err, s.AbortUpload(ctx, l, m.UploadID))
	}
	return err
}

func contentType(key string) string {
	switch {
	case hasExt(key, ".ova"), hasExt(key, ".ovf"):
		return "application/ovf"
	}
	return "application/octet-stream"
}
