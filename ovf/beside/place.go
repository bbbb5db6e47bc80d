package beside

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLinks is how many links are followed, one to the next.
const maxLinks = 40

// ErrSpecial: a device, a pipe or the like stands where a file is to be put.
var ErrSpecial = errors.New("is no regular file, and is not replaced by one")

// ErrForeignLink: a link leads on that somebody else has put into a folder where
// everybody may put one.
var ErrForeignLink = errors.New("is another user's link in a folder for all, and is not followed")

// Place is where a file lies, or will, that is called name: links are followed,
// also to where nothing is yet, so that a name that is a link stays one. What is
// no regular file there is an ErrSpecial; of folders, renaming says so.
func Place(name string) (string, error) {
	// The text of a link in /proc, to a pipe or a file without a name, is no path.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return "", fmt.Errorf("%s: %w", name, ErrSpecial)
	}
	at := name
	for range maxLinks {
		// The folder first: what follows ".." in a link counts from where it is.
		folder, base := filepath.Split(at) // which leaves ".." alone
		folder, err := filepath.EvalSymlinks(cmp.Or(folder, "."))
		if err != nil {
			return "", err
		}
		at = filepath.Join(folder, base)
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return at, nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0 && !info.Mode().IsRegular() && !info.IsDir():
			return "", fmt.Errorf("%s: %w", name, ErrSpecial)
		case info.Mode()&fs.ModeSymlink == 0:
			return at, nil
		}
		if foreign(at, info) {
			return "", fmt.Errorf("%s: %s: %w", name, at, ErrForeignLink)
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = folder + string(filepath.Separator) + target
		}
		at = target
	}
	return "", fmt.Errorf("%s: more than %d links lead on", name, maxLinks)
}
