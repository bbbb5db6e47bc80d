package provider_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func open(t testing.TB, dir string, opts provider.Options) *provider.Provider {
	t.Helper()
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	opts.Database = filepath.Join(dir, "cimi.db")
	if opts.AllowSources == nil {
		opts.AllowSources = loopback
	}
	p, err := provider.New(context.Background(), h, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func wait(t testing.TB, p cimi.Provider, job string) *cimi.Job {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r, err := p.Get(context.Background(), job, cimi.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if j := r.(*cimi.Job); j.Ended() {
			return j
		}
	}
	t.Fatalf("%s does not end", job)
	return nil
}

func list(t testing.TB, p cimi.Provider, collection string, filter ...string) []cimi.Resource {
	t.Helper()
	c, err := p.List(context.Background(), collection, cimi.ListOptions{Filter: filter})
	if err != nil {
		t.Fatal(err)
	}
	return c.Items
}

func get[T cimi.Resource](t testing.TB, p cimi.Provider, id string) T {
	t.Helper()
	r, err := p.Get(context.Background(), id, cimi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.(T)
}

// succeeded imports the sample and gives the System's id.
func succeeded(t testing.TB, p *provider.Provider, sample *hosttest.Sample, properties map[string]string) string {
	t.Helper()
	a := &cimi.Action{Action: cimi.ActionImport}
	a.Properties = properties
	acc, err := p.ImportPackage(context.Background(), "systems", hosttest.Package(t, sample.OVA(t)), a)
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatalf("import: %s %s", j.State, j.StatusMessage)
	}
	return acc.Location
}

func export(t testing.TB, p cimi.Provider, system string) (location string, archive []byte) {
	t.Helper()
	acc, err := p.Invoke(context.Background(), system, &cimi.Action{Action: cimi.ActionExport})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatalf("export: %s %s", j.State, j.StatusMessage)
	}
	return acc.Location, fetch(t, p, acc.Location)
}

func fetch(t testing.TB, p cimi.Provider, location string) []byte {
	t.Helper()
	c, err := p.Open(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestView looks at every resource that the sample becomes.
func TestView(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	s := get[*cimi.System](t, p, id)
	if s.Name != "appliance" || s.State != cimi.StateStopped || s.Operation("export") == nil || s.Operation("start") != nil {
		t.Errorf("system is %+v", s)
	}
	if got := string(fetch(t, p, s.ExtraString(cimi.OVFDescriptor))); got != string(sample.Descriptor) {
		t.Error("ovfDescriptor leads to another descriptor")
	}
	for collection, want := range map[string]int{"machines": 2, "volumes": 3, "networks": 2, "segments": 2, "interfaces": 3, "endpoints": 3, "systems": 1,
		id + "/machines": 2, id + "/volumes": 3, id + "/networks": 2, id + "/systems": 0, id + "/credentials": 0,
		"systemTemplates": 0, "jobs": 3, "resourceMetadata": 42} {
		items := list(t, p, collection)
		if len(items) != want {
			t.Errorf("%s has %d entries, want %d", collection, len(items), want)
		}
		for _, r := range items {
			if _, err := p.Get(context.Background(), r.Base().ID, cimi.ReadOptions{}); err != nil {
				t.Errorf("%s of %s: %v", r.Base().ID, collection, err)
			}
		}
	}
	db := list(t, p, "machines", `name="database"`)[0].(*cimi.Machine)
	if *db.CPU != 2 || *db.Memory != 512<<10 || db.ExtraString(cimi.OVFID) != "db" || db.Parent.Href != id+"/machines" {
		t.Errorf("database is %+v", db)
	}
	if n := len(list(t, p, db.Disks.Href)); n != 0 {
		t.Errorf("machine has %d disks, they are volumes", n)
	}
	volumes := list(t, p, db.Volumes.Href)
	first := volumes[0].(*cimi.LocatedVolume)
	if len(volumes) != 2 || !*first.Bootable || *first.Capacity != (hosttest.DiskSize+999)/1000 {
		t.Errorf("volumes are %d, the first %+v", len(volumes), first)
	}
	digest, _ := first.ExtraValue(cimi.ContentDigest).(map[string]any)
	if digest["digest"] != sample.Digests["disk1"] {
		t.Errorf("content digest is %v", digest)
	}
	// interface, endpoint, segment, network: the way from a machine to its network.
	web := list(t, p, "machines", `name="web"`)[0].(*cimi.Machine)
	nic := list(t, p, web.Interfaces.Href)[0].(*cimi.NetworkInterface)
	end := list(t, p, nic.Endpoints.Href)[0].(*cimi.ProtocolEndpoint)
	if end.Address != "00:50:56:aa:bb:01" || end.Origin != "STATIC" || end.Interface.Href != nic.ID {
		t.Errorf("endpoint is %+v", end)
	}
	segment := get[*cimi.ProtocolSegment](t, p, strings.TrimSuffix(end.Parent.Href, "/endpoints"))
	network := get[*cimi.Network](t, p, strings.TrimSuffix(segment.Parent.Href, "/segments"))
	if network.Name != "front" || segment.Protocol != "Ethernet" {
		t.Errorf("network is %+v, segment %+v", network, segment)
	}
}

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

// TestRedirectRefused: an allowed source may not send us where we may not go.
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

// hung serves the beginning of an archive and then nothing until it is closed.
func hung(archive []byte, n int64) (srv *httptest.Server, reached chan struct{}) {
	reached = make(chan struct{}, 100)
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(archive[:n])
		w.(http.Flusher).Flush()
		reached <- struct{}{}
		<-r.Context().Done()
	}))
	return srv, reached
}

