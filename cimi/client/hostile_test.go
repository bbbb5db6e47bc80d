package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestEndlessCollection: pages of fresh and large entries do not take all
// memory; those of a cloud that sends everything every time count once.
func TestEndlessCollection(t *testing.T) {
	ovftest.Slow(t)
	ballast := strings.Repeat("x", 12<<20)
	var n atomic.Int64
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":99999999,"machines":[{"id":"m/%d","description":"%s"}]}`, n.Add(1), ballast)
		},
		"GET /api/systems": func(w http.ResponseWriter, r *http.Request) {
			var items []string
			for i := range 9000 {
				items = append(items, fmt.Sprintf(`{"id":"s/%d","description":"%s"}`, i, ballast[:1700]))
			}
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","count":9000,"systems":[%s]}`, strings.Join(items, ","))
		},
	})
	c := s.client(client.Options{})
	read := func(name string) (n int, err error) {
		for _, err := range cimi.All(t.Context(), c, name, cimi.ListOptions{}) {
			if n++; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	if got, err := read("machines"); cimi.StatusOf(err) != 502 || n.Load() > cimi.MaxRead/int64(len(ballast)-1<<10)+1 {
		t.Errorf("after %d entries, %d pages: %v", got, n.Load(), err)
	}
	if got, err := read("systems"); err != nil || got != 9000 {
		t.Errorf("%d entries of 9000, sent at once: %v", got, err)
	}
}

// TestReferer: the query of a URL, which may be a signature, does not go along
// to another origin.
func TestReferer(t *testing.T) {
	var told atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.Store(fmt.Sprint(r.URL, r.Header))
		fmt.Fprint(w, machine)
	}))
	defer other.Close()
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/m", http.StatusFound) },
	})
	c := s.client(client.Options{User: "u", Password: "pa55"})
	if _, err := c.Get(t.Context(), "m?signature=hidden", cimi.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := told.Load().(string); got == "" || strings.Contains(got, "hidden") {
		t.Errorf("the other origin is told %s", got)
	}
}

// TestTalkativeCloud: whatever a cloud puts into an answer, an error tells as
// much of it as somebody reads.
func TestTalkativeCloud(t *testing.T) {
	long := strings.Repeat("long", 50_000)
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/code": body(400, `{"code":"`+long[:40_000]+`","message":"no"}`),
		"GET /api/job":  body(400, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","statusMessage":"`+long[:40_000]+`"}`),
		"GET /api/href": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"m","operations":[{"rel":"edit","href":"`+long+`"}]}`),
		"GET /api/type": body(200, "", "Content-Type", long),
		"GET /api/path": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/ResourceMetadata","vscope":[{"`+long+`":5}]}`),
		"GET /api/line": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprint(conn, long+"\r\n\r\n")
			conn.Close()
		},
		"GET /api/heads": func(w http.ResponseWriter, r *http.Request) {
			for i := range 20 {
				w.Header().Set(fmt.Sprint("X-", i), long)
			}
		},
	})
	c := s.client(client.Options{})
	for name := range s.routes {
		name = strings.TrimPrefix(name, "GET /api/")
		_, err := c.Get(t.Context(), name, cimi.ReadOptions{})
		if name == "href" {
			_, err = c.Update(t.Context(), name, &cimi.Machine{}, cimi.UpdateOptions{})
		}
		var e *cimi.Error
		if !errors.As(err, &e) || len(err.Error()) > 4<<10 || !strings.HasPrefix(e.URL, s.URL+"/api/") {
			t.Errorf("%s: %d bytes: %.200v", name, len(fmt.Sprint(err)), err)
		}
	}
}

// TestRawIsWhole: half of a document is none.
func TestRawIsWhole(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/all":  func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, cimi.MaxBody)) },
		"GET /api/more": func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, cimi.MaxBody+1)) },
	})
	c := s.client(client.Options{})
	if b, _, err := c.Raw(t.Context(), "all", "", cimi.ReadOptions{}); err != nil || len(b) != cimi.MaxBody {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, _, err := c.Raw(t.Context(), "more", "", cimi.ReadOptions{}); !errors.Is(err, cimi.ErrTooLarge) || cimi.StatusOf(err) != 502 {
		t.Errorf("%d bytes of more, %v", len(b), err)
	}
}

