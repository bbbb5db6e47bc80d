package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/providertest/memory"
	"github.com/cimimove/cimimove/cimi/providertest/wire"
	"github.com/cimimove/cimimove/cimi/server"
)

// cloud is a server over a cloud in memory, spoken to in plain HTTP.
type cloud struct {
	*wire.Cloud
	p *memory.Provider
}

func serve(t *testing.T, o server.Options) *cloud {
	p := memory.New()
	h, err := server.New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() { srv.Close(); p.Close() })
	return &cloud{&wire.Cloud{T: t, URL: srv.URL}, p}
}

func TestFormats(t *testing.T) {
	c := serve(t, server.Options{})
	for _, x := range []struct{ path, accept, want string }{
		{"/cloudEntryPoint", "application/json", "application/json"},
		{"/cimi/2/cloudEntryPoint", "application/xml", "application/xml"},
		{"/cloudEntryPoint", "", "application/json"},
		{"/cloudEntryPoint", "*/*", "application/json"},
		{"/cloudEntryPoint", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"},
		{"/cloudEntryPoint", "application/xml;q=0.1, application/json;q=0.2", "application/json"},
		{"/cloudEntryPoint", "application/xml, application/json", "application/xml"},
		{"/cloudEntryPoint?$format=XML", "application/json", "application/xml"},
		{"/cloudEntryPoint?%24format=json&$format=xml", "application/xml", "application/json"},
	} {
		r := c.Do("GET", x.path, "", "Accept", x.accept)
		if got := r.Header.Get("Content-Type"); got != x.want || r.StatusCode != 200 {
			t.Errorf("%s Accept %q: %d %s, want %s", x.path, x.accept, r.StatusCode, got, x.want)
		}
		if r.ContentLength != int64(len(r.Text)) {
			t.Errorf("Content-Length %d for %d bytes", r.ContentLength, len(r.Text))
		}
	}
	c.Want(c.Do("GET", "/cloudEntryPoint?$format=yaml", ""), 406, `"state": "FAILED"`)
	c.Want(c.Do("POST", "/machineConfigs", "{}", "Accept", "text/plain"), 406)
	c.Want(c.Do("POST", "/machineConfigs", "cpu: 1", "Content-Type", "application/yaml"), 415)
}

// TestURIs: every id, href and baseURI is absolute, after the request's host or --base-url.
func TestURIs(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("GET", "/cloudEntryPoint", "")
	c.Want(r, 200)
	if got := c.Field(r, "baseURI"); got != c.URL+"/" {
		t.Errorf("baseURI %s", got)
	}
	if got := c.Field(r, "machines", "href"); got != c.URL+"/machines" {
		t.Errorf("machines %s", got)
	}
	if got := c.Field(r, "id"); got != c.URL+"/cloudEntryPoint" {
		t.Errorf("id %s", got)
	}
	c.Want(c.Do("GET", "/", ""), 200, "CloudEntryPoint")
	c = serve(t, server.Options{BaseURL: "https://cloud.example/api"})
	r = c.Do("GET", "/cloudEntryPoint", "")
	if got := c.Field(r, "machines", "href"); got != "https://cloud.example/api/machines" {
		t.Errorf("machines %s", got)
	}
	c.Want(c.Do("GET", "/api/machines", ""), 200, `"https://cloud.example/api/machines"`)
	if _, err := server.New(c.p, server.Options{BaseURL: "cloud.example"}); err == nil {
		t.Error("a base URL without a scheme was taken")
	}
}

func TestChanges(t *testing.T) {
	for _, xml := range []bool{false, true} {
		c := serve(t, server.Options{})
		media, create := "application/json", `{"name":"a","machineTemplate":{"machineConfig":{"cpu":"2","memory":64}}}`
		if xml {
			media, create = "application/xml", `<MachineCreate><name>a</name><machineTemplate><machineConfig><cpu>2</cpu><memory> 64 </memory></machineConfig></machineTemplate></MachineCreate>`
		}
		h := []string{"Accept", media, "Content-Type", media + "; charset=utf-8"}
		r := c.Do("POST", "/machines", create, h...)
		c.Want(r, 201)
		id := r.Header.Get("Location")
		if !strings.HasPrefix(id, c.URL+"/") || !strings.HasPrefix(r.Header.Get("CIMI-Job-URI"), c.URL+"/jobs/") {
			t.Fatalf("Location %q, CIMI-Job-URI %q", id, r.Header.Get("CIMI-Job-URI"))
		}
		c.Want(c.Do("GET", r.Header.Get("CIMI-Job-URI"), "", h...), 200, "SUCCESS")
		got := c.Do("GET", id, "", h...)
		c.Want(got, 200, "STOPPED")
		tag := got.Header.Get("ETag")
		if r := c.Do("GET", id, "", append(h, "If-None-Match", tag)...); r.StatusCode != 304 {
			t.Errorf("If-None-Match: %d", r.StatusCode)
		}
		rename := `{"name":"b"}`
		if xml {
			rename = `<Machine><name>b</name></Machine>`
		}
		c.Want(c.Do("PUT", id+"?$select=name", rename, append(h, "If-Match", tag)...), 200, "b")
		c.Want(c.Do("PUT", id+"?$select=name", rename, append(h, "If-Match", tag)...), 412, "FAILED")
		c.Want(c.Do("PUT", id+"?$select=description", rename, h...), 400, "not named in $select: name")
		c.Want(c.Do("POST", id, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Action","action":"http://schemas.dmtf.org/cimi/2/action/start"}`, "Accept", media), 200)
		c.Want(c.Do("GET", id+"?$select=state,name", "", "Accept", "application/json"), 200, `"state": "STARTED"`, `"name": "b"`)
		if r := c.Do("GET", id+"?$select=state", "", "Accept", "application/json"); strings.Contains(r.Text, `"id"`) {
			t.Errorf("$select=state shows more: %s", r.Text)
		}
		c.Want(c.Do("DELETE", id, "", h...), 200)
		c.Want(c.Do("GET", id, "", h...), 404, "FAILED")
	}
}

// TestErrorIsJob: an error is a Job whose id is empty (4.2.2).
func TestErrorIsJob(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("GET", "/machines/none", "")
	c.Want(r, 404, `"resourceURI": "http://schemas.dmtf.org/cimi/2/Job"`, `"id": ""`, `"progress": 100`)
	c.Want(c.Do("GET", "/machines/none", "", "Accept", "application/xml"), 404, "<Job xmlns=", "<id/>")
	for _, x := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/machines", `{"name":`, 400, "not JSON"},
		{"POST", "/machines", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCreate","colour":"red"}`, 400, "unknown attributes of MachineCreate: colour"},
		{"POST", "/machines", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Sofa"}`, 400, "Sofa"},
		{"POST", "/machines", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCreate","machineTemplate":{"machineConfig":{"cpu":"x"}}}`, 400, "machineTemplate.machineConfig.cpu"},
		{"POST", "/machines", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Action"}`, 400, "action: missing"},
		{"POST", "/systems", `{"action":"http://schemas.dmtf.org/cimi/2/action/import","sauce":"x"}`, 400, "sauce"},
		{"POST", "/jobs", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job"}`, 400, "cannot be added"},
		{"PUT", "/cloudEntryPoint", `{}`, 405, "cannot be changed"},
		{"PATCH", "/machines", `{}`, 405, "PATCH"},
		{"GET", "/machines?$filter=cpu", ``, 400, "$filter"},
		{"GET", "/machines?$first=x", ``, 400, "$first"},
		{"GET", "/machines?$orderby=cpu:up", ``, 400, "$orderby"},
		{"GET", "/machines/../machines", ``, 404, "no such"},
		{"POST", "/machines", strings.Repeat(" ", 5<<20), 413, "larger"},
		{"POST", "/machines", strings.Repeat("[", 1000), 413, "too large"},
	} {
		c.Want(c.Do(x.method, x.path, x.body, "Content-Type", "application/json"), x.status, `"FAILED"`, x.says)
	}
}

func TestLists(t *testing.T) {
	c := serve(t, server.Options{PageSize: 3})
	for i := range 5 {
		c.Want(c.Do("POST", "/machineConfigs", fmt.Sprintf(`{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","name":"c%d","cpu":%d}`, i, i)), 201)
	}
	r := c.Do("GET", "/machineConfigs", "")
	c.Want(r, 200, `"count": 5`, `"c2"`)
	if strings.Contains(r.Text, `"c3"`) {
		t.Error("the page is longer than PageSize")
	}
	c.Want(c.Do("GET", "/machineConfigs?$first=4", ""), 200, `"count": 5`, `"c3"`, `"c4"`)
	c.Want(c.Do("GET", "/machineConfigs?$filter=cpu%3E3", ""), 200, `"count": 1`, `"c4"`)
	c.Want(c.Do("GET", "/machineConfigs?$filter=cpu%3E0&$filter=cpu%3C2", "", "Accept", "application/xml"), 200, "<count>1</count>", "<machineConfigurations>")
	r = c.Do("GET", "/machineConfigs?$last=0", "")
	c.Want(r, 200, `"count": 5`)
	if strings.Contains(r.Text, `"c0"`) {
		t.Error("$last=0 is an empty range")
	}
	if r := c.Do("GET", "/machineConfigs?$select=count", ""); strings.Contains(r.Text, "machineConfigurations") {
		t.Errorf("$select=count: %s", r.Text)
	}
	c.Want(c.Do("GET", "/cloudEntryPoint?$expand=machineConfigs", ""), 200, `"c0"`)
	c.Want(c.Do("GET", "/machineConfigs?$unknown=1", ""), 200)
}

func TestUsers(t *testing.T) {
	users, err := server.ParseUsers(strings.NewReader("# who\nann:reader:a:b\nbob:operator:secret\nbot:administrator:token=t0ken\n"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := serve(t, server.Options{Users: users, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	body := `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","cpu":1}`
	basic := func(user, pass string) []string {
		req, _ := http.NewRequest("GET", "/", nil)
		req.SetBasicAuth(user, pass)
		return []string{"Authorization", req.Header.Get("Authorization")}
	}
	c.Want(c.Do("GET", "/cloudEntryPoint", ""), 200)
	r := c.Do("GET", "/machines?token=hidden", "")
	c.Want(r, 401, "FAILED")
	if len(r.Header.Values("WWW-Authenticate")) == 0 {
		t.Error("401 without WWW-Authenticate")
	}
	c.Want(c.Do("GET", "/metrics", ""), 401)
	c.Want(c.Do("GET", "/healthz", ""), 200)
	c.Want(c.Do("GET", "/cloudEntryPoint", "", basic("ann", "wrong")...), 401)
	r = c.Do("GET", "/machineConfigs", "", basic("ann", "a:b")...)
	c.Want(r, 200)
	if strings.Contains(r.Text, "operations") {
		t.Error("a reader is shown operations it may not use")
	}
	c.Want(c.Do("POST", "/machineConfigs", body, basic("ann", "a:b")...), 403)
	c.Want(c.Do("POST", "/machineConfigs", body, basic("bob", "secret")...), 201)
	c.Want(c.Do("POST", "/machineConfigs", body, "Authorization", "Bearer t0ken"), 201)
	c.Want(c.Do("GET", "/machineConfigs", "", "Authorization", "Bearer "), 401)
	c.Want(c.Do("GET", "/machineConfigs", "", basic("bot", "")...), 401)
	for _, secret := range []string{"secret", "t0ken", "hidden"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
	if !strings.Contains(log.String(), "user=bob") || !strings.Contains(log.String(), "status=403") {
		t.Errorf("the log: %s", log.String())
	}
	for _, bad := range []string{"ann", "ann:chief:x", "ann:reader:"} {
		if _, err := server.ParseUsers(strings.NewReader(bad)); err == nil {
			t.Errorf("users file %q was taken", bad)
		}
	}
}

func TestCredentialsAreWriteOnly(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("POST", "/credentials", `{"credentialTemplate":{"userName":"root","password":"s3cret"}}`)
	c.Want(r, 201, "root")
	for _, path := range []string{r.Header.Get("Location"), "/credentials", "/cloudEntryPoint?$expand=credentials"} {
		got := c.Do("GET", path, "")
		c.Want(got, 200, "root")
		if strings.Contains(got.Text, "s3cret") {
			t.Errorf("%s shows the password", path)
		}
	}
	if strings.Contains(r.Text, "s3cret") {
		t.Error("the answer to the add shows the password")
	}
}

// fixed is a Provider with bytes alone.
type fixed struct {
	*memory.Provider
	open func(href string) (cimi.Content, error)
}

func (f *fixed) Open(_ context.Context, href string) (cimi.Content, error) { return f.open(href) }

type content struct {
	io.ReaderAt
	size   int64
	ranged bool
}

func (c content) Size() int64   { return c.size }
func (c content) Ranged() bool  { return c.ranged }
func (content) Version() string { return "v1" }
func (content) Close() error    { return nil }

type failing struct{ io.ReaderAt }

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off >= 4096 {
		return 0, errors.New("disk is gone")
	}
	return f.ReaderAt.ReadAt(p[:min(len(p), 4096)], off)
}

func TestBytes(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 8192)
	p := &fixed{Provider: memory.New()}
	h, err := server.New(p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := &wire.Cloud{T: t, URL: srv.URL}
	p.open = func(href string) (cimi.Content, error) {
		switch href {
		case "exports/1.ova":
			return content{bytes.NewReader(data), int64(len(data)), true}, nil
		case "exports/2.ova":
			return content{bytes.NewReader(data), -1, false}, nil
		case "exports/3.ova":
			return nil, &cimi.Error{Status: 503, Message: "not ready", RetryAfter: 7}
		case "exports/4.ova":
			return content{failing{bytes.NewReader(data)}, int64(len(data)), false}, nil
		case "exports/5.ova":
			return content{failing{bytes.NewReader(data)}, int64(len(data)), true}, nil
		}
		return nil, cimi.Errorf(404, "none")
	}
	r := c.Do("GET", "/exports/1.ova", "", "Accept", "application/ovf")
	c.Want(r, 200)
	if r.Text != string(data) || r.Header.Get("Content-Type") != "application/ovf" || r.Header.Get("ETag") != `"v1"` || r.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("whole: %d bytes, %v", len(r.Text), r.Header)
	}
	r = c.Do("GET", "/exports/1.ova", "", "Range", "bytes=16-31")
	c.Want(r, 206)
	if r.Text != "0123456789abcdef" || r.Header.Get("Content-Range") != fmt.Sprintf("bytes 16-31/%d", len(data)) {
		t.Errorf("range: %q %v", r.Text, r.Header)
	}
	c.Want(c.Do("GET", "/exports/1.ova", "", "Range", "bytes=16-31", "If-Range", `"old"`), 200)
	c.Want(c.Do("GET", "/exports/1.ova", "", "Range", "bytes=999999999-"), 416)
	if r := c.Do("HEAD", "/exports/1.ova", ""); r.StatusCode != 200 || r.ContentLength != int64(len(data)) {
		t.Errorf("HEAD: %d, %d bytes", r.StatusCode, r.ContentLength)
	}
	if r := c.Do("GET", "/exports/2.ova", "", "Range", "bytes=16-31"); r.StatusCode != 200 || r.Text != string(data) {
		t.Errorf("without ranges: %d, %d bytes", r.StatusCode, len(r.Text))
	}
	r = c.Do("GET", "/exports/3.ova", "")
	c.Want(r, 503, "not ready")
	if r.Header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	// Content that ends in an error must not look whole.
	for _, path := range []string{"/exports/4.ova", "/exports/5.ova"} {
		resp, err := http.Get(c.URL + path)
		if err != nil {
			continue
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: a broken download looks whole", path)
		}
		resp.Body.Close()
	}
}

// TestNoLostUpdate: writers that say what they read never undo each other.
func TestNoLostUpdate(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("POST", "/machineConfigs", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","cpu":0}`)
	c.Want(r, 201)
	id := r.Header.Get("Location")
	const writers, each = 8, 5
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				got := c.Do("GET", id, "")
				var m struct{ CPU int }
				if err := json.Unmarshal([]byte(got.Text), &m); err != nil {
					t.Error(err)
					return
				}
				put := c.Do("PUT", id+"?$select=cpu", fmt.Sprintf(`{"cpu":%d}`, m.CPU+1), "If-Match", got.Header.Get("ETag"))
				switch put.StatusCode {
				case 200:
					done++
				case 412:
					refused.Add(1)
				default:
					t.Errorf("PUT: %d %s", put.StatusCode, put.Text)
					return
				}
			}
		})
	}
	wg.Wait()
	c.Want(c.Do("GET", id, ""), 200, fmt.Sprintf(`"cpu": %d`, writers*each))
	t.Logf("%d writes were refused and made again", refused.Load())
}

// TestCrossOrigin: a page of another site cannot change anything through a browser.
func TestCrossOrigin(t *testing.T) {
	c := serve(t, server.Options{})
	body := `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","cpu":1}`
	c.Want(c.Do("POST", "/machineConfigs", body, "Origin", "https://elsewhere.example"), 403)
	c.Want(c.Do("POST", "/machineConfigs", body, "Sec-Fetch-Site", "cross-site"), 403)
	c.Want(c.Do("POST", "/machineConfigs", body, "Origin", c.URL), 201)
	c.Want(c.Do("GET", "/machineConfigs", "", "Origin", "https://elsewhere.example"), 200)
}

func TestHealthAndMetrics(t *testing.T) {
	c := serve(t, server.Options{})
	c.Want(c.Do("GET", "/healthz", ""), 200, "ok")
	c.Do("GET", "/machines/none", "")
	r := c.Do("GET", "/metrics", "")
	c.Want(r, 200, `cimi_requests_total{method="GET",code="404"} 1`, "cimi_requests_in_flight 1", "# TYPE cimi_requests_total counter")
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Error(r.Header.Get("Content-Type"))
	}
}

// TestShutdown: requests under way end, then Serve does.
func TestShutdown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := server.HTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		time.Sleep(50 * time.Millisecond)
		fmt.Fprint(w, "done")
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, srv, ln) }()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-started
	cancel()
	if s := <-got; s != "done" {
		t.Errorf("the request under way got %q", s)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
