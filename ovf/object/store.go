package object

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options of Dial.
type Options struct {
	// Connection says how the store is reached; where it names no authorities,
	// AWS_CA_BUNDLE does.
	Connection fetch.Connection
	// Fetch rules reading, and how often and how long is tried again; its
	// Client, Authorize and Shown are the Store's own.
	Fetch fetch.Options
}

// Store is an object store. Methods may be called concurrently.
type Store struct {
	core     minio.Core
	creds    *credentials.Credentials
	client   *http.Client // of objects
	asks     *http.Client // of anything else
	endpoint *url.URL
	fetch    fetch.Options
}

// stallTimeout is how long a store may give nothing when Options do not say.
const stallTimeout = time.Minute

// Dial takes endpoint, region and credentials from where tools for S3 look for
// them: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE,
// AWS_CA_BUNDLE, AWS_ACCESS_KEY_ID and its companions, ~/.aws/config,
// ~/.aws/credentials, and the role of the machine. Nothing is sent, but for
// the question about a role. Buckets of stores that are not Amazon's are named
// in the path of URLs, not in the host's name.
func Dial(o Options) (*Store, error) {
	set, err := readSettings()
	if err != nil {
		return nil, err
	}
	if len(o.Connection.CA) == 0 && set.caFile != "" {
		if o.Connection.CA, err = os.ReadFile(set.caFile); err != nil {
			return nil, &SettingError{"AWS_CA_BUNDLE", err}
		}
	}
	s := &Store{endpoint: set.endpoint, fetch: o.Fetch}
	if s.fetch.StallTimeout == 0 {
		s.fetch.StallTimeout = stallTimeout
	}
	if s.client, err = o.Connection.Client(); err != nil {
		return nil, err
	}
	if s.creds, err = set.credentials(s.client); err != nil {
		return nil, err
	}
	s.asks = &http.Client{Transport: answers{s.client.Transport, s.fetch.StallTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // a signature is for one host
	lookup := minio.BucketLookupAuto
	if !s3utils.IsAmazonEndpoint(*set.endpoint) {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(set.endpoint.Host, &minio.Options{
		Creds: s.creds, Secure: set.endpoint.Scheme == "https", Region: set.region, BucketLookup: lookup,
		// This project tries again in one place, package fetch.
		MaxRetries: 1, Transport: s.asks.Transport,
	})
	if err != nil {
		return nil, &SettingError{"AWS_ENDPOINT_URL", err}
	}
	s.core = *core
	s.fetch.Client, s.fetch.Authorize, s.fetch.Shown = s.client, s.sign, s.shown
	return s, nil
}

// Close lets connections go.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// url is where an object is read.
func (s *Store) url(l Location) string {
	u := *s.endpoint
	u.Path = "/" + l.Bucket + "/" + l.Key
	if s3utils.IsVirtualHostSupported(u, l.Bucket) && s3utils.IsAmazonEndpoint(*s.endpoint) {
		u.Host, u.Path = l.Bucket+"."+u.Host, "/"+l.Key
	}
	u.RawPath = s3utils.EncodePath(u.Path)
	return u.String()
}

// shown is the name of the object at a URL of the store.
func (s *Store) shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return fetch.Redact(raw)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if host, ok := strings.CutSuffix(u.Host, "."+s.endpoint.Host); ok {
		bucket, key = host, strings.TrimPrefix(u.Path, "/")
	}
	return Location{bucket, key}.String()
}

// emptySum is the SHA-256 of no bytes: the body of a request that reads.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign adds credentials to a request that reads.
func (s *Store) sign(req *http.Request) error {
	// Keys hold signs that servers read in more than one way when they are not encoded.
	req.URL.RawPath = s3utils.EncodePath(req.URL.Path)
	v, err := s.creds.GetWithContext(&credentials.CredContext{Client: s.client, Endpoint: s.endpoint.String()})
	if err != nil {
		return &SettingError{"credentials", err}
	}
	if v.SignerType.IsAnonymous() {
		return nil
	}
	l, err := Parse(s.shown(req.URL.String()))
	if err != nil {
		return err
	}
	region, err := s.core.GetBucketLocation(req.Context(), l.Bucket)
	if err != nil {
		return s.explain("region of", l, err)
	}
	req.Header.Set("X-Amz-Content-Sha256", emptySum)
	signed := signer.SignV4(*req, v.AccessKeyID, v.SecretAccessKey, v.SessionToken, region)
	req.Header = signed.Header
	return nil
}

// Remove deletes an object. One that is not there is removed.
func (s *Store) Remove(ctx context.Context, l Location) error {
	err := s.retry(ctx, l, 0, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, l.Bucket, l.Key, minio.RemoveObjectOptions{})
	})
	return s.explain("remove", l, err)
}

// Info is what a store tells of an object.
type Info struct {
	Size int64 // in bytes
	ETag string
}

// Stat looks at an object; an error that is fs.ErrNotExist when there is none.
func (s *Store) Stat(ctx context.Context, l Location) (Info, error) {
	var o minio.ObjectInfo
	err := s.retry(ctx, l, 0, func(ctx context.Context) (err error) {
		o, err = s.core.StatObject(ctx, l.Bucket, l.Key, minio.StatObjectOptions{})
		return err
	})
	return Info{Size: o.Size, ETag: o.ETag}, s.explain("look at", l, err)
}

// Open opens an object for reading; see fetch.File.
func (s *Store) Open(ctx context.Context, l Location) (*fetch.File, error) {
	f, err := fetch.Open(ctx, s.url(l), s.fetch)
	if err != nil {
		return nil, s.explain("read", l, err)
	}
	return f, nil
}

// Link is a URL by which anybody can fetch an object for a while. It holds a
// signature: it is a secret.
func (s *Store) Link(ctx context.Context, l Location, d time.Duration) (string, error) {
	u, err := s.core.PresignedGetObject(ctx, l.Bucket, l.Key, d, nil)
	if err != nil {
		return "", s.explain("link to", l, err)
	}
	return u.String(), nil
}

func (l Location) needsKey() error {
	if l.Key == "" {
		return fmt.Errorf("%s: %w: it is a bucket", l, ErrNotAnObject)
	}
	return nil
}
