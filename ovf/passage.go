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

// Entrusting is a Member's Reader, or a Passage, whose digest may be taken by
// who holds the bytes in the end instead of as they pass: that saves taking it
// twice, and proves what arrived.
type Entrusting interface {
	io.Reader
	// Entrust, before the end, leaves the digest by an algorithm of manifests,
	// such as sha1, to another, to whom all bytes from the first on go. Then
	// end-of-file says that the size is right, and nothing of the digest. It is
	// false, and nothing changes, where the manifest proves the file by something
	// else, or where the file could not be read again.
	Entrust(algorithm string) bool
	// Attest, at end-of-file, compares the digests, in hex, of what arrived in each
	// place that the bytes went to. A wrong one is an *IntegrityError, which says
	// whether the package is at fault.
	Attest(sums ...string) error
	// Drain gives the verdict without Attest: the file is read again, and has to
	// have the bytes that passed. Next and Finish are errors as long as there is none.
	Drain() error
}

// Identified is a Package that can tell the version of its bytes; "" where
// nothing is known.
type Identified interface {
	Version() string
}
