package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// shelf keeps the ledger's files in a folder of a datastore, one folder for
// each datacenter.
type shelf struct{ h *Host }

func (s shelf) folder() string { return "cimimove-" + s.h.place.datacenter.Reference().Value }

func (s shelf) path(name string) string { return path.Join(s.folder(), name) }

func (s shelf) url(name string) string {
	return s.h.place.records.NewURL(s.path(name)).String()
}

// client speaks to the vCenter with the session's cookie.
func (s shelf) client() *http.Client {
	c := s.h.conn.Client.Client.Client // the HTTP client of the SOAP client
	return &http.Client{Transport: c.Transport, Jar: c.Jar}
}

// renew sees to it that the session lives: file access cannot renew it.
func (s shelf) renew(ctx context.Context) error {
	_, err := methods.GetCurrentTime(ctx, s.h.conn)
	return explain(err)
}

// listing is what the folder held a moment ago.
type listing struct {
	mu    sync.Mutex
	names []string
	until time.Time
	// changes counts what we have changed since.
	changes int
	// wrote is when a file of ours was written last.
	wrote time.Time
}

// fresh is for how long a listing counts: a search takes the vCenter a task,
// and one command asks several times. What we change ourselves shows at once.
const fresh = time.Second

func (l *listing) changed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	l.changes++
}

// written says whether a file of ours was written a moment ago, so that the
// folder is there.
func (l *listing) written() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.wrote) < fresh
}

func (s shelf) Names(ctx context.Context) ([]string, error) {
	l := &s.h.listing
	l.mu.Lock()
	if time.Now().Before(l.until) {
		defer l.mu.Unlock()
		return slices.Clone(l.names), nil
	}
	changes := l.changes
	l.mu.Unlock()
	names, err := s.search(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes == changes {
		l.names, l.until = slices.Clone(names), time.Now().Add(fresh)
	}
	return names, nil
}

func (s shelf) search(ctx context.Context) ([]string, error) {
	browser, err := s.h.place.records.Browser(ctx)
	if err != nil {
		return nil, explain(err)
	}
	task, err := browser.SearchDatastore(ctx, s.h.place.records.Path(s.folder()), &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{"*"}})
	if err != nil {
		return nil, explain(err)
	}
	info, err := task.WaitForResult(ctx)
	if isFault[*types.FileNotFound](err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	res, ok := info.Result.(types.HostDatastoreBrowserSearchResults)
	if !ok {
		return nil, fmt.Errorf("datastore %s: the answer of a search is a %T", s.h.place.records.Name(), info.Result)
	}
	var out []string
	for _, f := range res.File {
		out = append(out, f.GetFileInfo().Path)
	}
	return out, nil
}

func (s shelf) Open(ctx context.Context, name string) (ovf.MemberFile, error) {
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	opts := s.h.opts.Retry
	opts.Client = s.client()
	// The file outlives the call that opens it.
	f, err := fetch.Open(context.WithoutCancel(ctx), s.url(name), opts)
	if err != nil {
		return nil, s.explain(name, err)
	}
	return f, nil
}

// explain is for file access, which answers by HTTP statuses.
func (s shelf) explain(name string, err error) error {
	var status *fetch.StatusError
	if !errors.As(err, &status) {
		return err
	}
	return explainFile(s.h.place.records.Name(), s.h.place.records.Path(s.path(name)), err)
}

// explainFile says of what file of a datastore an HTTP status is.
func explainFile(datastore, what string, err error) error {
	var status *fetch.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch status.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s: %w", what, host.ErrNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return &PermissionError{Privilege: "Datastore.FileManagement", Object: "datastore " + datastore, Err: err}
	case http.StatusInsufficientStorage:
		return &host.NoSpaceError{Object: what, Free: -1, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (s shelf) Remove(ctx context.Context, name string) error {
	defer s.h.listing.changed()
	m := s.h.place.records.NewFileManager(s.h.place.datacenter, true)
	err := m.DeleteFile(ctx, s.path(name))
	if isFault[*types.FileNotFound](err) {
		return nil
	}
	return explain(err)
}

// Create streams a file to the datastore.
func (s shelf) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	if err := s.makeFolder(ctx); err != nil {
		return nil, err
	}
	return &shelved{ctx: ctx, s: s, name: name}, nil
}

// makeFolder makes the folder where it is not there yet. vSAN has folders at
// its root only as objects of their own.
func (s shelf) makeFolder(ctx context.Context) error {
	if s.h.folderMade.Load() {
		return nil
	}
	if s.h.listing.written() {
		return nil
	}
	if names, err := s.Names(ctx); err != nil || len(names) > 0 {
		return err
	}
	var ds mo.Datastore
	if err := s.h.place.records.Properties(ctx, s.h.place.records.Reference(), []string{"summary.type"}, &ds); err != nil {
		return explain(err)
	}
	var err error
	if ds.Summary.Type == "vsan" {
		_, err = object.NewDatastoreNamespaceManager(s.h.conn.Client).CreateDirectory(ctx, s.h.place.records, s.folder(), "")
	} else {
		err = object.NewFileManager(s.h.conn.Client).MakeDirectory(ctx, s.h.place.records.Path(s.folder()), s.h.place.datacenter, true)
	}
	if err != nil && !isFault[*types.FileAlreadyExists](err) {
		return explain(err)
	}
	s.h.folderMade.Store(true)
	return nil
}

// shelved holds what is written until it is known to be small, which records
// are, and streams what is larger.
type shelved struct {
	ctx  context.Context
	s    shelf
	name string

	buf  bytes.Buffer
	pipe *io.PipeWriter
	done chan error
	once sync.Once
	err  error
}

// small is what is sent with its size told first.
const small = 8 << 20

func (f *shelved) Write(p []byte) (int, error) {
	if f.pipe != nil {
		return f.pipe.Write(p)
	}
	f.buf.Write(p)
	if f.buf.Len() > small {
		r, w := io.Pipe()
		f.pipe, f.done = w, make(chan error, 1)
		head := bytes.Clone(f.buf.Bytes())
		f.buf.Reset()
		go func() {
			err := f.s.put(f.ctx, f.name, io.MultiReader(bytes.NewReader(head), r), -1)
			r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
			f.done <- err
		}()
	}
	return len(p), nil
}

func (f *shelved) Close() error {
	f.once.Do(func() {
		defer f.s.h.listing.changed()
		if f.pipe != nil {
			f.err = errors.Join(f.pipe.Close(), <-f.done)
			return
		}
		// A small file is sent again when the line breaks.
		f.err = fetch.Retry(f.ctx, f.s.h.opts.Retry, f.name, func(ctx context.Context) error {
			return f.s.put(ctx, f.name, bytes.NewReader(f.buf.Bytes()), int64(f.buf.Len()))
		})
	})
	return f.err
}

func (s shelf) put(ctx context.Context, name string, body io.Reader, size int64) error {
	if err := s.renew(ctx); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url(name), body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := s.client().Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return s.explain(name, fetch.NewStatusError(resp))
	}
	s.h.listing.mu.Lock()
	s.h.listing.wrote = time.Now()
	s.h.listing.mu.Unlock()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return err
}

// withoutURL is an error of HTTP without the address, which may hold a ticket.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
