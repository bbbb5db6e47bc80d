// Package dir reads and writes packages stored as a set of files in a folder
// (DSP0243 5.4). Nothing outside the folder is ever opened: names with "..",
// absolute names and symbolic links that leave it are refused.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
)

// Options of Open.
type Options struct {
	Manifest manifest.Policy // zero: verify
}

const maxFiles = 100_000

// Open opens a folder that holds one descriptor, with all the files in it, or
// a descriptor with the files beside it that it, or its manifest, names.
func Open(ctx context.Context, path string, opts Options) (ovf.Opener, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	folder, descriptor := path, ""
	if !info.IsDir() {
		folder, descriptor = filepath.Split(path)
		if folder == "" {
			folder = "."
		}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	f := &source{pkg: path, root: root, have: map[string]bool{}}
	if descriptor == "" {
		descriptor, err = f.list(ctx)
	} else {
		err = f.named(descriptor)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	p, err := members.Open(ctx, path, f, members.Options{Descriptor: descriptor, Manifest: opts.Manifest})
	if err != nil {
		return nil, err // not a nil *members.Package in an interface
	}
	return p, nil
}

// source is the folder.
type source struct {
	pkg  string
	root *os.Root
	all  []ovf.MemberInfo
	have map[string]bool
}

// list finds every file of the folder, and the one descriptor at its top.
func (f *source) list(ctx context.Context) (string, error) {
	var descriptors []string
	err := fs.WalkDir(f.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", f.pkg, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir():
			return nil
		case len(f.all) == maxFiles:
			return &ovf.DescriptorError{Package: f.pkg, Offset: -1, Message: fmt.Sprintf("more than %d files in the folder", maxFiles)}
		}
		if members.IsDescriptor(name) && !strings.Contains(name, "/") {
			descriptors = append(descriptors, name)
		}
		return f.add(name)
	})
	if err != nil {
		return "", err
	}
	switch len(descriptors) {
	case 1:
	case 0:
		names := make([]string, len(f.all))
		for i, m := range f.all {
			names[i] = m.Name
		}
		return "", members.NoDescriptor(f.pkg, names)
	default:
		return "", &ovf.DescriptorError{Package: f.pkg, Offset: -1, Clause: "5.1",
			Message: "it holds " + strings.Join(members.Shorten(descriptors), ", "), Err: ovf.ErrMultipleDescriptors}
	}
	f.sort(descriptors[0])
	return descriptors[0], nil
}

// named finds the files that a descriptor and its manifest name.
func (f *source) named(descriptor string) error {
	if err := f.add(descriptor); err != nil {
		return err
	}
	if f.all[0].Size > members.MaxDescriptor {
		return members.TooBig(f.pkg, descriptor, f.all[0].Size)
	}
	b, err := f.root.ReadFile(descriptor)
	if err != nil {
		return err
	}
	env, err := members.ParseDescriptor(f.pkg, descriptor, b)
	if err != nil {
		return err
	}
	var beside []string
	if top, err := f.root.Open("."); err == nil {
		beside, _ = top.Readdirnames(maxFiles)
		top.Close()
		slices.Sort(beside)
	}
	for _, ext := range []string{".mf", ".cert"} {
		companion := members.Companion(descriptor, ext, env, beside)
		if companion == "" {
			continue
		}
		if err := f.add(companion); err != nil {
			return err
		}
	}
	for _, file := range env.Files() {
		if err := f.addReferenced(file); err != nil {
			return err
		}
	}
	if err := f.addListed(members.Companion(descriptor, ".mf", env, beside)); err != nil {
		return err
	}
	f.sort(descriptor)
	return nil
}

// addReferenced adds the file or the chunks that an entry of References
// means. What is not there, or would lie outside of the folder, is found when
// it is asked for, and then named: the descriptor can be read all the same.
func (f *source) addReferenced(file ovf.File) error {
	if strings.Contains(file.Href, "://") {
		return nil
	}
	has := func(name string) bool {
		if clean, err := ovf.CleanName(name); err != nil || clean != name {
			return false
		}
		_, err := f.root.Lstat(name)
		return err == nil
	}
	if name, ok := ovf.MatchMember(file.Href, has); ok {
		return f.add(name)
	}
	for n := 0; file.ChunkSize > 0 && len(f.all) < maxFiles; n++ {
		name, ok := ovf.MatchMember(manifest.ChunkName(file.Href, n), has)
		if !ok {
			break
		}
		if err := f.add(name); err != nil {
			return err
		}
	}
	return nil
}

