package s3test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

type location struct {
	XMLName  xml.Name `xml:"LocationConstraint"`
	Location string   `xml:",chardata"`
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/xml")
	b, err := xml.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Write(append([]byte(xml.Header), b...))
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, code, message)
}

// body reads what a PUT sends, and checks the digests that it announces.
func body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	b, err := io.ReadAll(r.Body)
	if err != nil || int64(len(b)) != r.ContentLength {
		refuse(w, http.StatusBadRequest, "IncompleteBody", "fewer bytes than announced")
		return nil, false
	}
	if want := r.Header.Get("Content-Md5"); want != "" {
		if got := md5.Sum(b); base64.StdEncoding.EncodeToString(got[:]) != want {
			refuse(w, http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
			return nil, false
		}
	}
	switch want := r.Header.Get("X-Amz-Content-Sha256"); want {
	case "UNSIGNED-PAYLOAD", "":
	default:
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != want {
			refuse(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "another digest than announced")
			return nil, false
		}
	}
	return b, true
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	o := s.objects[name]
	s.mu.Unlock()
	if o == nil {
		refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	if o.kind != "" {
		w.Header().Set("Content-Type", o.kind)
	}
	http.ServeContent(&counting{w, s}, r, "", o.at, bytes.NewReader(o.body))
}

type counting struct {
	http.ResponseWriter
	s *Server
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.mu.Lock()
	c.s.stats.Sent += int64(n)
	c.s.mu.Unlock()
	return n, err
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, name string) {
	b, ok := body(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = &object{body: b, etag: s.etag(b), at: time.Now(), kind: r.Header.Get("Content-Type")}
	s.stats.Received += int64(len(b))
	w.Header().Set("ETag", `"`+s.objects[name].etag+`"`)
}

type listed struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name, Prefix          string
	Delimiter             string `xml:",omitempty"`
	KeyCount, MaxKeys     int
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
	CommonPrefixes        []prefix
}

type listedObject struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

type prefix struct{ Prefix string }

// pageOf is how many entries a listing gives at a time: few, so that clients
// must go on.
const pageOf = 3

func (s *Server) list(w http.ResponseWriter, bucket string, q url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := listed{Name: bucket, Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), MaxKeys: pageOf}
	var names []string
	for name := range s.objects {
		names = append(names, name)
	}
	sort.Strings(names)
	after, seen := q.Get("continuation-token"), map[string]bool{}
	for _, name := range names {
		key, in := strings.CutPrefix(name, bucket+"/")
		if !in || !strings.HasPrefix(key, out.Prefix) {
			continue
		}
		entry := key
		if i := strings.Index(key[len(out.Prefix):], out.Delimiter); out.Delimiter != "" && i >= 0 {
			entry = key[:len(out.Prefix)+i+1]
		}
		if seen[entry] || entry <= after {
			continue
		}
		if out.KeyCount == pageOf {
			out.IsTruncated = true
			break
		}
		seen[entry] = true
		out.KeyCount++
		out.NextContinuationToken = entry
		if entry != key {
			out.CommonPrefixes = append(out.CommonPrefixes, prefix{entry})
			continue
		}
		o := s.objects[name]
		out.Contents = append(out.Contents, listedObject{Key: key, LastModified: stamp(o.at), ETag: `"` + o.etag + `"`, Size: int64(len(o.body)), StorageClass: "STANDARD"})
	}
	if !out.IsTruncated {
		out.NextContinuationToken = ""
	}
	answer(w, out)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func number(q url.Values, name string) int {
	n, _ := strconv.Atoi(q.Get(name))
	return n
}
