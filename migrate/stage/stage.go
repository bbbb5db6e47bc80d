// Package stage keeps packages between the export from one cloud and the
// import into another: in a folder, or under a prefix of an object store. The
// two halves may run in different processes, days apart.
//
// Crash model: what a Writing reports by Sync is there after any death of the
// process and after the loss of power; what was written after that may be
// there or not and is written again. A package appears under its name when it
// is complete. Nothing that a run did not put there is changed or removed.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/object"
)

// Place is where packages wait. Each is named by the run that put it there.
type Place interface {
	// String is what the user called the place.
	String() string
	// Free is how many bytes there is room for, -1 when nobody knows.
	Free(ctx context.Context) (int64, error)
	// Write begins to write the package of a run, size bytes, or goes on where
	// state, which an earlier Writing gave, says; an empty state begins anew.
	Write(ctx context.Context, run string, size int64, state string) (Writing, error)
	// Open opens a complete package; an error that is fs.ErrNotExist when there
	// is none.
	Open(ctx context.Context, run string) (Package, error)
	// Remove removes what a run has put there, complete or not; state is the
	// latest of its Writing. What is not there is removed.
	Remove(ctx context.Context, run, state string) error
	io.Closer
}

// Writing is a package being written, from its start to its end.
type Writing interface {
	// Offset is how many bytes from the start are there: writing goes on at it.
	Offset() int64
	io.Writer
	// Sync makes what was written durable, as far as the place can say so, and
	// gives the state that goes on from there.
	Sync(ctx context.Context) (state string, err error)
	// Finish makes the package appear. It must be whole.
	Finish(ctx context.Context) error
	// Close ends the writing; what is durable stays for another one.
	Close() error
}

// Package is a package that waits. ReadAt may be called concurrently.
type Package interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Linker is a Place that others can be pointed at.
type Linker interface {
	// Link is a URL by which the package of a run can be fetched for a while
	// without further credentials: it is a secret.
	Link(ctx context.Context, run string) (string, error)
}

// ErrNoPlace: the name is none that a place can have.
var ErrNoPlace = errors.New("a stage is a folder or s3://bucket/prefix")

// Open opens the place of that name. A folder is made when it is absent and
// something is written, not before.
func Open(name string, o object.Options) (Place, error) {
	switch {
	case name == "":
		return nil, ErrNoPlace
	case object.Is(name):
		return openBucket(name, o)
	}
	return openFolder(name)
}

// packageName is the name of a run's package in its place.
func packageName(run string) string { return "cimimove-" + run + ".ova" }

func notWhole(where string, have, want int64) error {
	return fmt.Errorf("%s: has %d bytes of %d", where, have, want)
}
