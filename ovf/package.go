package ovf

import (
	"context"
	"errors"
	"io"
)

// Package is an envelope with its files, wherever they live: a folder, an OVA,
// a web server, standard input. A Package is used by one goroutine at a time,
// except that Opener's methods may be called concurrently.
//
// Digests of the manifest are checked as bytes pass, whatever the way of
// reading: a Member never shows end-of-file before its size and its digest
// match (but for what is Entrusting), and Next does not answer io.EOF before
// every digest of the manifest has been compared. Until then nothing that was read may be committed.
type Package interface {
	// Name is what the user called the package: a path, a URL without secrets, "-".
	Name() string
	// Descriptor is the name of the descriptor inside the package (DSP0243 5.1).
	Descriptor() string
	// Envelope is the parsed descriptor. It is read before the Package is handed out.
	Envelope() *Envelope
	// Manifest and Certificate are the stored bytes of those files; nil when
	// there is none or when it has not been passed yet (a stream with the
	// manifest last).
	Manifest() []byte
	Certificate() []byte
	// Next gives the next stored file in the order of the package, descriptor,
	// manifest and certificate left out. The previous Member becomes invalid;
	// what was not read of it is skipped (and still digested). io.EOF means
	// that all was read and all digests agree; an *IntegrityError that they do not.
	Next(ctx context.Context) (*Member, error)
	Close() error
}

// Member is one stored file of a package: the bytes as they lie there, which
// are what the manifest's digests are of; compression and chunks (DSP0243 7.1)
// are not undone. See Files for the content behind a References entry.
type Member struct {
	// Name is the path inside the package, slash-separated, never leaving it.
	Name string
	// Size is in bytes, -1 when only reading will tell.
	Size int64
	io.Reader
}

// Opener is a Package whose files can be read again and anywhere.
type Opener interface {
	Package
	// Members lists the stored files in order, descriptor, manifest and
	// certificate included.
	Members() []MemberInfo
	// Open opens a stored file for random access. Reads through it are not
	// checked against the manifest: Verify does that, or Next. A missing file is
	// a *MissingFileError that names the nearest candidates.
	Open(ctx context.Context, name string) (MemberFile, error)
}

// Arranger is an Opener that Next can go through in the order in which files
// are to be written, wherever they lie.
type Arranger interface {
	Opener
	// InReferencesOrder makes Next give files in the order of References, chunks
	// counting up, and last what References do not name. It has no effect once
	// Next was called.
	InReferencesOrder()
}

// MemberInfo is the name and stored size in bytes of a file of a package.
type MemberInfo struct {
	Name string
	Size int64
}

// MemberFile is an open stored file. ReadAt may be called concurrently.
type MemberFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// ErrNoDescriptor: what was opened holds no .ovf file.
var ErrNoDescriptor = errors.New("no descriptor (.ovf) in the package")

// ErrMultipleDescriptors: a folder holds several descriptors; name one.
var ErrMultipleDescriptors = errors.New("several descriptors in the folder; name one of them")

// ErrUnsafePath marks a name or href that would leave the package: absolute,
// with "..", a drive letter, a link, or a scheme that is not allowed.
var ErrUnsafePath = errors.New("path leaves the package")
