package host

import "context"

// Versioner is a Host that tells cheaply whether a disk was written to.
type Versioner interface {
	// ContentVersion tells the content of a disk whose machines are at rest from
	// that of times before they ran last, or it was written to otherwise, as far as
	// the hypervisor knows: without reading it. It is empty where nobody knows. It
	// is not the Version of an image, which may be another for other reasons too.
	ContentVersion(ctx context.Context, diskID string) (string, error)
}
