package ovf

import (
	"fmt"
	"strings"
)

// A DescriptorError says that a descriptor or an archive is not what the
// standard asks for. Commands exit with 3 on it.
type DescriptorError struct {
	Package string // as Package.Name
	Object  string // file, element or id inside the package; may be empty
	Offset  int64  // in bytes from the start of the object, -1 when it has none
	Message string // what was expected and what came
	Clause  string // clause of DSP0243, such as "7.1"; may be empty
	Err     error  // cause; may be nil
}

func (e *DescriptorError) Error() string {
	var b strings.Builder
	for _, s := range []string{e.Package, e.Object} {
		if s != "" {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	if e.Offset >= 0 && e.Offset != 0 {
		fmt.Fprintf(&b, "at byte %d: ", e.Offset)
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		if e.Message != "" {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	if e.Clause != "" {
		fmt.Fprintf(&b, " (DSP0243 %s)", e.Clause)
	}
	return b.String()
}

func (e *DescriptorError) Unwrap() error { return e.Err }

// An IntegrityError is a digest that does not match. Commands exit with 4 on it.
type IntegrityError struct {
	Package   string
	File      string
	Algorithm string // sha256, …
	Expected  string // hex, from the manifest
	Actual    string // hex, of what was read
	Reason    string // what else is wrong where no two digests were compared; empty otherwise
}

func (e *IntegrityError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s: %s: %s", e.Package, e.File, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %s digest is %s, the manifest says %s", e.Package, e.File, e.Algorithm, e.Actual, e.Expected)
}

// A MissingFileError is a File of References whose href the package does not hold.
type MissingFileError struct {
	Package string
	Href    string
	FileID  string   // ovf:id of the File entry; empty when unknown
	Disks   []string // ovf:diskId of the Disks that use it
	Members []string // what the package holds, shortened
	Nearest string   // best candidate, empty when none is near
}

// Unwrap is an error that wraps ErrUnsafePath where the href can name no file
// of a package, nil otherwise.
func (e *MissingFileError) Unwrap() error {
	if RemoteHref(e.Href) {
		return nil
	}
	_, err := MemberName(e.Href, nil)
	return err
}

func (e *MissingFileError) Error() string {
	var b strings.Builder
	if RemoteHref(e.Href) {
		fmt.Fprintf(&b, "%s: file %s lies on a web server and is not in the package", e.Package, e.Href)
	} else {
		fmt.Fprintf(&b, "%s: file %q is not in the package", e.Package, e.Href)
	}
	if e.FileID != "" {
		fmt.Fprintf(&b, " (File %s", e.FileID)
		if len(e.Disks) > 0 {
			fmt.Fprintf(&b, ", disk %s", strings.Join(e.Disks, ", "))
		}
		b.WriteString(")")
	}
	if err := e.Unwrap(); err != nil {
		fmt.Fprintf(&b, ": %v", err)
		return b.String()
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	} else if len(e.Members) > 0 {
		fmt.Fprintf(&b, "; it holds %s", strings.Join(e.Members, ", "))
	}
	return b.String()
}
