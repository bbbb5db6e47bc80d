// Package client is a cimi.Provider over HTTP (DSP0263 clause 4).
//
// It starts from a Cloud Entry Point and follows hrefs only; it builds no
// paths. Ids are absolute URLs. It is liberal in what it takes: Jobs or none,
// empty answers, errors of any shape, paging ignored, operations that are
// advertised and are not there. Credentials go to the endpoint's own origin
// and nowhere else, and never appear in an error.
package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options: the zero value connects without credentials, speaks JSON and trusts
// the system's certificate authorities.
type Options struct {
	// User and Password are for HTTP basic, Token for bearer authentication.
	User, Password string
	Token          string
	// Renew gives credentials that take the place of those when the cloud
	// refuses them (401): tokens end, passwords are changed. nil: they are
	// refused for good.
	Renew func(context.Context) (user, password, token string, err error)
	// CA are certificate authorities to trust besides the system's, in PEM.
	CA []byte
	// Pin is "sha256:" and the hex digest of the server's certificate or of its
	// public key (SubjectPublicKeyInfo); then nothing else is checked.
	Pin string
	// Insecure trusts any certificate.
	Insecure bool
	// Proxy is a URL; empty follows the environment.
	Proxy string
	// HandshakeTimeout bounds the making of a TLS connection; 0: 20 s.
	HandshakeTimeout time.Duration
	UserAgent        string
	// Format is json (the default) or xml.
	Format string
	// Capacity corrects the units of a cloud that counts otherwise than 5.6
	// says; the zero value changes nothing.
	Capacity Capacity
	// Retry bounds repeated requests; its Client and Authorize are not used.
	Retry fetch.Options
}

// Client is a cloud behind an entry point. Methods may be called concurrently.
type Client struct {
	o     Options
	entry *url.URL
	base  *url.URL
	http  *http.Client
	tags  tagCache

	mu      sync.Mutex
	login   login
	version cimi.Version // what the entry point speaks
	cep     *cimi.CloudEntryPoint
}

var _ cimi.Provider = (*Client)(nil)

// New connects to the cloud whose Cloud Entry Point is at rawURL, and reads it.
func New(ctx context.Context, rawURL string, o Options) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%s: not a URL", shown(rawURL))
	}
	switch {
	case u.User != nil:
		return nil, &cimi.SecurityError{URL: shown(rawURL), Message: "refused", Err: fetch.ErrUserInfo}
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s: expected http(s)://host/…", shown(rawURL))
	}
	if o.Format == "" {
		o.Format = "json"
	}
	if o.Format != "json" && o.Format != "xml" {
		return nil, fmt.Errorf("format: expected json or xml, got %q", o.Format)
	}
	if o.UserAgent == "" {
		o.UserAgent = "cimimove"
	}
	if o.Retry.Attempts == 0 {
		o.Retry.Attempts = 4
	}
	hc, err := newHTTPClient(o)
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, entry: u, base: u, login: login{o.User, o.Password, o.Token}, http: hc}
	if _, err := c.EntryPoint(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// EntryPoint reads the Cloud Entry Point anew (5.12) and takes its baseURI.
func (c *Client) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	a, err := c.send(ctx, http.MethodGet, c.entry.String(), nil, nil, "CloudEntryPoint")
	if err != nil {
		return nil, err
	}
	cep, ok := a.resource.(*cimi.CloudEntryPoint)
	if !ok || !looksLikeEntryPoint(cep) {
		return nil, &cimi.Error{Status: a.status, Method: http.MethodGet, URL: shown(c.entry.String()), Body: a.excerpt(),
			Message: "expected a CloudEntryPoint; give the URL of the cloud's entry point"}
	}
	base := a.url
	if cep.BaseURI != "" {
		if u, err := a.url.Parse(cep.BaseURI); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			base = u
		}
	}
	c.mu.Lock()
	c.base, c.cep = base, cep
	if c.version = cimi.VersionOf(a.body); c.version == 0 {
		c.version = cimi.V2
	}
	c.mu.Unlock()
	cimi.MapURIs(cep, c.resolve)
	cep.MapHrefs(c.resolve)
	return cep, nil
}

