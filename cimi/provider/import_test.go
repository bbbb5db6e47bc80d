package provider_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestImportByURL fetches from a server that offers Range, and answers at once.
func TestImportByURL(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	archive := sample.OVA(t)
	var auth atomic.Value
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		auth.Store(r.Header.Get("Authorization"))
		http.ServeContent(w, r, "app.ova", time.Time{}, bytes.NewReader(archive))
	}))
	defer srv.Close()
	a := &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"}
	a.Properties = map[string]string{"http.token": "canary", "ovf.name": "renamed", "ovf.network.front": "prod", "ovf.mac": "strip"}
	acc, err := p.Invoke(context.Background(), "systems", a)
	if err != nil {
		t.Fatal(err)
	}
	if s := get[*cimi.System](t, p, acc.Location); s.State != cimi.StateCreating || s.Name != "renamed" {
		t.Errorf("while it is imported the System is %s %q", s.State, s.Name)
	}
	if j := get[*cimi.Job](t, p, acc.Job); j.State != cimi.JobRunning || j.Operation("stop") == nil {
		t.Errorf("the Job is %s", j.State)
	}
	close(release)
	j := wait(t, p, acc.Job)
	if j.State != cimi.JobSuccess || *j.Progress != 100 || *j.ReturnCode != 10000 {
		t.Fatalf("%s %s", j.State, j.StatusMessage)
	}
	if auth.Load() != "Bearer canary" {
		t.Errorf("the source got %q", auth.Load())
	}
	if len(j.NestedJobs) != 2 || len(j.AffectedResources) != 3 || j.AffectedResources[1].Href != acc.Location {
		t.Errorf("%d nested Jobs, affected %v", len(j.NestedJobs), j.AffectedResources)
	}
	nested := get[*cimi.Job](t, p, j.NestedJobs[0].Href)
	if nested.State != cimi.JobSuccess || nested.ParentJob.Href != j.ID || len(nested.AffectedResources) != 2 {
		t.Errorf("nested Job is %+v", nested)
	}
	if s := get[*cimi.System](t, p, acc.Location); s.Name != "renamed" || s.State != cimi.StateStopped {
		t.Errorf("System is %q %s", s.Name, s.State)
	}
	if n := list(t, p, "networks", `name="prod"`); len(n) != 1 || n[0].Base().Parent.Href != "networks" {
		t.Error("the mapped network is not associated")
	}
	for _, e := range list(t, p, "endpoints") {
		if e.(*cimi.ProtocolEndpoint).Address != "" {
			t.Error("MAC address was not stripped")
		}
	}
	for _, r := range list(t, p, "jobs") {
		if b, err := cimi.MarshalJSON(r); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Errorf("the secret is in a Job: %s %v", b, err)
		}
	}
}

