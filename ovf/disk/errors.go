package disk

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong with an image, for errors.Is. The types below carry the
// details.
var (
	// ErrWrongFormat: the content is another format than declared, or none
	// that is known.
	ErrWrongFormat = errors.New("wrong disk format")
	// ErrCorrupt: the content is of the format and breaks its rules.
	ErrCorrupt = errors.New("corrupt disk image")
	// ErrUnsupported: the content is sound and uses a feature not handled here.
	ErrUnsupported = errors.New("unsupported disk image")
	// ErrNotAscending: a Digester was given content out of order.
	ErrNotAscending = errors.New("content not in ascending order")
)

// FormatError says that an image is not of the format it was taken for; it is
// an ErrWrongFormat.
type FormatError struct {
	Name     string // the image, as the caller names it; may be empty
	Expected string // what was declared, or what the file name promises
	Found    string // what the content is
	Hint     string // what would make it right; may be empty
}

func (e *FormatError) Error() string {
	hint := ""
	if e.Hint != "" {
		hint = ": " + e.Hint
	}
	return fmt.Sprintf("%sexpected %s, content is %s%s", prefix(e.Name), e.Expected, e.Found, hint)
}

func (e *FormatError) Is(target error) bool { return target == ErrWrongFormat }

// CorruptError says where an image breaks the rules of its format; it is an
// ErrCorrupt.
type CorruptError struct {
	Name     string // the image, as the caller names it; may be empty
	Format   Format
	Offset   int64  // byte offset in the image file; -1 where there is none
	Expected string // what the format demands there
	Got      string // what is there
	Err      error  // the cause, if any
}

func (e *CorruptError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%scorrupt %s", prefix(e.Name), e.Format)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at offset %d", e.Offset)
	}
	if e.Expected != "" {
		fmt.Fprintf(&b, ": expected %s", e.Expected)
	}
	if e.Got != "" {
		fmt.Fprintf(&b, ", got %s", e.Got)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
func (e *CorruptError) Unwrap() error        { return e.Err }

// UnsupportedError names the feature an image needs and we do not have; it is
// an ErrUnsupported.
type UnsupportedError struct {
	Name    string // the image, as the caller names it; may be empty
	Format  Format
	Feature string
}

func (e *UnsupportedError) Error() string {
	if e.Format == "" {
		return fmt.Sprintf("%sunsupported: %s", prefix(e.Name), e.Feature)
	}
	return fmt.Sprintf("%sunsupported %s: %s", prefix(e.Name), e.Format, e.Feature)
}

func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

func prefix(name string) string {
	if name == "" {
		return ""
	}
	return name + ": "
}
