package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// get reads a collection, a resource or bytes (4.2.1.2).
func (q *request) get(id string) error {
	ctx := q.Context()
	if isEntryPath(id) {
		cep, err := q.entryPoint()
		if err != nil {
			return err
		}
		return q.represent(cep, q.readOptions())
	}
	if v, ok := q.view(id); ok {
		return q.getView(v)
	}
	c, err := q.list(id)
	if err == nil {
		if err := q.speaks(c); err != nil {
			return err
		}
		return q.represent(c, q.readOptions())
	}
	if !cimi.IsNotFound(err) {
		return err
	}
	opts := q.readOptions()
	r, err := q.p.Get(ctx, id, cimi.ReadOptions{})
	if err == nil {
		if err := q.speaks(r); err != nil {
			return err
		}
		return q.represent(r, opts)
	}
	if !cimi.IsNotFound(err) {
		return err
	}
	return q.open(id, err)
}

// speaks refuses what the version of the request does not have.
func (q *request) speaks(r cimi.Resource) error {
	if cimi.TypeIn(r.TypeName(), q.version) {
		return nil
	}
	return cimi.Errorf(http.StatusNotFound, "no such resource in version %d: %s", q.version, r.TypeName())
}

// list reads a page of a collection, no longer than PageSize.
func (q *request) list(id string) (*cimi.Collection, error) {
	opts, err := q.listOptions()
	if err != nil {
		return nil, err
	}
	empty := opts.Last < 0
	if limit := max(opts.First, 1) + q.o.PageSize - 1; opts.Last <= 0 || opts.Last > limit {
		opts.Last = limit
	}
	opts.ReadOptions = cimi.ReadOptions{} // represent's part: what is expanded has pages too
	c, err := q.p.List(q.Context(), id, opts)
	if err != nil {
		return nil, err
	}
	if c.ID == "" {
		c.ID = id
	}
	if empty {
		c.Items = nil
	}
	return c, nil
}

