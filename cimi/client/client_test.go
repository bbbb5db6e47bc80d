package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// script is a misbehaving cloud: handlers by "METHOD /path".
type script struct {
	*testing.T
	*httptest.Server
	routes map[string]http.HandlerFunc
	seen   []*http.Request
}

const entry = `{"resourceURI":"http://schemas.dmtf.org/cimi/2/CloudEntryPoint","id":"cep","baseURI":"BASE/api/","machines":{"href":"machines"},"jobs":{"href":"jobs"},"systems":{"href":"systems"}}`

func newScript(t *testing.T, routes map[string]http.HandlerFunc) *script {
	s := &script{T: t, routes: routes}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	s.seen = append(s.seen, r)
	if h := s.routes[r.Method+" "+r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	if r.URL.Path == "/cep" {
		fmt.Fprint(w, strings.ReplaceAll(entry, "BASE", s.URL))
		return
	}
	http.Error(w, "", http.StatusNotFound)
}

func body(status int, text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

var quick = fetch.Options{MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond, Attempts: 3, FirstAttempts: 3}

func (s *script) client(o client.Options) *client.Client {
	s.Helper()
	o.Retry = quick
	c, err := client.New(s.Context(), s.URL+"/cep", o)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

const machine = `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"machines/1","name":"web","cpu":"2",
 "operations":[{"rel":"edit","href":"edit/1"},{"rel":"http://schemas.dmtf.org/cimi/2/action/delete","href":"gone/1"},
 {"rel":"http://schemas.dmtf.org/cimi/2/action/start","href":"machines/1/start"},
 {"rel":"http://schemas.dmtf.org/cimi/2/action/stop","href":"machines/1/stop","available":false}]}`

// TestAnswersToChanges: 202 with a Job, a resource or nothing, with or without headers.
func TestAnswersToChanges(t *testing.T) {
	job := `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","id":"jobs/1","state":"RUNNING"}`
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   cimi.Accepted // without Resource
		has    bool          // a Resource
	}{
		{"201 with a resource", body(201, machine, "Location", "machines/1"), cimi.Accepted{Done: true, Location: "machines/1"}, true},
		{"201 empty", body(201, "", "Location", "/api/machines/1"), cimi.Accepted{Done: true, Location: "machines/1"}, false},
		{"200 with a resource, no Location", body(200, machine), cimi.Accepted{Done: true, Location: "machines/1"}, true},
		{"202 with a Job in the header", body(202, "", "CIMI-Job-URI", "jobs/1"), cimi.Accepted{Job: "jobs/1"}, false},
		{"202 with a Job in the body", body(202, job), cimi.Accepted{Job: "jobs/1"}, false},
		{"202 with a partial resource", body(202, machine, "CIMI-Job-URI", "jobs/1"), cimi.Accepted{Job: "jobs/1", Location: "machines/1"}, true},
		{"202 with nothing at all", body(202, ""), cimi.Accepted{}, false},
		{"204", body(204, ""), cimi.Accepted{Done: true}, false},
		{"200 with an HTML page", body(200, "<html><body>thanks</body></html>"), cimi.Accepted{Done: true}, false},
		{"200 with a Job that goes on", body(200, job), cimi.Accepted{Job: "jobs/1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, map[string]http.HandlerFunc{
				"GET /api/machines": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","operations":[{"rel":"add","href":"add"}]}`),
				"POST /api/add":     c.answer,
			})
			got, err := s.client(client.Options{}).Create(t.Context(), "machines", &cimi.MachineCreate{})
			if err != nil {
				t.Fatal(err)
			}
			abs := func(h string) string {
				if h == "" {
					return ""
				}
				return s.URL + "/api/" + h
			}
			if got.Done != c.want.Done || got.Job != abs(c.want.Job) || got.Location != abs(c.want.Location) || (got.Resource != nil) != c.has {
				t.Errorf("got %+v", got)
			}
			if m, ok := got.Resource.(*cimi.Machine); ok && (cimi.IntValue(m.CPU) != 2 || m.ID != s.URL+"/api/machines/1") {
				t.Errorf("resource %+v", m)
			}
		})
	}
}

