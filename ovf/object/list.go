package object

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// maxPages bounds a listing, of objects or of uploads: a store gives about a
// thousand entries a page, and one that goes on beyond has no end.
const maxPages = 10_000

// List calls f with every object whose key begins with that of l, until it
// gives an error.
func (s *Store) List(ctx context.Context, l Location, f func(Location, int64) error) error {
	return s.pages(ctx, l, "", func(p *listing) error {
		for _, o := range p.Contents {
			if err := f(Location{l.Bucket, o.Key}, o.Size); err != nil {
				return err
			}
		}
		return nil
	})
}

// listing is a page of the objects of a bucket.
type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key  string
		Size int64
	}
	CommonPrefixes []struct{ Prefix string }
}

// pages calls f with every page of what begins with the key of l; what has the
// delimiter after that is one prefix. The library's own listing knows neither
// another attempt nor a store whose pages have no end.
func (s *Store) pages(ctx context.Context, l Location, delimiter string, f func(*listing) error) error {
	token := ""
	for range maxPages {
		var p *listing
		err := s.retry(ctx, l, 0, func(ctx context.Context) (err error) {
			p, err = s.page(ctx, l, delimiter, token)
			return err
		})
		if err != nil {
			return s.explain("list", l, err)
		}
		if err := f(p); err != nil {
			return err
		}
		switch next := p.NextContinuationToken; {
		case !p.IsTruncated:
			return ctx.Err()
		case next == "" || next == token:
			return s.endless(l, "objects")
		default:
			token = next
		}
	}
	return s.endless(l, "objects")
}

// endless is a listing that forms a circle, or goes on and on.
func (s *Store) endless(l Location, of string) error {
	return fmt.Errorf("%s: list: the store's listing of %s has no end", l, of)
}

// page asks for one page.
func (s *Store) page(ctx context.Context, l Location, delimiter, token string) (*listing, error) {
	q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {l.Key}}
	if delimiter != "" {
		q.Set("delimiter", delimiter)
	}
	if token != "" {
		q.Set("continuation-token", token)
	}
	where := s.url(Location{Bucket: l.Bucket}) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	if err := s.sign(req); err != nil {
		return nil, err
	}
	resp, err := s.asks.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fetch.NewStatusError(resp)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	p := &listing{}
	if err := xml.Unmarshal(body, p); err != nil {
		if code, message := refusal(string(body)); code != "" {
			return nil, &Error{Op: "list", Object: l, Status: resp.StatusCode, Code: code, Message: message}
		}
		return nil, fmt.Errorf("the answer is no listing: %w", err)
	}
	if p.EncodingType != "url" {
		return p, nil
	}
	for i := range p.Contents {
		if p.Contents[i].Key, err = url.QueryUnescape(p.Contents[i].Key); err != nil {
			return nil, err
		}
	}
	for i := range p.CommonPrefixes {
		if p.CommonPrefixes[i].Prefix, err = url.QueryUnescape(p.CommonPrefixes[i].Prefix); err != nil {
			return nil, err
		}
	}
	return p, nil
}
