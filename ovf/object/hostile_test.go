package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

var place = object.Location{Bucket: "depot", Key: "app.ova"}

// What is asked of a hostile store.
var asked = map[string]func(context.Context, *object.Store) error{
	"list": func(ctx context.Context, s *object.Store) error {
		return s.List(ctx, object.Location{Bucket: "depot"}, func(object.Location, int64) error { return nil })
	},
	"look": func(ctx context.Context, s *object.Store) error {
		_, err := s.Stat(ctx, place)
		return err
	},
	"remove": func(ctx context.Context, s *object.Store) error { return s.Remove(ctx, place) },
	"store": func(ctx context.Context, s *object.Store) error {
		u, err := s.Upload(ctx, place, object.UploadOptions{Size: -1})
		if err != nil {
			return err
		}
		if _, err = u.WriteAt([]byte("some bytes"), 0); err == nil {
			err = u.Commit(ctx)
		}
		if err != nil {
			u.Abort()
		}
		return err
	},
}

// hostile is what a store does with requests of a kind: METHOD, or METHOD and
// a parameter that the query has.
type hostile struct {
	name, ask, request string
	answer             http.HandlerFunc
	want               string // in the error, one of several with | between; empty: it goes well
	passing            bool   // another attempt may go well: exit 7
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// withoutEnd sends text, then more and more.
func withoutEnd(status int, text, more string) http.HandlerFunc {
	more = strings.Repeat(more, 1000)
	return func(w http.ResponseWriter, r *http.Request) {
		says(status, text)(w, r)
		for {
			if _, err := io.WriteString(w, more); err != nil {
				return
			}
		}
	}
}

func silent(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

// contains tells whether text has one of the wanted words.
func contains(text, want string) bool {
	return slices.ContainsFunc(strings.Split(want, "|"), func(word string) bool { return strings.Contains(text, word) })
}

// withstands asks hostile stores: each time there is an end, soon, and an error
// that names the object and is short.
func withstands(t *testing.T, cases []hostile) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := s3test.Start(t, "depot")
			method, parameter, _ := strings.Cut(c.request, " ")
			srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || parameter != "" && !r.URL.Query().Has(parameter) {
					return false
				}
				io.Copy(io.Discard, r.Body)
				c.answer(w, r)
				return true
			}
			o := fetch.Options{Attempts: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond, StallTimeout: 10 * time.Second}
			if contains(c.want, "stalled") {
				o.StallTimeout = 150 * time.Millisecond
			}
			s, err := object.Dial(object.Options{Fetch: o})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = asked[c.ask](ctx, s)
			srv.CloseClientConnections()
			switch {
			case ctx.Err() != nil:
				t.Fatalf("it has no end: %v", err)
			case c.want == "" && err != nil, c.want != "" && (err == nil || !contains(err.Error(), c.want)):
				t.Fatalf("got %.500v", err)
			case err == nil:
				return
			}
			if text := err.Error(); len(text) > 1000 || !strings.Contains(text, "s3://depot/") || strings.Contains(text, "list-type") {
				t.Errorf("%d bytes: %.500s", len(text), text)
			}
			var refused *object.Error
			passing := errors.As(err, new(*fetch.TransferError)) || errors.As(err, &refused) && refused.Passing()
			if passing != c.passing {
				t.Errorf("passing %v, want %v: %v", passing, c.passing, err)
			}
		})
	}
}

// TestAnswersAreBounded: an answer that never comes, never ends or has too much
// is given up.
func TestAnswersAreBounded(t *testing.T) {
	withstands(t, []hostile{
		{"list, silence", "list", "GET", silent, "stalled", true},
		// On a machine that is busy a byte may be so late that it counts as none.
		{"list, slowly", "list", "GET", trickle, "takes longer|stalled", true},
		{"list, entries without end", "list", "GET", withoutEnd(200, "<ListBucketResult>", "<Contents><Key>a</Key><Size>1</Size></Contents>"), "longer than", false},
		{"list, an error without end", "list", "GET", withoutEnd(400, "<Error><Code>Odd</Code>", "<a/>"), "list: Odd", false},
		{"look, silence", "look", "HEAD", silent, "stalled", true},
		{"remove, silence", "remove", "DELETE", silent, "stalled", true},
		{"begin, silence", "store", "POST uploads", silent, "stalled", true},
		{"begin, an answer without end", "store", "POST uploads", withoutEnd(200, "<InitiateMultipartUploadResult><UploadId>", "u"), "longer than", false},
		{"part, silence", "store", "PUT partNumber", silent, "stalled", true},
		{"complete, silence", "store", "POST uploadId", silent, "stalled", true},
		{"complete, and more", "store", "POST uploadId", withoutEnd(200, "<CompleteMultipartUploadResult><Bucket>depot</Bucket></CompleteMultipartUploadResult>", " "), "", false},
	})
}

