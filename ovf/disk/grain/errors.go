package grain

import (
	"errors"
	"fmt"
)

// The three ways in which a stream fails to inflate. Test for them with
// errors.Is; the error returned is always an *Error.
var (
	// ErrCorrupt: the stream breaks RFC 1951 or RFC 1950, or its checksum
	// does not match its content.
	ErrCorrupt = errors.New("corrupt deflate stream")
	// ErrTruncated: the source ends before the stream does.
	ErrTruncated = errors.New("truncated deflate stream")
	// ErrTooLarge: the stream inflates to more than the destination holds.
	ErrTooLarge = errors.New("deflate stream inflates beyond its destination")
)

// Error says how and where a stream failed.
type Error struct {
	Kind   error  // ErrCorrupt, ErrTruncated or ErrTooLarge
	Offset int    // about where in the source, in bytes; never past its end
	Detail string // what was expected and what came
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v at byte %d: %s", e.Kind, e.Offset, e.Detail)
}

// Unwrap gives the kind, for errors.Is.
func (e *Error) Unwrap() error { return e.Kind }

// What inflater.fast meets, before it is wrapped with its place.
var (
	errNoLitCode  = errors.New("no such literal or length code")
	errNoDistCode = errors.New("no such distance code")
)
