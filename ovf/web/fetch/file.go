package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Identity tells one version of a file from another.
type Identity struct {
	Size         int64  `json:"size"` // in bytes, -1 when the server does not say
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// validator is what If-Range takes: a strong ETag, else the date.
func (id Identity) validator() string {
	if id.ETag != "" && !strings.HasPrefix(id.ETag, "W/") {
		return id.ETag
	}
	if id.ETag == "" {
		return id.LastModified
	}
	return ""
}

// differs says what of id and now disagree.
func (id Identity) differs(url string, now Identity) error {
	switch {
	case id.Size >= 0 && now.Size >= 0 && id.Size != now.Size:
		return &ChangedError{URL: url, What: "size", Before: strconv.FormatInt(id.Size, 10), After: strconv.FormatInt(now.Size, 10)}
	case id.ETag != "" && now.ETag != "" && id.ETag != now.ETag:
		return &ChangedError{URL: url, What: "ETag", Before: id.ETag, After: now.ETag}
	case id.ETag == "" && now.ETag == "" && id.LastModified != "" && now.LastModified != "" && id.LastModified != now.LastModified:
		return &ChangedError{URL: url, What: "Last-Modified", Before: id.LastModified, After: now.LastModified}
	}
	return nil
}

// File is a file on a web server. Methods may be called concurrently.
type File struct {
	url    *url.URL
	shown  string // redacted
	opts   Options
	id     Identity
	ranges bool
	header http.Header
	first  []byte // the bytes that Open read, where the server offers Range

	mu       sync.Mutex
	body     io.ReadCloser // of the first answer of a server without Range, until somebody reads it
	guard    *stallGuard   // of body
	parked   *Reader       // a sequential read that another may go on with
	readOver int64         // bytes read ahead, of a budget
}

// Open asks for the beginning of a file, and learns from the answer its size,
// its identity and whether the server offers Range.
func Open(ctx context.Context, rawURL string, opts Options) (*File, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	f := &File{url: u, shown: opts.Name(rawURL), opts: opts, id: Identity{Size: -1}}
	a := newAttempts(opts, opts.FirstAttempts, f.shown)
	renewed := false
	for {
		err := f.probe(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if opts.Renew != nil && !renewed && unauthorized(err) {
			renewed = true
			if renewErr := opts.Renew(ctx); renewErr != nil {
				return nil, errors.Join(err, renewErr)
			}
			continue
		}
		if !Temporary(err) {
			return nil, err
		}
		if err := a.again(ctx, 0, err); err != nil {
			if ctx.Err() == nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
				return nil, &TransferError{URL: f.shown, Size: f.id.Size, Attempts: a.n, Err: err}
			}
			return nil, a.last(err)
		}
	}
	if opts.Expect != nil {
		if err := opts.Expect.differs(f.shown, f.id); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// probe makes the first request.
func (f *File) probe(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // what follows is cut off, but a little later
	}
	// The body of a server without Range is read later, and by then under the
	// context of whoever reads.
	g := newStallGuard(context.WithoutCancel(ctx), f.opts.StallTimeout)
	unhook := context.AfterFunc(ctx, func() { g.cancel(context.Cause(ctx)) })
	defer unhook()
	resp, err := f.get(g.ctx, fmt.Sprintf("bytes=0-%d", f.opts.ReadFirst-1), "")
	if err != nil {
		g.stop()
		return g.explain(err)
	}
	f.header = resp.Header
	f.id = Identity{Size: resp.ContentLength, ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}
	switch resp.StatusCode {
	case http.StatusOK:
		if size := resp.ContentLength; size >= 0 && size <= f.opts.ReadFirst {
			// Small enough to have it all: a server without Range costs nothing then.
			b, err := readSlowly(g, resp.Body, size)
			resp.Body.Close()
			g.stop()
			if err != nil {
				return g.explain(err)
			}
			f.first, f.ranges = b, true
			return nil
		}
		f.body, f.guard = resp.Body, g
		g.rest()
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		// What servers answer about an empty file.
		resp.Body.Close()
		g.stop()
		if resp.Header.Get("Content-Range") != "bytes */0" {
			return NewStatusError(resp)
		}
		f.id.Size, f.ranges = 0, true
		return nil
	case http.StatusPartialContent:
		defer g.stop()
		defer resp.Body.Close()
		start, end, size, err := contentRange(resp)
		if err != nil || start != 0 {
			return fmt.Errorf("GET %s: asked for the beginning, the answer has Content-Range %q: %w", f.shown, resp.Header.Get("Content-Range"), ErrRefused)
		}
		f.id.Size = size
		// Where it breaks off a Reader goes on.
		if f.first, err = readSlowly(g, resp.Body, min(end+1, f.opts.ReadFirst)); err != nil && (len(f.first) == 0 || ctx.Err() != nil) {
			return g.explain(err)
		}
		f.ranges = true
		return nil
	}
	defer g.stop()
	defer resp.Body.Close()
	return NewStatusError(resp)
}

// readSlowly reads n bytes, as long as some come; what came before an error too.
func readSlowly(g *stallGuard, r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	buf := make([]byte, 32<<10)
	for int64(b.Len()) < n {
		g.alive()
		m, err := r.Read(buf[:min(int64(len(buf)), n-int64(b.Len()))])
		b.Write(buf[:m])
		if err == io.EOF && int64(b.Len()) < n {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && int64(b.Len()) < n {
			return b.Bytes(), err
		}
	}
	return b.Bytes(), nil
}

// get makes one request; any answer is one.
func (f *File) get(ctx context.Context, byteRange, ifRange string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", f.shown, ErrRefused)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	if ifRange != "" {
		req.Header.Set("If-Range", ifRange)
	}
	if f.opts.Authorize != nil {
		if err := f.opts.Authorize(req); err != nil {
			return nil, fmt.Errorf("GET %s: %w", f.shown, err)
		}
	}
	resp, err := f.opts.Client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL, unredacted, is in the rest
		}
		return nil, fmt.Errorf("GET %s: %w", f.shown, err)
	}
	return resp, nil
}

// contentRange reads "bytes 0-99/1000"; size is -1 for "*".
func contentRange(resp *http.Response) (start, end, size int64, err error) {
	s := resp.Header.Get("Content-Range")
	bad := fmt.Errorf("Content-Range %q", s)
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, bad
	}
	start, err1 := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	size = -1
	var err3 error
	if total != "*" {
		size, err3 = strconv.ParseInt(total, 10, 64)
	}
	if err1 != nil || err2 != nil || err3 != nil || start < 0 || end < start || total != "*" && end >= size {
		return 0, 0, 0, bad
	}
	return start, end, size, nil
}

// URL is the address, fit for messages.
func (f *File) URL() string { return f.shown }

// Size is in bytes, -1 when the server does not say.
func (f *File) Size() int64 { return f.id.Size }

// Ranges says whether the file can be read anywhere and a transfer resumed.
func (f *File) Ranges() bool { return f.ranges && f.id.Size >= 0 }

// Identity is what a journal keeps to recognise the file.
func (f *File) Identity() Identity { return f.id }

// Version is the strong entity tag, "" where there is none.
func (f *File) Version() string {
	if strings.HasPrefix(f.id.ETag, "W/") {
		return ""
	}
	return f.id.ETag
}

// Header is that of the first answer.
func (f *File) Header() http.Header { return f.header }

// Close ends what is parked. Readers are closed by those who hold them.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parked != nil {
		f.parked.Close()
		f.parked = nil
	}
	if f.body != nil {
		f.guard.stop()
		f.body.Close()
		f.body = nil
	}
	return nil
}
