package object

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
	"github.com/cimimove/cimimove/ovf/web"
)

// OpenPackage opens the package that a name means: s3://bucket/key.ova,
// s3://bucket/key.ovf with its files beside it, or s3://bucket/prefix/ under
// which one descriptor lies. Content decides, as on a web server.
func (s *Store) OpenPackage(ctx context.Context, name string, policy manifest.Policy) (ovf.Package, error) {
	l, err := Parse(name)
	if err != nil {
		return nil, err
	}
	if l.Key == "" || strings.HasSuffix(l.Key, "/") {
		if l, err = s.descriptor(ctx, l); err != nil {
			return nil, err
		}
	}
	pkg, err := web.Open(ctx, s.url(l), web.Options{Manifest: policy, Fetch: s.fetch})
	if err != nil {
		return nil, s.explain("read", l, err)
	}
	return pkg, nil
}

// maxListed bounds how many objects are looked at for a descriptor.
const maxListed = 10_000

// descriptor finds the one descriptor directly under a prefix.
func (s *Store) descriptor(ctx context.Context, l Location) (Location, error) {
	var found, others []string
	err := s.pages(ctx, l, "/", func(p *listing) error {
		for _, o := range p.Contents {
			if members.IsDescriptor(o.Key) {
				found = append(found, path.Base(o.Key))
			} else {
				others = append(others, strings.TrimPrefix(o.Key, l.Key))
			}
		}
		for _, c := range p.CommonPrefixes {
			others = append(others, strings.TrimPrefix(c.Prefix, l.Key))
		}
		if len(found)+len(others) > maxListed {
			return &ovf.DescriptorError{Package: l.String(), Offset: -1, Message: fmt.Sprintf("more than %d objects; name the descriptor", maxListed)}
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	switch {
	case len(found) == 1:
		return Location{l.Bucket, l.Key + found[0]}, nil
	case len(found) > 1:
		return l, &ovf.DescriptorError{Package: l.String(), Offset: -1, Clause: "5.1",
			Message: "it holds " + strings.Join(members.Shorten(found), ", "), Err: ovf.ErrMultipleDescriptors}
	case len(others) == 0:
		return l, fmt.Errorf("%s: nothing is stored there: %w", l, fs.ErrNotExist)
	}
	return l, members.NoDescriptor(l.String(), others)
}