func TestStop(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	off, size := sample.File(t, "disk2.vmdk")
	srv, reached := hung(sample.OVA(t), off+size/2)
	defer srv.Close()
	acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	if _, err := p.Delete(context.Background(), acc.Location); !cimi.IsConflict(err) {
		t.Errorf("deleting a System that is being created: %v", err)
	}
	if _, err := p.Invoke(context.Background(), acc.Job, &cimi.Action{Action: cimi.ActionStop}); err != nil {
		t.Fatal(err)
	}
	if j := get[*cimi.Job](t, p, acc.Job); j.State != cimi.JobStopped || *j.Progress != 100 {
		t.Errorf("%s %s", j.State, j.StatusMessage)
	}
	nothingLeft(t, p, dir)
	if _, err := p.Delete(context.Background(), acc.Job); err != nil {
		t.Error(err)
	}
	if _, err := p.Get(context.Background(), acc.Job, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
		t.Errorf("a deleted Job: %v", err)
	}
}

func nothingLeft(t testing.TB, p cimi.Provider, dir string) {
	t.Helper()
	if n := len(list(t, p, "systems")); n != 0 {
		t.Errorf("%d systems are left", n)
	}
	for _, sub := range []string{"disks", "files"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: %d entries are left, %v", sub, len(entries), err)
		}
	}
}

// TestRestart: what was running is FAILED, what was ready goes on.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	location, archive := export(t, p, id)
	off, size := sample.File(t, "disk2.vmdk")
	srv, reached := hung(sample.OVA(t), off+size/2)
	defer srv.Close()
	acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, provider.Options{})
	if j := get[*cimi.Job](t, p, acc.Job); j.State != cimi.JobFailed || *j.ReturnCode != 10007 {
		t.Errorf("the interrupted Job is %s %s", j.State, j.StatusMessage)
	}
	if n := len(list(t, p, "systems")); n != 1 {
		t.Errorf("%d systems, want 1", n)
	}
	if !bytes.Equal(fetch(t, p, location), archive) {
		t.Error("the export gives other bytes after a restart")
	}
	if _, err := p.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(context.Background(), location); !cimi.IsNotFound(err) {
		t.Errorf("the export of a deleted System: %v", err)
	}
	nothingLeft(t, p, dir)
}

