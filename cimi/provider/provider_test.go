package provider_test

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func openHost(t testing.TB, dir string) *local.Host {
	t.Helper()
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func open(t testing.TB, dir string, opts provider.Options) *provider.Provider {
	t.Helper()
	opts.Database = filepath.Join(dir, "cimi.db")
	if opts.AllowSources == nil {
		opts.AllowSources = loopback
	}
	p, err := provider.New(context.Background(), openHost(t, dir), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// openWith opens a cloud with a database of its own.
func openWith(t testing.TB, dir, database string) *provider.Provider {
	t.Helper()
	p, err := provider.New(context.Background(), openHost(t, dir), provider.Options{Database: database})
	if err != nil {
		t.Fatal(err)
	}
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
