package s3test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

type begun struct {
	XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
	Bucket, Key, UploadId string
}

func (s *Server) begin(w http.ResponseWriter, name, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	u := &upload{name: name, id: fmt.Sprintf("upload-%d", s.nextID), kind: kind, at: time.Now(), parts: map[int]*object{}}
	s.uploads[u.id] = u
	bucket, key, _ := strings.Cut(name, "/")
	answer(w, begun{Bucket: bucket, Key: key, UploadId: u.id})
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, name string, q url.Values) {
	s.mu.Lock()
	u := s.uploads[q.Get("uploadId")]
	s.mu.Unlock()
	if u == nil || u.name != name {
		refuse(w, http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist.")
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.putPart(w, r, u, number(q, "partNumber"))
	case http.MethodGet:
		s.listParts(w, u, q)
	case http.MethodPost:
		s.complete(w, r, u)
	case http.MethodDelete:
		s.mu.Lock()
		delete(s.uploads, u.id)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) putPart(w http.ResponseWriter, r *http.Request, u *upload, n int) {
	if n < 1 || n > 10_000 {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "part number")
		return
	}
	b, ok := body(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u.parts[n] = &object{body: b, etag: s.etag(b), at: time.Now()}
	s.stats.Received += int64(len(b))
	s.stats.Parts++
	w.Header().Set("ETag", `"`+u.parts[n].etag+`"`)
}

type listedParts struct {
	XMLName                        xml.Name `xml:"ListPartsResult"`
	Bucket, Key, UploadId          string
	PartNumberMarker               int
	NextPartNumberMarker, MaxParts int
	IsTruncated                    bool
	Part                           []listedPart
}

type listedPart struct {
	PartNumber         int
	LastModified, ETag string
	Size               int64
}

func (s *Server) listParts(w http.ResponseWriter, u *upload, q url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(u.name, "/")
	out := listedParts{Bucket: bucket, Key: key, UploadId: u.id, PartNumberMarker: number(q, "part-number-marker"), MaxParts: pageOf}
	var numbers []int
	for n := range u.parts {
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	for _, n := range numbers {
		if n <= out.PartNumberMarker {
			continue
		}
		if len(out.Part) == pageOf {
			out.IsTruncated = true
			break
		}
		p := u.parts[n]
		out.Part = append(out.Part, listedPart{PartNumber: n, LastModified: stamp(p.at), ETag: `"` + p.etag + `"`, Size: int64(len(p.body))})
		out.NextPartNumberMarker = n
	}
	answer(w, out)
}

type listedUploads struct {
	XMLName                           xml.Name `xml:"ListMultipartUploadsResult"`
	Bucket, Prefix                    string
	NextKeyMarker, NextUploadIdMarker string
	MaxUploads                        int
	IsTruncated                       bool
	Upload                            []listedUpload
}

type listedUpload struct{ Key, UploadId, Initiated, StorageClass string }

func (s *Server) listUploads(w http.ResponseWriter, bucket string, q url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := listedUploads{Bucket: bucket, Prefix: q.Get("prefix"), MaxUploads: pageOf}
	var all []*upload
	for _, u := range s.uploads {
		if strings.HasPrefix(u.name, bucket+"/"+out.Prefix) {
			all = append(all, u)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name+"\x00"+all[i].id < all[j].name+"\x00"+all[j].id })
	after := bucket + "/" + q.Get("key-marker") + "\x00" + q.Get("upload-id-marker")
	for _, u := range all {
		if q.Get("key-marker") != "" && u.name+"\x00"+u.id <= after {
			continue
		}
		if len(out.Upload) == pageOf {
			out.IsTruncated = true
			break
		}
		key := strings.TrimPrefix(u.name, bucket+"/")
		out.Upload = append(out.Upload, listedUpload{Key: key, UploadId: u.id, Initiated: stamp(u.at), StorageClass: "STANDARD"})
		out.NextKeyMarker, out.NextUploadIdMarker = key, u.id
	}
	answer(w, out)
}

type completing struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []struct {
		PartNumber int
		ETag       string
	}
}

type completed struct {
	XMLName                     xml.Name `xml:"CompleteMultipartUploadResult"`
	Location, Bucket, Key, ETag string
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, u *upload) {
	var c completing
	if err := xml.NewDecoder(r.Body).Decode(&c); err != nil || len(c.Part) == 0 {
		refuse(w, http.StatusBadRequest, "MalformedXML", "parts")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var whole bytes.Buffer
	sums, last := md5.New(), 0
	for i, p := range c.Part {
		have := u.parts[p.PartNumber]
		switch {
		case p.PartNumber <= last:
			refuse(w, http.StatusBadRequest, "InvalidPartOrder", "not ascending")
			return
		case have == nil || have.etag != strings.Trim(p.ETag, `"`):
			refuse(w, http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
			return
		case i < len(c.Part)-1 && len(have.body) < LeastPart:
			refuse(w, http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
			return
		}
		last = p.PartNumber
		whole.Write(have.body)
		b, _ := hex.DecodeString(have.etag)
		sums.Write(b)
	}
	etag := fmt.Sprintf("%x-%d", sums.Sum(nil), len(c.Part))
	s.objects[u.name] = &object{body: whole.Bytes(), etag: etag, at: time.Now(), kind: u.kind}
	delete(s.uploads, u.id)
	bucket, key, _ := strings.Cut(u.name, "/")
	answer(w, completed{Location: r.URL.String(), Bucket: bucket, Key: key, ETag: `"` + etag + `"`})
}