// TestListingsEnd: a listing in a circle, and what is no listing.
func TestListingsEnd(t *testing.T) {
	const more = `<IsTruncated>true</IsTruncated>`
	var n atomic.Int64
	counted := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, text, n.Add(1)%2) }
	}
	withstands(t, []hostile{
		{"the same page", "list", "GET", says(200, `<ListBucketResult>`+more+`<NextContinuationToken>x</NextContinuationToken></ListBucketResult>`), "no end", false},
		{"two pages in turn", "list", "GET", counted(`<ListBucketResult>` + more + `<NextContinuationToken>%d</NextContinuationToken></ListBucketResult>`), "no end", false},
		{"no token", "list", "GET", says(200, `<ListBucketResult>`+more+`</ListBucketResult>`), "no end", false},
		{"uploads in turn", "store", "GET uploads", counted(`<ListMultipartUploadsResult>` + more + `<NextKeyMarker>%d</NextKeyMarker></ListMultipartUploadsResult>`), "no end", false},
		{"a page for people", "list", "GET", says(200, `<html><body>log in</body></html>`), "no listing", true},
		{"nothing", "list", "GET", says(200, ``), "no listing", true},
		{"an error after 200", "list", "GET", says(200, `<Error><Code>InternalError</Code><Message>oops</Message></Error>`), "InternalError: oops", true},
		{"a redirect", "list", "GET", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "307", false},
	})
	srv := s3test.Start(t, "depot")
	srv.Put("depot/a b/é+%.txt", []byte("x"))
	srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch n.Add(1) % 3 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			says(200, `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a+b/%C3%A9%2B%25.txt</Key><Size>1</Size></Contents></ListBucketResult>`)(w, r)
		default:
			return false
		}
		return true
	}
	for range 3 {
		got := ""
		err := dial(t).List(t.Context(), object.Location{Bucket: "depot", Key: "a b/"}, func(l object.Location, size int64) error {
			got += fmt.Sprint(l, " ", size)
			return nil
		})
		if err != nil || got != "s3://depot/a b/é+%.txt 1" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestListingRefused: what a store finds after it has begun to answer 200 counts as
// if it had said so at once, and is not asked for again in vain.
func TestListingRefused(t *testing.T) {
	for _, c := range []struct {
		code            string
		requests        int64
		denied, missing bool
	}{
		{"AccessDenied", 1, true, false},
		{"NoSuchBucket", 1, false, true},
		{"InternalError", 2, false, false},
	} {
		t.Run(c.code, func(t *testing.T) {
			srv := s3test.Start(t, "depot")
			var n atomic.Int64
			srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				n.Add(1)
				says(200, `<?xml version="1.0"?>`+"\n  "+`<Error><Code>`+c.code+`</Code><Message>oops</Message></Error>`)(w, r)
				return true
			}
			s, err := object.Dial(object.Options{Fetch: fetch.Options{Attempts: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			err = asked["list"](t.Context(), s)
			var refused *object.Error
			if !errors.As(err, &refused) || refused.Code != c.code || refused.Denied() != c.denied || errors.Is(err, fs.ErrNotExist) != c.missing {
				t.Errorf("%T: %v", err, err)
			}
			if n.Load() != c.requests {
				t.Errorf("%d requests, want %d", n.Load(), c.requests)
			}
		})
	}
}

// TestEndlessParts: parts of numbers that an upload cannot have end the listing
// of them. An upload that is gone afterwards is no object that is missing.
func TestEndlessParts(t *testing.T) {
	srv := s3test.Start(t, "depot")
	var pages atomic.Int64
	srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case r.Method == "GET" && q.Has("uploads"):
			says(200, `<ListMultipartUploadsResult><Upload><Key>app.ova</Key><UploadId>u</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>`)(w, r)
		case r.Method == "GET" && q.Has("uploadId"):
			pages.Add(1)
			var from int
			fmt.Sscan(q.Get("part-number-marker"), &from)
			says(200, fmt.Sprintf(`<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>`, from+100))(w, r)
		default:
			return false
		}
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := asked["store"](ctx, dial(t))
	var refused *object.Error
	if !errors.As(err, &refused) || errors.Is(err, fs.ErrNotExist) || !refused.Passing() {
		t.Errorf("after %d pages: %v", pages.Load(), err)
	}
}

// TestCompletions: whatever a store says instead of being done is told, and
// what it leaves open is looked at.
func TestCompletions(t *testing.T) {
	const failed = `<?xml version="1.0"?>` + "\n   " + `<Error><Code>%s</Code><Message>oops</Message></Error>`
	withstands(t, []hostile{
		{"an error after 200", "store", "POST uploadId", says(200, fmt.Sprintf(failed, "InternalError")), "complete: InternalError: oops", true},
		{"in haste", "store", "POST uploadId", says(200, fmt.Sprintf(failed, "SlowDown")), "SlowDown", true},
		{"a part is missing", "store", "POST uploadId", says(200, fmt.Sprintf(failed, "InvalidPart")), "InvalidPart", false},
		{"nothing", "store", "POST uploadId", says(200, ""), "200 OK, without", true},
		{"half of it", "store", "POST uploadId", says(200, "<CompleteMultipartUploadResult><Bucket>dep"), "after 2 attempts", true},
		{"a page with a long name", "store", "POST uploadId", says(200, "<"+strings.Repeat("html", 50_000)+"/>"), "after 2 attempts", true},
		{"a long code", "store", "POST uploadId", says(400, fmt.Sprintf(failed, strings.Repeat("Code", 50_000))), "complete: CodeCode", false},
		{"no id", "store", "POST uploads", says(200, fmt.Sprintf(failed, "InternalError")), "names no upload", true},
	})
	// An answer that is cut off after all was done.
	for _, cut := range []string{"", "<CompleteMultipartUploadResult><Bucket>dep"} {
		srv := s3test.Start(t, "depot")
		once := false
		srv.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") || once {
				return false
			}
			once = true
			srv.ServeHTTP(httptest.NewRecorder(), r)
			says(200, cut)(w, r)
			return true
		}
		if err := asked["store"](t.Context(), dial(t)); err != nil || string(srv.Get("depot/app.ova")) != "some bytes" {
			t.Errorf("%q: %v, %q is stored", cut, err, srv.Get("depot/app.ova"))
		}
	}
	denied := &object.Error{Status: 200, Code: "AccessDenied"}
	if !denied.Denied() {
		t.Error("access that is denied after 200 is none")
	}
}
