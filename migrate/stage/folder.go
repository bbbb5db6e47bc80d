package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folder is a Place on a file system.
type folder struct{ dir string }

func openFolder(name string) (*folder, error) {
	if strings.Contains(name, "://") {
		return nil, fmt.Errorf("%s: %w", name, ErrNoPlace)
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s: is a file: %w", name, ErrNoPlace)
	}
	return &folder{dir}, nil
}

func (f *folder) String() string { return f.dir }

func (f *folder) Close() error { return nil }

// Free is that of the file system, or of the one that the folder will be on.
func (f *folder) Free(context.Context) (int64, error) {
	for dir := f.dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			return freeSpace(dir)
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return -1, err
		}
	}
}

func (f *folder) file(run string) string { return filepath.Join(f.dir, packageName(run)) }
func (f *folder) part(run string) string { return filepath.Join(f.dir, "."+packageName(run)+".part") }

// Write writes to a file of another name. The state is how much of it is
// durable, in bytes.
func (f *folder) Write(_ context.Context, run string, size int64, state string) (Writing, error) {
	if info, err := os.Stat(f.file(run)); err == nil && info.Size() == size && state != "" {
		// It was finished, and the process died before that was recorded.
		return &fileWriting{folder: f, run: run, size: size, pos: size, finished: true}, nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.part(run), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w := &fileWriting{folder: f, run: run, size: size, f: file}
	if state != "" {
		if w.pos, err = strconv.ParseInt(state, 10, 64); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: state %q: %w", file.Name(), state, err), file.Close())
		}
	}
	info, err := file.Stat()
	if err == nil {
		w.pos = max(min(w.pos, info.Size(), size), 0)
		_, err = file.Seek(w.pos, 0)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

type fileWriting struct {
	folder   *folder
	run      string
	size     int64
	pos      int64
	f        *os.File
	finished bool
}

func (w *fileWriting) Offset() int64 { return w.pos }

func (w *fileWriting) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.pos += int64(n)
	return n, err
}

func (w *fileWriting) Sync(context.Context) (string, error) {
	if w.finished {
		return strconv.FormatInt(w.size, 10), nil
	}
	return strconv.FormatInt(w.pos, 10), w.f.Sync()
}

// Finish gives the file its name.
func (w *fileWriting) Finish(context.Context) error {
	if w.finished {
		return nil
	}
	if w.pos != w.size {
		return notWhole(w.f.Name(), w.pos, w.size)
	}
	if err := errors.Join(w.f.Truncate(w.size), w.f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(w.f.Name(), w.folder.file(w.run)); err != nil {
		return err
	}
	w.finished = true
	if d, err := os.Open(w.folder.dir); err == nil {
		_ = d.Sync() // some file systems cannot
		d.Close()
	}
	return nil
}

func (w *fileWriting) Close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}

func (f *folder) Open(_ context.Context, run string) (Package, error) {
	file, err := os.Open(f.file(run))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &openFile{file, info.Size()}, nil
}

type openFile struct {
	*os.File
	size int64
}

func (f *openFile) Size() int64 { return f.size }

// Remove removes the package and what was begun of it, and nothing else.
func (f *folder) Remove(_ context.Context, run, _ string) error {
	var errs []error
	for _, name := range []string{f.file(run), f.part(run)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
