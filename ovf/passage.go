package ovf

import (
	"context"
	"io"
)

// Parallel is an Opener whose stored files can pass side by side, instead of
// one after the other by Next, each checked against the manifest all the same.
type Parallel interface {
	Opener
	// Passing lists the files that pass: those that Next would give, the chunks
	// of one file (DSP0243 7.1) together and counting up.
	Passing() []MemberInfo
	// Pass reads a stored file from where it had come to, the zero value being
	// its start, to its end, once. Files of different names may pass at the same
	// time. A package of which a file passes so is not gone through by Next.
	Pass(ctx context.Context, name string, from Passed) (Passage, error)
	// Finish says, after all files have passed, whether every digest of the
	// manifest has been compared.
	Finish(ctx context.Context) error
}

// Passage is a stored file as it passes. It shows end-of-file only when size
// and digest match.
type Passage interface {
	io.ReadCloser
	// Passed is how far it has come. ok is false where that cannot be kept.
	Passed() (p Passed, ok bool)
}

// Passed is how far a stored file has passed: Offset bytes, and what the
// digests of the manifest's algorithms were by then. It is of use for the same
// bytes alone; who keeps it keeps what tells them from others.
type Passed struct {
	Offset int64             `json:"offset"`
	Hashes map[string][]byte `json:"hashes,omitempty"`
}

// Identified is a Package that can tell the version of its bytes; "" where
// nothing is known.
type Identified interface {
	Version() string
}