// looksLikeEntryPoint: some other document decodes as one too, but then names no collection.
func looksLikeEntryPoint(cep *cimi.CloudEntryPoint) bool {
	return slices.ContainsFunc(cimi.Attributes(cep.TypeName()), func(a *cimi.Attribute) bool { return !a.Common && cimi.Value(cep, a.Name) != nil })
}

// resolve makes a URI absolute: relative ones are relative to baseURI (5.5.10).
func (c *Client) resolve(uri string) string {
	c.mu.Lock()
	base := c.base
	c.mu.Unlock()
	u, err := base.Parse(strings.TrimSpace(uri))
	if err != nil {
		return uri
	}
	c.secure(u)
	return u.String()
}

// Get reads one resource.
func (c *Client) Get(ctx context.Context, id string, opts cimi.ReadOptions) (cimi.Resource, error) {
	a, err := c.send(ctx, http.MethodGet, withQuery(c.resolve(id), cimi.ListOptions{ReadOptions: opts}), nil, nil, "")
	if err != nil {
		return nil, err
	}
	if a.resource == nil {
		return nil, a.unexpected("a resource")
	}
	if item, ok := cimi.Unwrap(a.resource); ok {
		a.resource = item
	}
	if len(opts.Select) == 0 {
		c.tags.put(cimi.ETag(a.resource), a.header.Get("ETag"))
	}
	// Where the cloud ignores $expand or $select (4.1.6), they are applied here.
	if err := cimi.Expand(ctx, a.resource, opts.Expand, c.target); err != nil {
		return nil, err
	}
	return cimi.Select(a.resource, opts.Select), nil
}

// Create adds to a collection, at the href of its add operation.
func (c *Client) Create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	href, err := c.operation(ctx, collection, cimi.RelAdd)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, http.MethodPost, href, c.resolve(collection), r, nil, true)
}

// Update replaces the writable attributes, at the href of the edit operation.
func (c *Client) Update(ctx context.Context, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	href, err := c.operation(ctx, id, cimi.RelEdit)
	if err != nil {
		return nil, err
	}
	var h http.Header
	if opts.IfMatch != "" {
		h = http.Header{"If-Match": {c.tags.get(opts.IfMatch)}}
	}
	sel := cimi.ListOptions{ReadOptions: cimi.ReadOptions{Select: opts.Select}}
	return c.change(ctx, http.MethodPut, withQuery(href, sel), withQuery(c.resolve(id), sel), r, h, false)
}

// Delete removes a resource, at the href of its delete operation.
func (c *Client) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	href, err := c.operation(ctx, id, cimi.RelDelete)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, http.MethodDelete, href, c.resolve(id), nil, nil, false)
}

// Invoke runs an operation, at the href under which the resource offers it.
// One that is not offered is an *Error with Status 405.
func (c *Client) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	href, err := c.operation(ctx, id, a.Action)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, http.MethodPost, href, href, a, nil, false)
}

// operation finds where to send an operation. The uniform ones go to the
// resource itself where it does not say otherwise (4.2.1.3, 4.2.1.4).
func (c *Client) operation(ctx context.Context, id, rel string) (string, error) {
	id = c.resolve(id)
	a, err := c.send(ctx, http.MethodGet, id, nil, nil, "")
	if err != nil {
		return "", err
	}
	if a.resource != nil {
		if op := a.resource.Base().Operation(rel); op != nil && op.Href != "" {
			return op.Href, nil
		}
	}
	if strings.Contains(rel, "/") {
		if err := c.MayChange(ctx, id); err != nil {
			return "", err
		}
		return "", &cimi.Error{Status: http.StatusMethodNotAllowed, Method: http.MethodPost, URL: shown(id),
			Message: "the operation " + rel + " is not offered"}
	}
	return id, nil
}

