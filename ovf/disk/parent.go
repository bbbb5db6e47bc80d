package disk

import (
	"errors"
	"io"
)

// Parents opens the image that another one builds on: a qcow2 backing file, a
// differencing disk's parent. names are what the image calls it, as written
// there, of which none is to be trusted as a path; format is what it says the
// parent is, empty where it does not. nil Parents refuse such images.
//
// A header is no reason to open a file: an implementation gives what its caller
// allowed, and else an ErrUnsupported.
type Parents func(names []string, format Format) (Image, error)

// Files opens the files that an image is spread over, by the names its
// descriptor gives them, which are not to be trusted: an implementation gives
// files of one place and never what lies elsewhere. nil Files refuse such
// images.
type Files func(name string) (OpenedFile, error)

// OpenedFile is a file opened to be read and its length in bytes.
type OpenedFile struct {
	io.ReaderAt
	io.Closer
	Size int64
}

// Owning is img with a file that closing it closes too.
func Owning(img Image, file io.Closer) Image { return owning{img, file} }

type owning struct {
	Image
	file io.Closer
}

func (o owning) Close() error { return errors.Join(o.Image.Close(), o.file.Close()) }

// Unowned is the image that Owning was given.
func Unowned(img Image) Image {
	if o, ok := img.(owning); ok {
		return o.Image
	}
	return img
}