// TestErrors: a Job, an object, an element, a page, text, nothing.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status int
		says   string
		code   string
	}{
		{"a Job", body(409, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","id":"","state":"FAILED","returnCode":10005,"statusMessage":"in use"}`), 409, "in use", ""},
		{"a Job in XML", body(400, `<Job xmlns="http://schemas.dmtf.org/cimi/2"><id/><statusMessage>bad cpu</statusMessage><nestedJob><statusMessage>too many</statusMessage></nestedJob></Job>`), 400, "bad cpu; too many", ""},
		{"an object", body(404, `{"code":"NotFound","message":"no machine"}`), 404, "no machine", "NotFound"},
		{"an object in an object", body(403, `{"error":{"code":7,"message":"not yours"}}`), 403, "not yours", "7"},
		{"an element", body(400, `<error status="400"><code>E1</code><message><![CDATA[bad id]]></message></error>`), 400, "bad id", "E1"},
		{"a page", body(404, `<!DOCTYPE html><html><head><title>Not  here</title></head></html>`), 404, "Not here", ""},
		{"text", body(418, "no coffee\n"), 418, "no coffee", ""},
		{"nothing", body(404, ""), 404, "", ""},
		{"very long text", body(400, strings.Repeat("x", 1<<20)), 400, "xxx", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, map[string]http.HandlerFunc{"GET /api/machines/1": c.answer})
			_, err := s.client(client.Options{}).Get(t.Context(), "machines/1?token=hidden", cimi.ReadOptions{})
			var e *cimi.Error
			if !errors.As(err, &e) || e.Status != c.status || e.Code != c.code || !strings.Contains(e.Error(), c.says) {
				t.Fatalf("got %#v", err)
			}
			if strings.Contains(err.Error(), "hidden") || len(err.Error()) > 4096 || len(e.Body) > 4096 {
				t.Errorf("shows too much: %s", err)
			}
			if e.Method != "GET" || !strings.HasPrefix(e.URL, s.URL) {
				t.Errorf("method %q, URL %q", e.Method, e.URL)
			}
		})
	}
}

// TestPagingIgnored: a cloud that ignores $first and $last (4.1.6) sends all
// every time. One that counts more than it ever sends is at fault: what it keeps
// back would be lost silently.
func TestPagingIgnored(t *testing.T) {
	col := func(n, count int) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"href":"machines/%d"}`, i+1))
		}
		c := ""
		if count >= 0 {
			c = fmt.Sprintf(`"count":%d,`, count)
		}
		return `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection",` + c + `"machines":[` + strings.Join(items, ",") + `]}`
	}
	for _, count := range []int{5, -1, 99} {
		s := newScript(t, map[string]http.HandlerFunc{"GET /api/machines": body(200, col(5, count))})
		c := s.client(client.Options{})
		n := 0
		for r, err := range cimi.All(t.Context(), c, "machines", cimi.ListOptions{}) {
			if count == 99 && n == 5 && cimi.StatusOf(err) == 502 {
				n = -1
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n++; !strings.HasPrefix(r.Base().ID, s.URL+"/api/machines/") {
				t.Errorf("id %s", r.Base().ID)
			}
		}
		if count == 99 {
			if n != -1 {
				t.Errorf("it counts 99, and %d entries end without an error", n)
			}
			continue // the page is what it seems to be
		}
		if n != 5 {
			t.Errorf("count %d: got %d of 5", count, n)
		}
		got, err := c.List(t.Context(), "machines", cimi.ListOptions{First: 2, Last: 3})
		if err != nil || len(got.Items) != 2 || got.Items[0].Base().ID != s.URL+"/api/machines/2" || cimi.IntValue(got.Count) != 5 {
			t.Errorf("count %d: first=2 last=3 gave %d entries, %v", count, len(got.Items), err)
		}
	}
}

