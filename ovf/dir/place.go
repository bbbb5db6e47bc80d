package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/ovf/manifest"
)

// ErrNotReplaced: what stands at the target is not, or not only, a package
// that may be replaced.
var ErrNotReplaced = errors.New("it is not replaced")

// replaceable says whether target is free, an empty folder, or a package and
// nothing else: replacing it removes all that it holds.
func replaceable(target string) error {
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: is not a folder: %w", target, ErrNotReplaced)
	}
	entries, err := os.ReadDir(target)
	if err != nil || len(entries) == 0 {
		return err
	}
	all, err := Open(context.Background(), target, Options{Manifest: manifest.Ignore})
	if err != nil {
		return fmt.Errorf("%s: is a folder that holds no package; %w", target, ErrNotReplaced)
	}
	defer all.Close()
	own, err := ownFiles(filepath.Join(target, all.Descriptor()))
	if err != nil {
		return err
	}
	for _, m := range all.Members() {
		if !own[m.Name] {
			return fmt.Errorf("%s: holds %s, which is not of the package %s; %w", target, m.Name, all.Descriptor(), ErrNotReplaced)
		}
	}
	return nil
}

// ownFiles are the files that a descriptor, or its manifest, names, and itself.
func ownFiles(descriptor string) (map[string]bool, error) {
	p, err := Open(context.Background(), descriptor, Options{Manifest: manifest.Ignore})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	own := map[string]bool{}
	for _, m := range p.Members() {
		own[m.Name] = true
	}
	return own, nil
}

// placing puts the files of a package into a folder that exists. Each file
// appears whole; the descriptor comes last, so that what is found beside an old
// one after a crash does not agree with its manifest.
type placing struct {
	folder     string
	descriptor string
	own        map[string]bool // files of the package that is replaced
}

// place is nil where the folder is to be made, or replaced as a whole.
func place(target string, opts WriterOptions) (*placing, error) {
	info, err := os.Stat(target)
	if !opts.Into || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: is not a folder: %w", target, ErrNotReplaced)
	}
	p := &placing{folder: target, descriptor: opts.Descriptor, own: map[string]bool{}}
	// A descriptor that cannot be read is replaced, and owns no other file.
	if own, err := ownFiles(filepath.Join(target, opts.Descriptor)); err == nil {
		p.own = own
	}
	for _, name := range p.companions() {
		if err := p.check(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *placing) companions() []string {
	stem := strings.TrimSuffix(p.descriptor, path.Ext(p.descriptor))
	return []string{stem + ".mf", stem + ".cert"}
}

// check refuses to write over a file that is not of the package.
func (p *placing) check(name string) error {
	if _, err := os.Lstat(filepath.Join(p.folder, filepath.FromSlash(name))); err != nil || p.own[name] {
		return nil
	}
	return fmt.Errorf("%s: is there already, and is not of the package %s; %w", filepath.Join(p.folder, name), p.descriptor, ErrNotReplaced)
}

// appear moves the files from temp, which lies in the folder, to their places.
func (p *placing) appear(temp string) error {
	var names []string
	written := map[string]bool{}
	err := fs.WalkDir(os.DirFS(temp), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != p.descriptor {
			names = append(names, name)
			written[name] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range append(names, p.descriptor) {
		if err := p.check(name); err != nil && name != p.descriptor {
			return err // it came while the package was written
		}
		to := filepath.Join(p.folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(temp, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	// A certificate of the old descriptor would make the new one invalid.
	for _, name := range p.companions() {
		if p.own[name] && !written[name] {
			if err := os.Remove(filepath.Join(p.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if d, err := os.Open(p.folder); err == nil {
		_ = d.Sync() // some file systems cannot
		d.Close()
	}
	return os.RemoveAll(temp)
}
