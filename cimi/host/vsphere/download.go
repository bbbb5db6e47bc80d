package vsphere

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// download fetches a disk's image into file, from its start again when the line
// breaks: a host gives no ranges.
func (l *lease) download(ctx context.Context, u *types.HttpNfcLeaseDeviceUrl, name string, file *spooled, told func(int64)) (disk.Image, error) {
	var img disk.Image
	err := fetch.Retry(ctx, l.h.opts.Retry, name, func(ctx context.Context) error {
		if err := errors.Join(file.Truncate(0), second(file.Seek(0, io.SeekStart))); err != nil {
			return err
		}
		body, err := l.get(ctx, u)
		if err != nil {
			return err
		}
		defer body.Close()
		sum := sha1.New()
		in := &moving{r: io.TeeReader(body, sum), told: told, stall: l.h.opts.Retry.StallTimeout, cancel: body.cancel}
		defer in.stop()
		if img, err = file.fill(in, name); err != nil {
			return err
		}
		return l.check(ctx, u, name, in.n, hex.EncodeToString(sum.Sum(nil)))
	})
	if lost := l.failure(); err != nil && lost != nil {
		err = lost
	}
	return img, err
}

func second[T any](_ T, err error) error { return err }

// body is an answer that can be broken off.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *body) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// get asks for a file of the lease.
func (l *lease) get(ctx context.Context, u *types.HttpNfcLeaseDeviceUrl) (*body, error) {
	client, at, err := l.client(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("from %s: %w", at.Host, explain(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer cancel(nil)
		defer resp.Body.Close()
		e := fetch.NewStatusError(resp)
		e.URL = at.Host
		return nil, e
	}
	return &body{resp.Body, cancel}, nil
}

// check compares what came with what the host says it gave, where it says so.
func (l *lease) check(ctx context.Context, u *types.HttpNfcLeaseDeviceUrl, name string, n int64, sum string) error {
	manifest, err := l.GetManifest(ctx)
	if err != nil {
		return nil // hosts need not keep one
	}
	for _, m := range manifest {
		if m.Key != u.Key {
			continue
		}
		switch {
		case m.Size > 0 && m.Size != n:
			return fmt.Errorf("%s: %d bytes came of %d: %w", name, n, m.Size, io.ErrUnexpectedEOF)
		case m.Sha1 != "" && !strings.EqualFold(m.Sha1, sum):
			return &ovf.IntegrityError{Package: "vCenter", File: name, Algorithm: "sha1", Expected: m.Sha1, Actual: sum}
		}
	}
	return nil
}

// moving ends a transfer in which nothing moves for too long (AC-03).
type moving struct {
	r      io.Reader
	told   func(int64)
	stall  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
	n      int64
}

func (m *moving) Read(p []byte) (int, error) {
	if m.stall == 0 {
		m.stall = time.Minute
	}
	if m.stall > 0 {
		if m.timer == nil {
			m.timer = time.AfterFunc(m.stall, func() { m.cancel(&fetch.StallError{For: m.stall}) })
		} else {
			m.timer.Reset(m.stall)
		}
	}
	n, err := m.r.Read(p)
	m.n += int64(n)
	if m.told != nil {
		m.told(int64(n))
	}
	return n, err
}

func (m *moving) stop() {
	if m.timer != nil {
		m.timer.Stop()
	}
}

// nothing is an empty image.
type nothing struct{}

func (nothing) Size() int64                           { return 0 }
func (nothing) Info() disk.Info                       { return disk.Info{Format: disk.Raw} }
func (nothing) Close() error                          { return nil }
func (nothing) ReadAt(p []byte, _ int64) (int, error) { return 0, io.EOF }
func (nothing) Extents(context.Context, int64, int64) iter.Seq2[disk.Extent, error] {
	return func(func(disk.Extent, error) bool) {}
}