// TestImportRefused: requests that are refused before there is a Job, and
// sources that may not be reached.
func TestImportRefused(t *testing.T) {
	dir := t.TempDir()
	allowed, outside := filepath.Join(dir, "allowed"), filepath.Join(dir, "outside.ova")
	if err := os.Mkdir(allowed, 0o700); err != nil {
		t.Fatal(err)
	}
	sample := hosttest.NewSample(t, "appliance", 1)
	for _, f := range []string{outside, filepath.Join(allowed, "in.ova")} {
		if err := os.WriteFile(f, sample.OVA(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(allowed, "link.ova")); err != nil {
		t.Fatal(err)
	}
	p := open(t, t.TempDir(), provider.Options{AllowDirs: []string{allowed}, AllowSources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for source, want := range map[string]int{
		"": 400, "ftp://127.0.0.1/x.ova": 400, "http://u:p@127.0.0.1/x.ova": 400, "x.ova": 400, "file://elsewhere/x.ova": 400,
		"file://" + outside: 403, "file://" + allowed + "/link.ova": 403, "file://" + allowed + "/../outside.ova": 403, "file://" + allowed + "/none.ova": 403,
	} {
		_, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: source})
		if cimi.StatusOf(err) != want {
			t.Errorf("source %q: %v, want %d", source, err, want)
		}
	}
	a := &cimi.Action{Action: cimi.ActionImport, Source: "file://" + allowed + "/in.ova"}
	a.Properties = map[string]string{"ovf.nonsense": "x"}
	if _, err := p.Invoke(context.Background(), "systems", a); cimi.StatusOf(err) != 400 {
		t.Errorf("an unknown property: %v", err)
	}
	a.Properties = nil
	acc, err := p.Invoke(context.Background(), "systems", a)
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Errorf("an allowed file: %s", j.StatusMessage)
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	acc, err = p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/x.ova"})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobFailed || *j.ReturnCode != 10005 {
		t.Errorf("an address that is not allowed: %s %d %s", j.State, *j.ReturnCode, j.StatusMessage)
	}
	if n := len(list(t, p, "systems")); n != 1 {
		t.Errorf("%d systems, want 1", n)
	}
}

// TestSourceByContent: an OVA called .ovf and a descriptor called otherwise are
// what they are.
func TestSourceByContent(t *testing.T) {
	sample := hosttest.NewSample(t, "appliance", 1)
	dir := t.TempDir()
	p := open(t, t.TempDir(), provider.Options{AllowDirs: []string{dir}})
	descriptor := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><References/><VirtualSystem id="vm"><Info/></VirtualSystem></Envelope>`
	for name, content := range map[string][]byte{"archive.ovf": sample.OVA(t), "archive": sample.OVA(t), "text.ova": []byte("\n " + descriptor), "text": []byte("\xEF\xBB\xBF" + descriptor)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	for _, base := range []string{"file://" + dir, srv.URL} {
		for name, machines := range map[string]int{"archive.ovf": 2, "archive": 2, "text.ova": 1, "text": 1} {
			acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: base + "/" + name})
			if err != nil {
				t.Fatal(err)
			}
			if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
				t.Errorf("%s/%s: %s %s", base, name, j.State, j.StatusMessage)
			} else if n := len(list(t, p, acc.Location+"/machines")); n != machines {
				t.Errorf("%s/%s: %d machines, want %d", base, name, n, machines)
			}
		}
	}
}

// TestRedirectRefused: an allowed source may not send us where we may not go.
func TestRedirectRefused(t *testing.T) {
	var reached atomic.Bool
	inner := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	inner.Start()
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler("http://[::1]:"+inner.URL[strings.LastIndex(inner.URL, ":")+1:]+"/x.ova", http.StatusFound))
	defer outer.Close()
	p := open(t, t.TempDir(), provider.Options{})
	acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: outer.URL + "/x.ova"})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobFailed || *j.ReturnCode != 10005 || reached.Load() {
		t.Errorf("%s %d %s", j.State, *j.ReturnCode, j.StatusMessage)
	}
}

func TestImportFails(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	sound := sample.OVA(t)
	off, size := sample.File(t, "disk2.vmdk")
	flipped := bytes.Clone(sound)
	flipped[off+size/2] ^= 1
	for name, c := range map[string]struct {
		archive []byte
		code    int64
		message string
	}{
		"flipped":   {flipped, 10004, "disk2.vmdk"},
		"truncated": {sound[:off+size/2], 10003, "disk2.vmdk"},
		"no tar":    {[]byte(strings.Repeat("not a tar at all ", 100)), 10003, ""},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "app.ova", time.Time{}, bytes.NewReader(c.archive))
		}))
		acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"})
		if err != nil {
			t.Fatal(err)
		}
		j := wait(t, p, acc.Job)
		srv.Close()
		if j.State != cimi.JobFailed || *j.ReturnCode != c.code || !strings.Contains(j.StatusMessage, c.message) || *j.Progress != 100 {
			t.Errorf("%s: %s %d %s", name, j.State, *j.ReturnCode, j.StatusMessage)
		}
		if strings.Contains(j.StatusMessage, "\n") {
			t.Errorf("%s: more than one sentence: %q", name, j.StatusMessage)
		}
		for _, n := range j.NestedJobs {
			if said := get[*cimi.Job](t, p, n.Href).StatusMessage; said != "" {
				t.Errorf("%s: a nested Job says %q, which its parent says already", name, said)
			}
		}
		if len(j.AffectedResources) != 1 {
			t.Errorf("%s: affected are %v", name, j.AffectedResources)
		}
		if _, err := p.Get(context.Background(), acc.Location, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
			t.Errorf("%s: the System is still there: %v", name, err)
		}
	}
	if n := len(list(t, p, "systems")) + len(list(t, p, "volumes")); n != 0 {
		t.Errorf("%d resources are left", n)
	}
}