// TestExportWhileDeleted: who reads an export reads on.
func TestExportWhileDeleted(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	location, archive := export(t, p, id)
	c, err := p.Open(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil || !bytes.Equal(b, archive) {
		t.Errorf("reading on: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestExportTo(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	_, archive := export(t, p, id)
	var got atomic.Pointer[[]byte]
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if user, password, _ := r.BasicAuth(); r.Method != http.MethodPut || user != "u" || password != "s" || r.ContentLength != int64(len(archive)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b, _ := io.ReadAll(r.Body)
		got.Store(&b)
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	a := &cimi.Action{Action: cimi.ActionExport, Destination: srv.URL + "/out.ova"}
	a.Properties = map[string]string{"http.user": "u", "http.password": "s"}
	acc, err := p.Invoke(context.Background(), id, a)
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	if b := got.Load(); b == nil || !bytes.Equal(*b, archive) {
		t.Error("other bytes were put")
	}
	for _, a := range []*cimi.Action{{Destination: "ftp://x/y"}, {Destination: "http://u:p@x/y"}, {Format: "application/zip"}} {
		a.Action = cimi.ActionExport
		if _, err := p.Invoke(context.Background(), id, a); cimi.StatusOf(err) != 400 {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	m := list(t, p, "machines", `name="database"`)[0].(*cimi.Machine)
	tag := cimi.ETag(m)
	m.CPU, m.Memory, m.Name, m.Properties = cimi.Int(8), cimi.Int(1<<20), "big", map[string]string{"owner": "ops"}
	acc, err := p.Update(context.Background(), m.ID, m, cimi.UpdateOptions{IfMatch: tag})
	if err != nil || !acc.Done {
		t.Fatal(err)
	}
	if _, err := p.Update(context.Background(), m.ID, m, cimi.UpdateOptions{IfMatch: tag}); cimi.StatusOf(err) != 412 {
		t.Errorf("an old ETag: %v", err)
	}
	part := &cimi.Machine{}
	part.Description = "only this"
	if _, err := p.Update(context.Background(), m.ID, part, cimi.UpdateOptions{Select: []string{"description"}}); err != nil {
		t.Fatal(err)
	}
	speed := &cimi.Machine{CPUSpeed: cimi.Int(3000)}
	if _, err := p.Update(context.Background(), m.ID, speed, cimi.UpdateOptions{Select: []string{"cpuSpeed"}}); err != nil {
		t.Errorf("an attribute that the host has no place for: %v", err)
	}
	endpoint := list(t, p, "endpoints")[0]
	other := &cimi.ProtocolEndpoint{Protocol: "IPv4"}
	if _, err := p.Update(context.Background(), endpoint.Base().ID, other, cimi.UpdateOptions{Select: []string{"protocol"}}); cimi.StatusOf(err) != 400 {
		t.Errorf("an attribute that cannot be changed: %v", err)
	}
	strange := &cimi.Machine{}
	strange.SetExtra("colour", "red")
	if _, err := p.Update(context.Background(), m.ID, strange, cimi.UpdateOptions{}); cimi.StatusOf(err) != 400 {
		t.Errorf("an unknown attribute: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, provider.Options{})
	now := get[*cimi.Machine](t, p, m.ID)
	if *now.CPU != 8 || *now.Memory != 1<<20 || now.Name != "big" || now.Properties["owner"] != "ops" || now.Description != "only this" || *now.CPUSpeed != 3000 {
		t.Errorf("after a restart: %+v", now)
	}
	_, archive := export(t, p, id)
	again, err := p.ImportPackage(context.Background(), "systems", hosttest.Package(t, archive), &cimi.Action{})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, p, again.Job)
	if n := len(list(t, p, again.Location+"/machines", `cpu=8 and name="big"`)); n != 1 {
		t.Error("the edit did not come through export and import")
	}
}

func TestStored(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, provider.Options{})
	c := &cimi.Credential{UserName: "admin", Password: "canary"}
	c.Name = "login"
	acc, err := p.Create(context.Background(), "credentials", c)
	if err != nil || !acc.Done {
		t.Fatal(err)
	}
	if acc.Resource.(*cimi.Credential).Password != "" {
		t.Error("the password is in the answer")
	}
	p.Close()
	p = open(t, dir, provider.Options{})
	got := get[*cimi.Credential](t, p, acc.Location)
	if got.Password != "" || got.UserName != "admin" || got.Name != "login" || got.Created == nil {
		t.Errorf("credential is %+v", got)
	}
	config := &cimi.MachineConfiguration{CPU: cimi.Int(2), Memory: cimi.Int(1024)}
	if acc, err = p.Create(context.Background(), "machineConfigs", config); err != nil {
		t.Fatal(err)
	}
	config.CPU = cimi.Int(4)
	if _, err := p.Update(context.Background(), acc.Location, config, cimi.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, p, "machineConfigs", "cpu=4")); n != 1 {
		t.Error("the update is not there")
	}
	if _, err := p.Create(context.Background(), "machineConfigs", &cimi.Volume{}); cimi.StatusOf(err) != 400 {
		t.Errorf("a Volume among configurations: %v", err)
	}
	if _, err := p.Delete(context.Background(), acc.Location); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(context.Background(), acc.Location); !cimi.IsNotFound(err) {
		t.Errorf("deleting twice: %v", err)
	}
	for _, id := range []string{"nothing", "systems/none", "systems/none/machines", "machines/x/volumes", "jobs/none", "exports/none.ova", "interfaces/x.9", "a/b/c/d"} {
		if _, err := p.Get(context.Background(), id, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
			t.Errorf("Get %s: %v", id, err)
		}
		if _, err := p.List(context.Background(), id, cimi.ListOptions{}); !cimi.IsNotFound(err) {
			t.Errorf("List %s: %v", id, err)
		}
		if _, err := p.Delete(context.Background(), id); !cimi.IsNotFound(err) {
			t.Errorf("Delete %s: %v", id, err)
		}
		if _, err := p.Open(context.Background(), id); !cimi.IsNotFound(err) {
			t.Errorf("Open %s: %v", id, err)
		}
	}
}

func TestTemplates(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	acc, err := p.ImportPackage(context.Background(), "systemTemplates", hosttest.Package(t, sample.OVA(t)), &cimi.Action{})
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	template := get[*cimi.SystemTemplate](t, p, acc.Location)
	if template.Name != "appliance" || len(template.ComponentDescriptors) < 4 {
		t.Errorf("template %q has %d descriptors", template.Name, len(template.ComponentDescriptors))
	}
	// Its package is kept, so that Systems made from it have their content.
	create := &cimi.SystemCreate{SystemTemplate: cimi.RefTo[cimi.SystemTemplate](acc.Location)}
	create.Name = "from-template"
	if acc, err = p.Create(context.Background(), "systems", create); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	imported := succeeded(t, p, sample, nil)
	if got, want := digests(t, p, acc.Location), digests(t, p, imported); !slices.Equal(got, want) {
		t.Errorf("disks of a System from the template: %v, imported: %v", got, want)
	}
	if m := list(t, p, "machineTemplates"); len(m) != 2 || cimi.HrefOf(m[0].(*cimi.MachineTemplate).MachineConfig) == "" {
		t.Errorf("%d MachineTemplates, want one for each machine, with its MachineConfiguration (Annex A)", len(m))
	}
	// One of our own, with a blank disk, is a System.
	machine := &cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(3), Memory: cimi.Int(2048)}),
		VolumeTemplates: []cimi.TemplateVolumeTemplate{{VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1000)})})}}}
	own := &cimi.SystemTemplate{ComponentDescriptors: []cimi.ComponentDescriptor{{Name: "worker", Type: cimi.TypeURI("Machine"), MachineTemplate: cimi.RefBy(machine)}}}
	own.Name = "native"
	stored, err := p.Create(context.Background(), "systemTemplates", own)
	if err != nil {
		t.Fatal(err)
	}
	create.SystemTemplate, create.Name = cimi.RefTo[cimi.SystemTemplate](stored.Location), "made"
	if acc, err = p.Create(context.Background(), "systems", create); err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	if m := list(t, p, acc.Location+"/machines")[0].(*cimi.Machine); *m.CPU != 3 || *m.Memory != 2048 {
		t.Errorf("machine is %+v", m)
	}
	if v := list(t, p, acc.Location+"/volumes"); len(v) != 1 || *v[0].(*cimi.Volume).Capacity != 1000 {
		t.Errorf("%d volumes, capacity %d", len(v), *v[0].(*cimi.Volume).Capacity)
	}
	if s := get[*cimi.System](t, p, acc.Location); s.Name != "made" {
		t.Errorf("System is called %q", s.Name)
	}
	export(t, p, acc.Location)
}

// digests are the content digests of a System's volumes, sorted.
func digests(t testing.TB, p cimi.Provider, system string) []string {
	var out []string
	for _, v := range list(t, p, system+"/volumes") {
		out = append(out, fmt.Sprint(v.Base().ExtraValue(cimi.ContentDigest)))
	}
	slices.Sort(out)
	return out
}

// TestDied: what ran when the process died is FAILED afterwards. The state is
// copied while the Job runs, as kill -9 would leave it.
func TestDied(t *testing.T) {
	dir, after := t.TempDir(), t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	off, size := sample.File(t, "disk2.vmdk")
	srv, reached := hung(sample.OVA(t), off+size/2)
	defer srv.Close()
	acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	for _, name := range []string{"cimi.db", "cimi.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(after, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil { // ends the request that the server waits for
		t.Error(err)
	}
	q := open(t, after, provider.Options{})
	j := get[*cimi.Job](t, q, acc.Job)
	if j.State != cimi.JobFailed || *j.ReturnCode != 10007 || *j.Progress != 100 || len(j.AffectedResources) != 1 {
		t.Errorf("%s %d %s", j.State, *j.ReturnCode, j.StatusMessage)
	}
}
