package cimi

import (
	"context"
	"io"
)

// Provider is a cloud in CIMI's own uniform verbs (DSP0263 4.2). Everything
// that can be migrated from or to is one: client.Client over HTTP,
// provider.Provider over a host.Host.
//
// Ids are opaque: a caller gets them from resources and follows them; the
// entry point is the one it starts from. A Provider's own ids and hrefs are
// accepted in either form it gives them. Methods may be called concurrently.
// Errors that come from the cloud are *Error.
type Provider interface {
	// EntryPoint reads the Cloud Entry Point (5.12).
	EntryPoint(ctx context.Context) (*CloudEntryPoint, error)
	// Get reads one resource; *Error with Status 404 when it is not there. Of a
	// collection it gives what List gives without options.
	Get(ctx context.Context, id string, opts ReadOptions) (Resource, error)
	// List reads one page of a collection (5.5.12) named by its id; *Error with
	// Status 404 when the id names no collection. It may be shorter than asked
	// for: Count tells how many there are (see All).
	List(ctx context.Context, collection string, opts ListOptions) (*Collection, error)
	// Create adds to a collection (4.2.1.1): a …Create request or, for
	// templates, configurations and images, the resource itself.
	Create(ctx context.Context, collection string, r Resource) (*Accepted, error)
	// Update replaces the writable attributes (4.2.1.3), or only those of
	// opts.Select (4.2.1.3.1). The answer's Resource is the updated one where the cloud sent it.
	Update(ctx context.Context, id string, r Resource, opts UpdateOptions) (*Accepted, error)
	Delete(ctx context.Context, id string) (*Accepted, error)
	// Invoke runs an operation of a resource or collection (4.2.1.5):
	// start, stop, import, export, …
	Invoke(ctx context.Context, id string, a *Action) (*Accepted, error)
	// Open reads bytes the cloud offers, such as an export's Location.
	Open(ctx context.Context, href string) (Content, error)
	io.Closer
}

// Content is bytes that a cloud offers for reading. ReadAt may be called
// concurrently. Size is in bytes, -1 when the cloud does not tell; then, and
// when Ranged is false, only ascending adjacent reads from 0 are possible and
// others give an error.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
	Ranged() bool
	// Version identifies the bytes (a strong ETag); empty when the cloud gives none.
	Version() string
}

// Accepted is the answer to a change (4.2.1.6, 4.2.1.7).
type Accepted struct {
	// Job is the id of the Job to follow; empty when the cloud has none.
	Job string
	// Done: the change is complete (200, 201, 204), not merely accepted (202).
	Done bool
	// Location is the new resource, or an export's package; empty when not told.
	Location string
	// Resource is the representation in the answer; nil when there was none.
	Resource Resource
}

// ReadOptions are the query parameters of a read (4.1.6.3, 4.1.6.4).
type ReadOptions struct {
	Select []string
	Expand []string
}

// ListOptions are those of a collection (4.1.6). First and Last count from 1; 0 is unset.
type ListOptions struct {
	ReadOptions
	Filter  []string // combined by "and" (4.1.6.1)
	OrderBy []string // "name:asc", "memory:desc"
	First   int
	Last    int
}

// UpdateOptions: Select names the attributes of a partial update, and those of
// them that the resource has no value for are reset (4.2.1.3.1), unless Whole
// says that no consumer named them: that the update is as whole as its version
// of the standard can make it. IfMatch is an ETag (4.1.7.2).
type UpdateOptions struct {
	Select  []string
	Whole   bool
	IfMatch string
}