// TestOperations: hrefs are followed; what is advertised and not there is tried at the resource.
func TestOperations(t *testing.T) {
	var put, deleted, started atomic.Int32
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines/1": body(200, machine),
		"PUT /api/machines/1": func(w http.ResponseWriter, r *http.Request) { put.Add(1) },
		"DELETE /api/gone/1":  func(w http.ResponseWriter, r *http.Request) { deleted.Add(1) },
		"POST /api/machines/1/start": func(w http.ResponseWriter, r *http.Request) {
			started.Add(1)
			if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" {
				http.Error(w, "headers", http.StatusInternalServerError)
			}
			w.WriteHeader(http.StatusAccepted)
		},
	})
	c := s.client(client.Options{})
	if acc, err := c.Update(t.Context(), "machines/1", &cimi.Machine{}, cimi.UpdateOptions{}); err != nil || !acc.Done || put.Load() != 1 {
		t.Errorf("update: %+v, %v", acc, err)
	}
	if _, err := c.Delete(t.Context(), "machines/1"); err != nil || deleted.Load() != 1 {
		t.Errorf("delete: %v", err)
	}
	acc, err := c.Invoke(t.Context(), "machines/1", &cimi.Action{Action: cimi.ActionStart})
	if err != nil || started.Load() != 1 {
		t.Fatalf("start: %v", err)
	}
	// Without a Job the state of the target is what tells.
	if job, err := cimi.Wait(t.Context(), c, acc, "machines/1", cimi.WaitOptions{}); job != nil || err != nil {
		t.Errorf("wait: %v, %v", job, err)
	}
	if _, err := cimi.Wait(t.Context(), c, acc, "", cimi.WaitOptions{}); !errors.Is(err, cimi.ErrNoJob) {
		t.Errorf("wait for nothing: %v", err)
	}
	for _, action := range []string{cimi.ActionStop, cimi.ActionExport} {
		if _, err := c.Invoke(t.Context(), "machines/1", &cimi.Action{Action: action}); !cimi.IsUnsupported(err) {
			t.Errorf("%s is not available: %v, want 405", action, err)
		}
	}
}

// TestWaitForJob: nested messages, return code and findings of a failed Job;
// a poll that fails now and then does not end the wait.
func TestWaitForJob(t *testing.T) {
	var polls atomic.Int32
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/jobs/1": func(w http.ResponseWriter, r *http.Request) {
			switch polls.Add(1) {
			case 1:
				body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","id":"jobs/1","state":"RUNNING","progress":"10"}`)(w, r)
			case 2:
				http.Error(w, "", http.StatusBadGateway)
			default:
				body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","id":"jobs/1","state":"FAILED","progress":100,"returnCode":"10004","statusMessage":"import failed",
				 "nestedJobs":[{"href":"jobs/2"},{"href":"jobs/1"}],"ovfFindings":[{"id":"OVF-MF-001"}]}`)(w, r)
			}
		},
		"GET /api/jobs/2": body(200, `<Job><state>FAILED</state><statusMessage>disk1: wrong digest</statusMessage></Job>`),
	})
	c := s.client(client.Options{})
	var seen []string
	_, err := cimi.WaitJob(t.Context(), c, s.URL+"/api/jobs/1", cimi.WaitOptions{MinPoll: time.Millisecond, Progress: func(j *cimi.Job) { seen = append(seen, j.State) }})
	var je *cimi.JobError
	if !errors.As(err, &je) || strings.Join(je.Messages, "|") != "import failed|disk1: wrong digest" || je.Findings == nil {
		t.Fatalf("got %+v, %v", je, err)
	}
	if class := je.ExitClass(); class != 4 {
		t.Errorf("class %d, want 4", class)
	}
	if strings.Join(seen, " ") != "RUNNING FAILED" {
		t.Errorf("progress saw %v", seen)
	}
}

// TestRetries: reading is repeated; a change only when it cannot have been made.
func TestRetries(t *testing.T) {
	var gets, posts, busy atomic.Int32
	flaky := func(n *atomic.Int32, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) {
			case 1:
				http.Error(w, "", http.StatusServiceUnavailable)
			case 2:
				conn, _, _ := w.(http.Hijacker).Hijack()
				conn.Close()
			default:
				then(w, r)
			}
		}
	}
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines/1": flaky(&gets, body(200, machine)),
		"GET /api/machines":   body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection"}`),
		"POST /api/machines":  flaky(&posts, body(201, "")),
		"GET /api/systems":    body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","operations":[{"rel":"add","href":"systems"}]}`),
		"POST /api/systems": func(w http.ResponseWriter, r *http.Request) {
			if busy.Add(1) == 1 {
				body(503, "", "Retry-After", "1")(w, r)
				return
			}
			w.WriteHeader(201)
		},
	})
	c := s.client(client.Options{})
	if _, err := c.Get(t.Context(), "machines/1", cimi.ReadOptions{}); err != nil || gets.Load() != 3 {
		t.Errorf("get: %v after %d attempts", err, gets.Load())
	}
	if _, err := c.Create(t.Context(), "machines", &cimi.MachineCreate{}); err == nil || posts.Load() != 1 {
		t.Errorf("create: %v after %d attempts; want an error after 1", err, posts.Load())
	}
	if _, err := c.Create(t.Context(), "systems", &cimi.SystemCreate{}); err != nil || busy.Load() != 2 {
		t.Errorf("create with Retry-After: %v after %d attempts", err, busy.Load())
	}
}

