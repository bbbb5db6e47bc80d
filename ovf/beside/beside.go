// Package beside makes what is written beside its place, under a name of its own,
// and takes that place when it is complete.
//
// Unlike os.CreateTemp and os.MkdirTemp, which make what is the user's alone, it
// makes what others may read as far as the user's umask lets them: what appears in
// the end is no temporary file.
package beside

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// attempts are how many names are tried.
const attempts = 100

// File creates a file in folder, to be renamed to name.
func File(folder, name string) (f *os.File, err error) {
	err = free(folder, name, func(part string) (err error) {
		f, err = os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
	return f, err
}

// Folder creates a folder in folder, to be renamed to name, or whose files are to
// be moved. It answers its path.
func Folder(folder, name string) (path string, err error) {
	err = free(folder, name, func(part string) error {
		path = part
		return os.Mkdir(part, 0o777)
	})
	return path, err
}

func free(folder, name string, create func(part string) error) error {
	for range attempts {
		err := create(filepath.Join(folder, fmt.Sprintf(".%s.part-%08x", name, rand.Uint32())))
		if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("%s: no name is free for what is written beside it", filepath.Join(folder, name))
}