// represent expands, selects, and answers with an ETag, or 304.
func (q *request) represent(r cimi.Resource, opts cimi.ReadOptions) error {
	if q.unacceptable != nil {
		return q.unacceptable
	}
	if len(opts.Expand) > 0 {
		r = cimi.Clone(r)
		if err := cimi.Expand(q.Context(), r, opts.Expand, q.target); err != nil {
			return err
		}
	}
	r = cimi.Select(r, opts.Select)
	tag := `"` + q.tag(r) + `"`
	q.w.Header().Set("ETag", tag)
	if q.Header.Get("If-Match") != "" {
		if _, err := q.ifMatch(r, nil); err != nil {
			return err
		}
	}
	if q.seen(tag) {
		q.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return q.send(http.StatusOK, r)
}

// seen tells whether If-None-Match names a tag, weak ones and lists included
// (RFC 7232 3.2).
func (q *request) seen(tag string) bool {
	for m := range strings.SplitSeq(q.Header.Get("If-None-Match"), ",") {
		if m = strings.TrimPrefix(strings.TrimSpace(m), "W/"); m == tag || m == "*" {
			return true
		}
	}
	return false
}

// target reads what a reference points to, a collection no longer than PageSize.
func (q *request) target(ctx context.Context, href string) (cimi.Resource, error) {
	c, err := q.p.List(ctx, href, cimi.ListOptions{Last: q.o.PageSize})
	if err == nil {
		return c, nil
	}
	if !cimi.IsNotFound(err) {
		return nil, err
	}
	return q.p.Get(ctx, href, cimi.ReadOptions{})
}

// tag is the ETag without quotes; the formats differ in a suffix.
func (q *request) tag(r cimi.Resource) string {
	if q.xml {
		return cimi.ETag(r) + "-xml"
	}
	return cimi.ETag(r)
}

// post creates in a collection (4.2.1.1) or runs an operation (4.2.1.5).
func (q *request) post(id string) error {
	if v, ok := q.view(id); ok && v.member == "" {
		return q.postView(v)
	}
	b, err := q.body()
	if err != nil {
		return err
	}
	r, err := q.decode(b, "")
	if err != nil {
		return err
	}
	if t := r.TypeName(); t == "" {
		if r, err = q.decodeFor(id, b); err != nil {
			return err
		}
	} else if !cimi.Known(t) {
		return cimi.Errorf(http.StatusBadRequest, "unknown type of resource: %.80s", t)
	}
	if q.Header.Get("If-Match") != "" {
		defer q.lock(id).Unlock()
		if err := q.unchanged(id); err != nil {
			return err
		}
	}
	if a, ok := r.(*cimi.Action); ok {
		if a.Action == "" {
			return cimi.Errorf(http.StatusBadRequest, "action: missing")
		}
		acc, err := q.p.Invoke(q.Context(), id, a)
		if err != nil {
			return err
		}
		return q.accepted(acc, false)
	}
	acc, err := q.p.Create(q.Context(), id, r)
	if err != nil {
		return err
	}
	return q.accepted(acc, true)
}

// decodeFor reads a body that does not say its type, which is optional for
// consumers (4.1.4): the collection's items tell it.
func (q *request) decodeFor(id string, b []byte) (cimi.Resource, error) {
	c, err := q.p.List(q.Context(), id, cimi.ListOptions{Last: 1})
	if cimi.IsNotFound(err) {
		return q.decode(b, "Action")
	}
	if err != nil {
		return nil, err
	}
	item := c.Item
	if item == "locatedVolume" {
		item = "Volume"
	}
	var first error
	for _, t := range []string{item + "Create", item, "Action"} {
		if !cimi.Known(t) {
			continue
		}
		r, err := q.decode(b, t)
		if err == nil {
			return r, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// current is the resource that a change is about, the entry point too where the
// cloud lets it be changed (5.12.1).
func (q *request) current(id string) (cimi.Resource, error) {
	if !isEntryPath(id) {
		return q.p.Get(q.Context(), id, cimi.ReadOptions{})
	}
	cep, err := q.entryPoint()
	if err == nil && cep.Operation(cimi.RelEdit) == nil {
		err = cimi.Errorf(http.StatusMethodNotAllowed, "the Cloud Entry Point cannot be changed")
	}
	return cep, err
}

// entryPoint is the Cloud Entry Point as this request is shown it.
func (q *request) entryPoint() (*cimi.CloudEntryPoint, error) {
	cep, err := q.p.EntryPoint(q.Context())
	if err != nil {
		return nil, err
	}
	cep = cimi.Clone(cep)
	cep.ID, cep.BaseURI = "cloudEntryPoint", q.base.String()
	return cep, nil
}

// put updates a resource (4.2.1.3), wholly or the attributes of $select.
func (q *request) put(id string) error {
	b, err := q.body()
	if err != nil {
		return err
	}
	if isEntryPath(id) {
		id = "cloudEntryPoint"
	}
	defer q.lock(id).Unlock()
	current, err := q.current(id)
	if err != nil {
		return err
	}
	if c, ok := current.(*cimi.Collection); ok {
		return cimi.Errorf(http.StatusMethodNotAllowed, "a %s cannot be changed", c.TypeName())
	}
	if err := q.mayChange(current); err != nil {
		return err
	}
	if err := q.speaks(current); err != nil {
		return err
	}
	opts := cimi.UpdateOptions{Select: cimi.Names(q.URL.Query()["$select"])}
	if opts.IfMatch, err = q.ifMatch(current, opts.Select); err != nil {
		return err
	}
	r, err := q.decode(b, current.TypeName())
	if err != nil {
		return err
	}
	if r.TypeName() != current.TypeName() {
		return cimi.Errorf(http.StatusBadRequest, "%s is a %s, the request holds a %s", id, current.TypeName(), r.TypeName())
	}
	if q.version == cimi.V1 && len(opts.Select) == 0 {
		opts.Select, opts.Whole = q.select1(r), true
	}
	acc, err := q.p.Update(q.Context(), id, r, opts)
	if err != nil {
		return err
	}
	if acc.Done && (acc.Resource == nil || isEntryPath(id)) {
		acc.Resource, _ = q.current(id)
	}
	if acc.Done && acc.Resource != nil {
		public := cimi.Clone(acc.Resource)
		cimi.Public(public)
		q.w.Header().Set("ETag", `"`+q.tag(public)+`"`)
	}
	return q.accepted(acc, false)
}

// unchanged checks If-Match against what a POST is sent to: a collection that
// is added to, a resource that is acted on (RFC 7232 3.1).
func (q *request) unchanged(id string) error {
	c, err := q.list(id)
	current := cimi.Resource(c)
	if cimi.IsNotFound(err) {
		current, err = q.p.Get(q.Context(), id, cimi.ReadOptions{})
	}
	if cimi.IsNotFound(err) {
		return cimi.Errorf(http.StatusPreconditionFailed, "%s has no representation that could match", id)
	}
	if err != nil {
		return err
	}
	_, err = q.ifMatch(current, nil)
	return err
}

// ifMatch checks If-Match against the current state and gives the ETag that
// the Provider is to check again; the tag of either format will do.
func (q *request) ifMatch(current cimi.Resource, names []string) (string, error) {
	header := q.Header.Get("If-Match")
	if header == "" || header == "*" {
		return "", nil
	}
	whole, part := cimi.ETag(current), cimi.ETag(cimi.Select(current, names))
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSuffix(strings.Trim(strings.TrimSpace(tag), `"`), "-xml")
		if tag == whole || tag == part {
			return whole, nil
		}
	}
	return "", cimi.Errorf(http.StatusPreconditionFailed, "the resource has changed since its ETag was %s", header)
}

func (q *request) delete(id string) error {
	if v, ok := q.view(id); ok && v.member != "" {
		return q.deleteView(v)
	}
	defer q.lock(id).Unlock()
	if q.Header.Get("If-Match") != "" || q.user.Role != Administrator {
		current, err := q.p.Get(q.Context(), id, cimi.ReadOptions{})
		if err != nil {
			return err
		}
		if err := q.mayChange(current); err != nil {
			return err
		}
		if _, err := q.ifMatch(current, nil); err != nil {
			return err
		}
	}
	acc, err := q.p.Delete(q.Context(), id)
	if err != nil {
		return err
	}
	return q.accepted(acc, false)
}

// open serves bytes; notFound is the answer when there are none.
func (q *request) open(id string, notFound error) error {
	if q.user.Role == Reader && strings.HasPrefix(id, "reach/") {
		return cimi.Errorf(http.StatusForbidden, "user %s may not import, so neither ask what an import reaches", q.user.Name)
	}
	if q.user.Role == Reader && isDiskContent(id) {
		return cimi.Errorf(http.StatusForbidden, "user %s may not export, so neither read what disks hold", q.user.Name)
	}
	c, err := q.p.Open(q.Context(), id)
	if err != nil {
		if cimi.IsNotFound(err) {
			return notFound
		}
		return err
	}
	defer c.Close()
	return q.serveBytes(id, c)
}