// MayChange asks with OPTIONS, which changes nothing; see cimi.Permitter.
func (c *Client) MayChange(ctx context.Context, id string) error {
	if _, err := c.once(ctx, http.MethodOptions, c.resolve(id), nil, nil); cimi.IsUnauthorized(err) {
		return err
	}
	return nil
}

// change sends a change to href; where that is not there although it was
// advertised, to fallback.
func (c *Client) change(ctx context.Context, method, href, fallback string, r cimi.Resource, h http.Header, created bool) (*cimi.Accepted, error) {
	a, err := c.send(ctx, method, href, r, h, "")
	if err != nil && href != fallback && (cimi.IsNotFound(err) || cimi.StatusOf(err) == http.StatusMethodNotAllowed) {
		a, err = c.send(ctx, method, fallback, r, h, "")
	}
	if err != nil {
		return nil, err
	}
	return c.accepted(a, created), nil
}

// accepted reads the answer to a change in all the forms it comes in: a Job,
// a partial resource or nothing, with or without CIMI-Job-URI and Location.
func (c *Client) accepted(a *answer, created bool) *cimi.Accepted {
	acc := &cimi.Accepted{Done: a.status != http.StatusAccepted}
	if s := a.header.Get("CIMI-Job-URI"); s != "" {
		acc.Job = c.resolve(s)
	}
	if s := a.header.Get("Location"); s != "" {
		acc.Location = c.resolve(s)
	}
	job, isJob := a.resource.(*cimi.Job)
	switch {
	case isJob && acc.Job == "":
		acc.Job = job.ID
		acc.Done = acc.Done && job.Ended()
	case !isJob && a.resource != nil:
		acc.Resource = a.resource
		if acc.Location == "" && created {
			acc.Location = a.resource.Base().ID
		}
	}
	return acc
}

// Raw reads what the cloud sends for an id, undecoded, and its media type.
// format is json or xml; empty is the one that the Client speaks. What opts ask
// for is asked of the cloud, and not done here where it ignores that.
func (c *Client) Raw(ctx context.Context, id, format string, opts cimi.ReadOptions) (body []byte, contentType string, err error) {
	h := http.Header{}
	if format != "" {
		h.Set("Accept", "application/"+format)
	}
	a, err := c.exchange(ctx, http.MethodGet, withQuery(c.resolve(id), cimi.ListOptions{ReadOptions: opts}), nil, h)
	if err != nil {
		return nil, "", err
	}
	if len(a.body) > cimi.MaxBody {
		return nil, "", &cimi.Error{Status: http.StatusBadGateway, Method: a.method, URL: shown(a.url.String()), Message: cimi.ErrTooLarge.Error(), Err: cimi.ErrTooLarge}
	}
	return a.body, a.header.Get("Content-Type"), nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// withQuery adds the query parameters of 4.1.6 to those that an href has.
func withQuery(href string, o cimi.ListOptions) string {
	q := url.Values{}
	if len(o.Select) > 0 {
		q.Set("$select", strings.Join(o.Select, ","))
	}
	if len(o.Expand) > 0 {
		q.Set("$expand", strings.Join(o.Expand, ","))
	}
	for _, f := range o.Filter {
		q.Add("$filter", f)
	}
	if len(o.OrderBy) > 0 {
		q.Set("$orderby", strings.Join(o.OrderBy, ","))
	}
	if o.First > 0 {
		q.Set("$first", fmt.Sprint(o.First))
	}
	if o.Last > 0 {
		q.Set("$last", fmt.Sprint(o.Last))
	}
	if len(q) == 0 {
		return href
	}
	// "$" and "," stay as the standard writes them; spaces are %20, which
	// every server takes.
	enc := strings.NewReplacer("%24", "$", "%2C", ",", "+", "%20").Replace(q.Encode())
	if strings.Contains(href, "?") {
		return href + "&" + enc
	}
	return href + "?" + enc
}
