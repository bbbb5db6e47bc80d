package ovf

import (
	"context"
	"io"
)

// Writer makes a package: an OVA file or a folder that appears, complete,
// when Finish returns without error, and of which nothing stays otherwise.
// One file is written at a time, in the order of References.
type Writer interface {
	// Create starts the next file. The previous one must have been closed.
	// name is as in References (or a chunk of it); its digest is taken as it passes.
	Create(ctx context.Context, name string) (io.WriteCloser, error)
	// Finish writes descriptor, manifest and certificate and makes the package
	// appear, replacing one that stood there.
	Finish(ctx context.Context, descriptor []byte) error
	// Abort removes what was written. After Finish it does nothing.
	Abort() error
}

// Suspender is a Writer of which something of use may stay when writing ends
// before its time.
type Suspender interface {
	Writer
	// Suspend is Abort for what may go well another time: what was stored is
	// kept where nobody takes it for a package, and a Writer of the same
	// package to the same place goes on with it.
	Suspend() error
}

// Reporter is implemented by packages that noticed something worth a finding
// while they were read: an odd spelling, a file the manifest does not list.
// What is known grows with each Next.
type Reporter interface {
	Findings() []Finding
}
