package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// jobHeader names the Job of a change, spelt as 4.1.7.1 does.
const jobHeader = "CIMI-Job-URI"

// send answers with a representation.
func (q *request) send(status int, r cimi.Resource) error {
	r = cimi.Clone(r)
	cimi.Public(r)
	return q.write(status, r)
}

// write sends a resource of the server's own; r is changed.
func (q *request) write(status int, r cimi.Resource) error {
	if q.version == cimi.V1 {
		r = cimi.Downgrade(r, view1)
	}
	cimi.MapURIs(r, q.absolute)
	if len(q.o.Users) > 0 {
		q.permitted(r)
	}
	var buf bytes.Buffer
	var err error
	if q.xml {
		err = cimi.EncodeXMLIn(&buf, r, q.version)
	} else {
		err = cimi.EncodeJSONIn(&buf, r, q.version)
	}
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", typeJSON)
	if q.xml {
		h.Set("Content-Type", typeXML)
	}
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	h.Add("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = http.NewResponseController(q.w.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout))
	q.w.WriteHeader(status)
	if q.Method != http.MethodHead {
		_, _ = buf.WriteTo(q.w)
	}
	return nil
}

// accepted answers a change: 201 or 200 when it is done, 202 when it goes on
// (4.2.1.6, 4.2.1.7), with the Job's URI, the Location, and a representation:
// the resource where there is one, else the Job.
func (q *request) accepted(a *cimi.Accepted, created bool) error {
	h := q.w.Header()
	status := http.StatusOK
	switch {
	case !a.Done:
		status = http.StatusAccepted
	case created && a.Location != "":
		status = http.StatusCreated
	}
	if a.Job != "" {
		h[jobHeader] = []string{q.absolute(a.Job)}
	}
	if a.Location != "" {
		h.Set("Location", q.absolute(a.Location))
	}
	r := a.Resource
	ctx := q.Context()
	if r == nil && created && a.Location != "" {
		r, _ = q.p.Get(ctx, a.Location, cimi.ReadOptions{})
	}
	if r == nil && !a.Done && a.Job != "" {
		r, _ = q.p.Get(ctx, a.Job, cimi.ReadOptions{})
	}
	if r == nil {
		h.Set("Content-Length", "0")
		q.w.WriteHeader(status)
		return nil
	}
	return q.send(status, r)
}

// fail answers an error as a Job representation (4.2.2).
func (q *request) fail(err error) {
	if q.w.code != 0 {
		panic(http.ErrAbortHandler) // the answer has begun: break it off, so that nobody takes it for whole
	}
	var e *cimi.Error
	switch {
	case errors.As(err, &e):
	case q.Context().Err() != nil || errors.Is(err, context.Canceled):
		e = cimi.Errorf(http.StatusServiceUnavailable, "the request was broken off")
	default:
		if q.o.Logger != nil {
			q.o.Logger.Error("request failed", "method", q.Method, "path", q.URL.Path, "error", err)
		}
		e = cimi.Errorf(http.StatusInternalServerError, "internal error: %v", err)
	}
	status := e.Status
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	job := &cimi.Job{State: cimi.JobFailed, StatusMessage: e.Message}
	if e.Job != nil {
		job = cimi.Clone(e.Job)
		cimi.Public(job)
	}
	if job.StatusMessage == "" {
		job.StatusMessage = http.StatusText(status)
	}
	job.Progress = cimi.Int(100)
	if job.TimeOfStatusChange == nil {
		job.TimeOfStatusChange = cimi.TimeOf(time.Now())
	}
	if job.TargetResource == nil {
		if id, err := q.id(); err == nil && id != "" {
			job.TargetResource = cimi.RefTo[cimi.Unknown](id)
			job.AffectedResources = []cimi.Ref[cimi.Unknown]{{Href: id}}
		}
	}
	if job.ID == "" {
		job.Erased = []string{"id"}
	} else {
		q.w.Header()[jobHeader] = []string{q.absolute(job.ID)}
	}
	if status == http.StatusMethodNotAllowed && q.w.Header().Get("Allow") == "" {
		q.w.Header().Set("Allow", q.methods())
	}
	if e.RetryAfter > 0 {
		q.w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if werr := q.write(status, job); werr != nil {
		q.w.WriteHeader(http.StatusInternalServerError)
	}
}

// methods are those that what the request names takes now (RFC 7231 7.4.1).
func (q *request) methods() string {
	out := "GET, HEAD"
	id, err := q.id()
	if err != nil {
		return out
	}
	r, err := q.current(id)
	if err != nil {
		return out
	}
	put, post, del := false, false, false
	for _, o := range r.Base().Operations {
		switch o.Rel {
		case cimi.RelEdit:
			put = true
		case cimi.RelDelete:
			del = true
		default:
			post = true
		}
	}
	for _, m := range []struct {
		is   bool
		name string
	}{{post, "POST"}, {put, "PUT"}, {del, "DELETE"}} {
		if m.is {
			out += ", " + m.name
		}
	}
	return out
}
