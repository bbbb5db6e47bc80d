package disk

// Parents opens the image that another one builds on: a qcow2 backing file, a
// differencing disk's parent. names are what the image calls it, as written
// there, of which none is to be trusted as a path; format is what it says the
// parent is, empty where it does not. nil Parents refuse such images.
//
// A header is no reason to open a file: an implementation gives what its caller
// allowed, and else an ErrUnsupported.
type Parents func(names []string, format Format) (Image, error)
