package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// serveBytes answers with content: by ranges where it can be read so, else in
// one go from the start.
func (q *request) serveBytes(id string, c cimi.Content) error {
	h := q.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	switch path.Ext(id) {
	case ".ova", ".ovf":
		h.Set("Content-Type", "application/ovf")
	}
	if v := c.Version(); v != "" {
		h.Set("ETag", strconv.Quote(v))
	}
	w := &steadyWriter{ResponseWriter: q.w}
	if c.Ranged() && c.Size() >= 0 {
		r := &contextReader{ctx: q.Context(), r: io.NewSectionReader(c, 0, c.Size())}
		if s, ok := c.(interface{ Step() int }); ok {
			r.step = s.Step()
		}
		http.ServeContent(w, q.Request, "", time.Time{}, r)
		if r.err != nil {
			return fmt.Errorf("%s: %w", id, r.err)
		}
		return nil
	}
	if c.Size() >= 0 {
		h.Set("Content-Length", strconv.FormatInt(c.Size(), 10))
	}
	q.w.WriteHeader(http.StatusOK)
	if q.Method == http.MethodHead {
		return nil
	}
	limit := c.Size()
	if limit < 0 {
		limit = 1<<63 - 1
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, &contextReader{ctx: q.Context(), r: io.NewSectionReader(c, 0, limit)}, make([]byte, 256<<10))
	if err == nil && c.Size() >= 0 && n < c.Size() {
		err = errShort
	}
	return err
}

// contextReader stops when the request is gone, and keeps the error of the
// content, which http.ServeContent swallows.
type contextReader struct {
	ctx context.Context
	r   *io.SectionReader
	err error
	// step is how much is read at once of what takes long to make; 0 is any.
	step int
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if c.step > 0 {
		p = p[:min(len(p), c.step)]
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *contextReader) Seek(offset int64, whence int) (int64, error) {
	return c.r.Seek(offset, whence)
}

// steadyWriter lets a download take as long as it likes, as long as it moves.
type steadyWriter struct {
	http.ResponseWriter
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	if rec, ok := w.ResponseWriter.(*recorder); ok {
		_ = http.NewResponseController(rec.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout))
	}
	return w.ResponseWriter.Write(p)
}

var errShort = errors.New("content ended early")