// addListed adds what the manifest lists and References do not. A manifest
// that cannot be read is told about when digests are compared.
func (f *source) addListed(name string) error {
	if name == "" {
		return nil
	}
	b, err := f.root.ReadFile(name)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(b)
	if err != nil {
		return nil
	}
	for _, e := range m.Entries {
		found, ok := ovf.MatchMember(e.Name, func(n string) bool {
			if clean, err := ovf.CleanName(n); err != nil || clean != n {
				return false
			}
			_, err := f.root.Lstat(n)
			return err == nil
		})
		if ok && len(f.all) < maxFiles {
			if err := f.add(found); err != nil {
				return err
			}
		}
	}
	return nil
}

// add records a file. A link that leaves the folder, or leads to anything but
// a file, is refused.
func (f *source) add(name string) error {
	if f.have[name] {
		return nil
	}
	info, err := f.root.Stat(name)
	if err != nil {
		if link, e := f.root.Lstat(name); e == nil && link.Mode()&fs.ModeSymlink != 0 && !errors.Is(err, fs.ErrNotExist) {
			return &ovf.DescriptorError{Package: f.pkg, Object: name, Offset: -1, Message: "is a link out of the folder", Err: ovf.ErrUnsafePath}
		}
		return fmt.Errorf("%s: %w", f.pkg, err)
	}
	if info.IsDir() {
		return nil // a link to a folder inside the folder: its files are listed where they are
	}
	if !info.Mode().IsRegular() {
		return &ovf.DescriptorError{Package: f.pkg, Object: name, Offset: -1, Message: "is a device or pipe; a package holds files only", Err: ovf.ErrUnsafePath}
	}
	f.have[name] = true
	f.all = append(f.all, ovf.MemberInfo{Name: name, Size: info.Size()})
	return nil
}

// sort puts the files in the order of a package (DSP0243 5.3): descriptor,
// manifest, certificate, References, the rest by name.
func (f *source) sort(descriptor string) {
	rank := map[string]int{descriptor: -3}
	if b, err := f.root.ReadFile(descriptor); err == nil {
		if env, err := ovf.Parse(b); err == nil {
			names := make(map[string]bool, len(f.all))
			for _, m := range f.all {
				names[m.Name] = true
			}
			for i, file := range env.Files() {
				if name, ok := ovf.MatchMember(file.Href, func(n string) bool { return names[n] }); ok {
					rank[name] = i + 1
				} else {
					rank[file.Href] = i + 1 // of its chunks
				}
			}
		}
	}
	base := strings.TrimSuffix(descriptor, filepath.Ext(descriptor))
	rank[base+".mf"], rank[base+".cert"] = -2, -1
	of := func(name string) int {
		if r, ok := rank[name]; ok {
			return r
		}
		if whole, _, ok := manifest.CutChunk(name); ok {
			if r, ok := rank[whole]; ok {
				return r
			}
		}
		return maxFiles
	}
	slices.SortStableFunc(f.all, func(a, b ovf.MemberInfo) int {
		if d := of(a.Name) - of(b.Name); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// Members lists the files.
func (f *source) Members() []ovf.MemberInfo { return f.all }

// Open opens a file, which must still have the size it had.
func (f *source) Open(_ context.Context, i int) (ovf.MemberFile, error) { return f.open(i) }

// Stream opens a file for one reading.
func (f *source) Stream(_ context.Context, i int) (io.ReadCloser, error) { return f.open(i) }

func (f *source) open(i int) (*file, error) {
	m := f.all[i]
	h, err := f.root.Open(m.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.pkg, err)
	}
	info, err := h.Stat()
	if err == nil && info.Size() != m.Size {
		err = &ovf.DescriptorError{Package: f.pkg, Object: m.Name, Offset: -1,
			Message: fmt.Sprintf("has %d bytes, it had %d when the package was opened", info.Size(), m.Size)}
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return &file{h, m.Size}, nil
}

// OnThisMachine is true of every folder.
func (f *source) OnThisMachine() bool { return true }

// Close lets the folder go.
func (f *source) Close() error { return f.root.Close() }

type file struct {
	*os.File
	size int64
}

func (f *file) Size() int64 { return f.size }
