package object

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// send stores the first n bytes of a part, unless it is there already. It
// waits while as many parts as may be are on their way.
func (u *Upload) send(p *part, n int64) {
	select {
	case u.sending <- struct{}{}:
	case <-u.ctx.Done():
		return
	}
	u.work.Go(func() {
		defer func() {
			u.free.Put(&p.buf)
			<-u.sending
		}()
		if err := u.sendPart(u.ctx, p.number, p.start, p.buf[:n]); err != nil {
			u.fail(err)
		}
	})
}

func (u *Upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
	u.stop(err)
}

// sendPart sends a part with its digest, which the store checks (Content-MD5).
func (u *Upload) sendPart(ctx context.Context, number int, off int64, b []byte) error {
	sum := md5.Sum(b)
	etag := hex.EncodeToString(sum[:])
	opts := minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(sum[:]), DisableContentSha256: true}
	u.mu.Lock()
	have, stored := u.there[number]
	u.mu.Unlock()
	if stored && have.size == int64(len(b)) && have.etag == etag {
		return nil
	}
	if u.store.endpoint.Scheme == "http" {
		// Nothing else protects the body then.
		sum := sha256.Sum256(b)
		opts.Sha256Hex = hex.EncodeToString(sum[:])
	}
	err := u.store.retry(ctx, u.at, off, func(ctx context.Context) error {
		watched, body, stop := fetch.Watch(ctx, u.store.fetch, bytes.NewReader(b))
		defer stop()
		p, err := u.store.core.PutObjectPart(watched, u.at.Bucket, u.at.Key, u.id, number, body, int64(len(b)), opts)
		if cause := context.Cause(watched); err != nil && cause != nil && ctx.Err() == nil {
			err = cause
		}
		if err == nil {
			etag = p.ETag // another than the MD5 where the store encrypts
		}
		return err
	})
	if err != nil {
		return u.store.explain(fmt.Sprintf("send part %d of", number), u.at, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.there[number] = sentPart{etag, int64(len(b))}
	u.sent += int64(len(b))
	return nil
}

// whole lists the parts that the object is made of, and the ETag that a store
// gives it which makes it of the MD5s of the parts.
func (u *Upload) whole() ([]minio.CompletePart, string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []minio.CompletePart
	sums := md5.New()
	for off := int64(0); off < u.length || off == 0; {
		number, start, end, ok := u.parts.part(off)
		if !ok {
			return nil, "", fmt.Errorf("%s: more bytes than an object can have", u.at)
		}
		end = min(end, u.length)
		p, ok := u.there[number]
		if !ok || p.size != end-start {
			return nil, "", fmt.Errorf("%s: part %d, bytes %d to %d, was not written", u.at, number, start, end)
		}
		out = append(out, minio.CompletePart{PartNumber: number, ETag: p.etag})
		if b, err := hex.DecodeString(p.etag); err == nil {
			sums.Write(b)
		}
		if off = end; end == start {
			break
		}
	}
	return out, fmt.Sprintf("%x-%d", sums.Sum(nil), len(out)), nil
}

func hasExt(key, ext string) bool { return strings.EqualFold(path.Ext(key), ext) }

var _ io.WriterAt = (*Upload)(nil)