// TestLongETag: a tag that is no tag is not kept for later; the resource counts
// as changed then.
func TestLongETag(t *testing.T) {
	sent := ""
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines/1": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"machines/1"}`, "ETag", `"`+strings.Repeat("e", 100_000)+`"`),
		"PUT /api/machines/1": func(w http.ResponseWriter, r *http.Request) {
			sent = r.Header.Get("If-Match")
			w.WriteHeader(http.StatusPreconditionFailed)
		},
	})
	c := s.client(client.Options{})
	r, err := c.Get(t.Context(), "machines/1", cimi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), "machines/1", r, cimi.UpdateOptions{IfMatch: cimi.ETag(r)}); !cimi.IsConflict(err) || sent != `"`+cimi.ETag(r)+`"` {
		t.Errorf("%v: sent a tag of %d bytes", err, len(sent))
	}
}

// TestUnanswered: a connection that ends without an answer, or in one, is the
// end of a transfer that may go on, as one that is refused.
func TestUnanswered(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/gone": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"GET /api/half": body(200, `{"resourceURI":`, "Content-Length", "1000"),
	})
	c := s.client(client.Options{})
	for _, id := range []string{"gone", "half"} {
		_, err := c.Get(t.Context(), id, cimi.ReadOptions{})
		if class := migrate.ClassOf(err); class != migrate.ClassTransfer {
			t.Errorf("%s: class %v: %v", id, class, err)
		}
	}
}

// TestNotInTheClear: what is written to a cloud that is reached over https does
// not go over http, whatever the cloud names.
func TestNotInTheClear(t *testing.T) {
	var told atomic.Int32
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			told.Add(1)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials go over http")
		}
		fmt.Fprint(w, machine)
	}))
	defer open.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cep":
			fmt.Fprint(w, strings.ReplaceAll(entry, "BASE", "https://"+r.Host))
		case "/api/machines":
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","operations":[{"rel":"add","href":%q}]}`, open.URL)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	c, err := client.New(t.Context(), s.URL+"/cep", client.Options{Retry: quick, Insecure: true, User: "u", Password: "pa55"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Create(t.Context(), "machines", &cimi.MachineCreate{})
	var se *cimi.SecurityError
	if !errors.As(err, &se) || told.Load() != 0 || !strings.Contains(err.Error(), open.URL) {
		t.Errorf("%T after %d changes: %v", err, told.Load(), err)
	}
	if _, err := c.Delete(t.Context(), open.URL+"/machines/1"); err == nil || told.Load() != 0 {
		t.Errorf("deleting: %v after %d changes", err, told.Load())
	}
	if _, err := c.Get(t.Context(), open.URL, cimi.ReadOptions{}); err != nil {
		t.Errorf("reading: %v", err)
	}
}

// TestBehindTLS: a cloud that does not know that it is reached over https is asked
// there all the same, with credentials.
func TestBehindTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.URL.Path != "/cep" && password != "pa55" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		base := "http://" + r.Host
		switch {
		case r.URL.Path == "/cep":
			fmt.Fprint(w, strings.ReplaceAll(entry, "BASE", base))
		case r.Method == http.MethodPost:
			w.Header().Set("Location", base+"/api/machines/1")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, machine)
		case r.URL.Path == "/api/machines/1":
			fmt.Fprint(w, machine)
		default:
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","operations":[{"rel":"add","href":%q}]}`, base+"/api/machines")
		}
	}))
	defer s.Close()
	c, err := client.New(t.Context(), s.URL+"/cep", client.Options{Retry: quick, Insecure: true, User: "u", Password: "pa55"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(t.Context(), "machines", &cimi.MachineCreate{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), strings.Replace(s.URL, "https", "http", 1)+"/api/machines/1", cimi.ReadOptions{}); err != nil {
		t.Error(err)
	}
}

// TestAnotherPort: what a cloud names on another port than its own stays there.
func TestAnotherPort(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, machine) }))
	defer open.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.ReplaceAll(entry, "BASE", "https://"+r.Host))
	}))
	defer s.Close()
	c, err := client.New(t.Context(), s.URL+"/cep", client.Options{Retry: quick, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(t.Context(), open.URL+"/machines/1", cimi.ReadOptions{}); err != nil {
		t.Error(err)
	}
}

// TestNothingBehindTheFirst: a collection that has no entries, or has none left, gives
// none from its second on.
func TestNothingBehindTheFirst(t *testing.T) {
	var asked atomic.Int32
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":0}`)
		},
		"GET /api/systems": func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				fmt.Fprint(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","count":2,"systems":[{"id":"s/1"}]}`)
				return
			}
			fmt.Fprint(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","count":0}`)
		},
	})
	c := s.client(client.Options{})
	if col, err := c.List(t.Context(), "machines", cimi.ListOptions{First: 2}); err != nil || len(col.Items) != 0 {
		t.Errorf("%+v: %v", col, err)
	}
	n := 0
	for _, err := range cimi.All(t.Context(), c, "systems", cimi.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 || asked.Load() != 2 {
		t.Errorf("%d entries of %d pages", n, asked.Load())
	}
}