func TestOpen(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	var ready atomic.Int32
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/ranged": func(w http.ResponseWriter, r *http.Request) {
			if ready.Add(1) == 1 {
				body(503, "", "Retry-After", "0")(w, r)
				return
			}
			w.Header().Set("ETag", `"v1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		},
		"GET /api/stream": func(w http.ResponseWriter, r *http.Request) { w.Write(data) },
		"GET /api/denied": body(403, `{"message":"not yours"}`),
	})
	c := s.client(client.Options{})
	got, err := c.Open(t.Context(), "ranged")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	part := make([]byte, 16)
	if _, err := got.ReadAt(part, 1600); err != nil || string(part) != "0123456789abcdef" || !got.Ranged() || got.Size() != int64(len(data)) || got.Version() != "v1" {
		t.Errorf("ranged: %q %v, size %d, version %q", part, err, got.Size(), got.Version())
	}
	got, err = c.Open(t.Context(), "stream")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.Ranged() {
		t.Error("a server without Range counts as ranged")
	}
	all, err := io.ReadAll(io.NewSectionReader(got, 0, 1<<40))
	if err != nil || !bytes.Equal(all, data) {
		t.Errorf("stream: %d of %d bytes, %v", len(all), len(data), err)
	}
	if _, err := got.ReadAt(part, 0); !errors.Is(err, fetch.ErrNoRange) {
		t.Errorf("reading again from the start: %v", err)
	}
	if _, err := c.Open(t.Context(), "denied"); cimi.StatusOf(err) != 403 || !strings.Contains(err.Error(), "not yours") {
		t.Errorf("denied: %v", err)
	}
	if _, err := c.Open(t.Context(), "none"); !cimi.IsNotFound(err) {
		t.Errorf("none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Open(ctx, "ranged"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestRaw: what the cloud sends comes as it is, be it no resource at all, and
// the cloud is asked for what the caller wants of it.
func TestRaw(t *testing.T) {
	const page = "<html><body>not a resource</body></html>"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/page":
			io.WriteString(w, page)
		case r.URL.Path == "/machines/1":
			io.WriteString(w, r.Header.Get("Accept")+" "+r.URL.RawQuery)
		default:
			io.WriteString(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/CloudEntryPoint","baseURI":"/"}`)
		}
	}))
	defer s.Close()
	c, err := client.New(t.Context(), s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, _, err := c.Raw(t.Context(), s.URL+"/page", "", cimi.ReadOptions{}); err != nil || string(b) != page {
		t.Errorf("%v: %s", err, b)
	}
	b, _, err := c.Raw(t.Context(), s.URL+"/machines/1", "xml", cimi.ReadOptions{Select: []string{"name", "cpu"}, Expand: []string{"disks"}})
	if want := "application/xml $expand=disks&$select=name,cpu"; err != nil || string(b) != want {
		t.Errorf("%v: %s, want %s", err, b, want)
	}
}
