// Package object reads and writes packages in an object store that speaks the
// S3 protocol: s3://bucket/key.ova, and s3://bucket/key.ovf with its files
// beside it (DSP0243 5.3, 5.4).
//
// It promises:
//   - Reading is that of package fetch: ranged, retried, resumed at the byte,
//     never spliced from two versions of an object. Looking at a package costs
//     its headers and its descriptor.
//   - Nothing appears under a key before all of a package is stored and its
//     digests agree: objects are multipart uploads, completed at the end, the
//     descriptor last.
//   - Every part is sent with its MD5, which the store checks. An upload that
//     was interrupted is gone on with by whoever writes the same object again:
//     parts that are there already and have the same size and digest are not
//     sent again.
//   - Memory is bounded by the size of a part (see partSize), not by that of
//     disks or packages.
//
// Credentials come from the environment and from the files that other tools
// for S3 use, never from an argument or a URL (see Open).
package object

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Scheme of the names of objects.
const Scheme = "s3"

// ErrNotAnObject: the name is none that an object can have.
var ErrNotAnObject = errors.New("names no object (s3://bucket/key)")

// Location is where an object lies. Key is as the store has it: nothing in it
// is decoded.
type Location struct{ Bucket, Key string }

// String is the name of the object as users write it.
func (l Location) String() string { return Scheme + "://" + l.Bucket + "/" + l.Key }

// Is tells whether a name is one of an object store.
func Is(name string) bool {
	scheme, _, ok := strings.Cut(name, "://")
	return ok && strings.EqualFold(scheme, Scheme)
}

// Parse reads s3://bucket/key; the key may be empty, which names the bucket.
func Parse(name string) (Location, error) {
	if !Is(name) {
		return Location{}, fmt.Errorf("%s: %w", fetch.Redact(name), ErrNotAnObject)
	}
	_, rest, _ := strings.Cut(name, "://")
	bucket, key, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(bucket, '@'); at >= 0 {
		return Location{}, fmt.Errorf("s3://%s/%s: %w", bucket[at+1:], key, fetch.ErrUserInfo)
	}
	l := Location{bucket, key}
	if err := s3utils.CheckValidBucketName(bucket); err != nil {
		return l, fmt.Errorf("%s: %w: %w", l, ErrNotAnObject, err)
	}
	if key == "" {
		return l, nil
	}
	// A key is a path here: one that a server or a proxy would shorten names
	// another object than it says.
	if err := s3utils.CheckValidObjectName(key); err != nil {
		return l, fmt.Errorf("%s: %w: %w", l, ErrNotAnObject, err)
	}
	if clean := path.Clean("/" + key); clean != "/"+strings.TrimSuffix(key, "/") {
		return l, fmt.Errorf("%s: %w: empty parts, . or .. stand in the key", l, ErrNotAnObject)
	}
	return l, nil
}

// beside is the object of that name beside l.
func (l Location) beside(name string) Location {
	return Location{l.Bucket, path.Join(path.Dir(l.Key), name)}
}
