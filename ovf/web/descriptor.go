package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

const (
	maxFiles  = 10_000  // each costs a request before anything is read
	fileProbe = 4 << 10 // bytes of each file that are asked for to learn its size
)

// openDescriptor opens the descriptor that f is, with its files beside it.
func openDescriptor(ctx context.Context, rawURL string, f *fetch.File, opts Options) (ovf.Package, error) {
	base, err := url.Parse(rawURL)
	if err != nil {
		f.Close()
		return nil, err
	}
	s := &folder{name: f.URL(), base: base, opts: opts}
	descriptor := path.Base(base.Path)
	s.add(descriptor, f)
	if err := s.find(ctx, descriptor); err != nil {
		s.Close()
		return nil, err
	}
	p, err := members.Open(ctx, s.name, s, members.Options{Descriptor: descriptor, Manifest: opts.Manifest})
	if err != nil {
		return nil, err // not a nil *members.Package in an interface
	}
	return p, nil
}

// folder is a descriptor's folder on a web server, as far as References and
// the manifest tell what it holds.
type folder struct {
	name  string
	base  *url.URL
	opts  Options
	list  []ovf.MemberInfo
	files []*fetch.File
}

func (s *folder) add(name string, f *fetch.File) {
	s.list = append(s.list, ovf.MemberInfo{Name: name, Size: f.Size()})
	s.files = append(s.files, f)
}

// find asks for manifest, certificate and the files of References. What the
// server does not have is not listed, and named when it is missed.
func (s *folder) find(ctx context.Context, descriptor string) error {
	b, err := s.small(ctx, 0)
	if err != nil {
		return err
	}
	env, err := members.ParseDescriptor(s.name, descriptor, b)
	if err != nil {
		return err
	}
	stem := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	for _, ext := range []string{".mf", ".cert"} {
		if _, err := s.ask(ctx, stem+ext); err != nil {
			return err
		}
	}
	for _, file := range env.Files() {
		if strings.Contains(file.Href, "://") {
			continue // another server's; nothing here looks for it
		}
		if err := s.findFile(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// findFile asks for the file of an entry, or for its chunks.
func (s *folder) findFile(ctx context.Context, file ovf.File) error {
	if file.ChunkSize > 0 {
		for n := 0; ; n++ {
			found, err := s.askHref(ctx, manifest.ChunkName(file.Href, n))
			if err != nil {
				return err
			}
			if !found {
				if n > 0 {
					return nil
				}
				break
			}
			if file.Size >= 0 && int64(n+1) >= (file.Size-1)/file.ChunkSize+1 {
				return nil
			}
		}
	}
	_, err := s.askHref(ctx, file.Href)
	return err
}

// askHref asks for an href as the relative reference that it is, then as the
// name that some producers mean.
func (s *folder) askHref(ctx context.Context, href string) (bool, error) {
	names := []string{href}
	if decoded, err := url.PathUnescape(href); err == nil && decoded != href {
		names = []string{decoded, href}
	}
	for _, name := range names {
		clean, err := ovf.CleanName(name)
		if err != nil {
			continue // nothing outside of the folder is asked for; who needs the file is told
		}
		if found, err := s.ask(ctx, clean); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// ask adds a file when the server has it.
func (s *folder) ask(ctx context.Context, name string) (bool, error) {
	for _, m := range s.list {
		if m.Name == name {
			return true, nil
		}
	}
	if len(s.list) == maxFiles {
		return false, &ovf.DescriptorError{Package: s.name, Offset: -1, Message: fmt.Sprintf("more than %d files", maxFiles)}
	}
	u := *s.base
	u.Path, u.RawPath, u.Fragment = path.Join(path.Dir(s.base.Path), name), "", ""
	o := s.opts.Fetch
	o.ReadFirst, o.Expect = fileProbe, nil
	if strings.HasSuffix(name, ".mf") || strings.HasSuffix(name, ".cert") {
		o.ReadFirst = 64 << 10
	}
	f, err := fetch.Open(ctx, u.String(), o)
	var status *fetch.StatusError
	switch {
	case err == nil:
		if !f.Ranges() {
			f.Close() // asked for again when its turn comes, rather than kept waiting
		}
		s.add(name, f)
		return true, nil
	case errors.As(err, &status) && (status.StatusCode == http.StatusNotFound || status.StatusCode == http.StatusGone || status.StatusCode == http.StatusForbidden):
		return false, nil // object stores answer 403 for what is not there
	}
	return false, err
}

func (s *folder) small(ctx context.Context, i int) ([]byte, error) {
	r := s.files[i].Reader(ctx, 0, members.MaxDescriptor+1)
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && len(b) > members.MaxDescriptor {
		err = members.TooBig(s.name, s.list[i].Name, int64(len(b)))
	}
	return b, err
}

// Members lists the files that the server has.
func (s *folder) Members() []ovf.MemberInfo { return s.list }

// Open reads a file anywhere; fetch.ErrNoRange where the server does not offer that.
func (s *folder) Open(ctx context.Context, i int) (ovf.MemberFile, error) {
	f := s.files[i]
	if !f.Ranges() {
		return nil, fmt.Errorf("%s: %w", f.URL(), fetch.ErrNoRange)
	}
	return remote{f.At(ctx), f.Size()}, nil
}

// Stream reads a file in sequence.
func (s *folder) Stream(ctx context.Context, i int) (io.ReadCloser, error) {
	return s.files[i].Reader(ctx, 0, -1), nil
}

// Close ends what requests are open.
func (s *folder) Close() error {
	var err error
	for _, f := range s.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

type remote struct {
	io.ReaderAt
	size int64
}

func (r remote) Size() int64  { return r.size }
func (r remote) Close() error { return nil }
