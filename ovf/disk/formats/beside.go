package formats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Beside opens regular files in the folder of the file path, by bare name:
// names with a folder in them are refused, and links that leave the folder too.
func Beside(path string) disk.Files {
	return func(name string) (disk.OpenedFile, error) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`+"\x00") {
			return disk.OpenedFile{}, &disk.UnsupportedError{Feature: fmt.Sprintf("a file %q, which is not beside the image", name)}
		}
		root, err := os.OpenRoot(filepath.Dir(path))
		if err != nil {
			return disk.OpenedFile{}, err
		}
		defer root.Close()
		st, err := root.Stat(name)
		if err != nil {
			return disk.OpenedFile{}, err
		}
		if !st.Mode().IsRegular() {
			return disk.OpenedFile{}, &disk.UnsupportedError{Name: name, Feature: "not a regular file"}
		}
		f, err := root.Open(name)
		if err != nil {
			return disk.OpenedFile{}, err
		}
		return disk.OpenedFile{ReaderAt: f, Closer: f, Size: st.Size()}, nil
	}
}

// OpenFile opens the image in the file f of size bytes, and lets one that is
// spread over several files have those beside it. Closing the image does not
// close f.
func OpenFile(f *os.File, size int64, src Source) (disk.Image, error) {
	if src.Files == nil {
		src.Files = Beside(f.Name())
	}
	return Open(f, size, src)
}

// maxDepth bounds how many images may build on each other.
const maxDepth = 32

// parents opens the parents that src allows by name, in its Files.
func (src Source) parents() disk.Parents {
	return func(names []string, format disk.Format) (disk.Image, error) {
		if src.Over != nil {
			return src.Over, nil
		}
		for _, name := range names {
			name = name[strings.LastIndexAny(name, `/\`)+1:]
			for _, allowed := range src.Backing {
				if name == "" || name != allowed || src.Files == nil {
					continue
				}
				if src.depth >= maxDepth {
					return nil, &disk.UnsupportedError{Name: src.Name, Feature: fmt.Sprintf("a chain of more than %d images", maxDepth)}
				}
				f, err := src.Files(name)
				if err != nil {
					return nil, err
				}
				parent := src
				parent.Name, parent.Declared, parent.depth = name, format, src.depth+1
				img, err := Open(f, f.Size, parent)
				if err != nil {
					f.Close()
					return nil, err
				}
				return disk.Owning(img, f), nil
			}
		}
		named := "a backing file that it does not name"
		if names[0] != "" {
			named = fmt.Sprintf("a backing file %q", names[0])
		}
		return nil, &disk.UnsupportedError{Name: src.Name, Feature: named + ", which holds the rest of the content and is not opened because an image says so: make one image of the chain first"}
	}
}

// Layered says whether an image that was opened has taken Source.Over over: one
// of a format that can lack content, or that names a parent itself.
func Layered(img disk.Image) bool {
	switch m := disk.Unowned(img).(type) {
	case *vmdk.Image, *qcow2.Image:
		return true
	case *vhd.Image:
		return m.Parent != nil
	case *vhdx.Image:
		return m.Parent != nil
	}
	return false
}
