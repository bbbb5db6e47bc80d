package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// upload sends one file of a lease as it is written.
type upload struct {
	pipe *queue
	done chan struct{}
	err  error
	once sync.Once
	told func(n int64)

	lease *lease
	key   string // of the device, as the lease calls it
	sent  int64
}

var _ host.Attesting = (*upload)(nil)

// put begins to send a file of size bytes, -1 where only its end will tell. A
// disk's image is posted; any other file replaces what stands there.
func (l *lease) put(ctx context.Context, u *types.HttpNfcLeaseDeviceUrl, what string, size int64, told func(n int64)) (*upload, error) {
	client, at, err := l.client(u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	w := newQueue()
	up := &upload{pipe: w, done: make(chan struct{}), told: told, lease: l, key: u.Key}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), source{w})
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/x-vnd.vmware-streamVmdk")
	if u.Disk == nil || !*u.Disk {
		req.Method = http.MethodPut
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("Overwrite", "t")
	}
	// A host that is busy says so before anything of a stream is lost.
	req.Header.Set("Expect", "100-continue")
	go func() {
		defer close(up.done)
		err := send(client, req)
		if err != nil {
			err = l.cause(err)
		}
		if err != nil {
			up.err = fmt.Errorf("%s: sending it to %s: %w", what, at.Host, err)
		}
		w.CloseWithError(errors.Join(up.err, io.ErrClosedPipe))
	}()
	return up, nil
}

func send(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		e := fetch.NewStatusError(resp)
		e.URL = "" // it holds the lease's ticket
		if e.StatusCode == http.StatusInsufficientStorage {
			return &host.NoSpaceError{Object: "the host", Free: -1, Err: e}
		}
		return e
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return err
}

func (u *upload) Write(p []byte) (int, error) {
	n, err := u.pipe.Write(p)
	u.sent += int64(n)
	if u.told != nil {
		u.told(int64(n))
	}
	if err != nil {
		<-u.done
		if u.err != nil {
			err = u.err
		}
	}
	return n, err
}

// Close waits until the host has everything.
func (u *upload) Close() error {
	u.once.Do(func() { u.pipe.Close() })
	<-u.done
	return u.err
}

// Attests: a vCenter takes the SHA-1 of what arrives, where it takes any.
func (u *upload) Attests(ctx context.Context) string {
	if !u.lease.attests(ctx) {
		return ""
	}
	return string(manifest.SHA1)
}

// Sum is what the vCenter says that has arrived. A digest of another number of
// bytes is not one of what was sent.
func (u *upload) Sum(ctx context.Context) string {
	entries, err := u.lease.GetManifest(ctx)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if e.Key == u.key && (e.Size == 0 || e.Size == u.sent) {
			return e.Sha1
		}
	}
	return ""
}

// Abort breaks the upload off.
func (u *upload) Abort(err error) {
	u.once.Do(func() { u.pipe.CloseWithError(errors.Join(err, errors.New("the upload is broken off"))) })
	<-u.done
}
