package cimi

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestUpdate(t *testing.T) {
	base := func() *Machine {
		m := sampleMachine()
		m.Description = "old"
		m.Operations = []Operation{{Rel: "edit", Href: "m/1"}}
		return m
	}
	onlyProperties := func(n string) bool { return n == "weight" }
	for _, c := range []struct {
		name   string
		src    string
		names  []string
		change func(*Machine)
		status int
	}{
		{"whole: absent ones go, read-only ones stay", `{"name":"new","cpu":2,"state":"ERROR","created":"2001-01-01T00:00:00Z","id":"x","ovfId":"y","weight":9}`, nil,
			func(m *Machine) {
				m.Name, m.Description, m.CPU, m.Memory, m.Properties = "new", "", Int(2), nil, nil
				m.SetExtra("weight", 9)
			}, 0},
		{"part: only what is named", `{"name":"new"}`, []string{"name", "description"}, func(m *Machine) { m.Name, m.Description = "new", "" }, 0},
		{"part: an attribute that is not named", `{"name":"new","cpu":1}`, []string{"name"}, nil, 400},
		{"part: read-only", `{"state":"ERROR"}`, []string{"state"}, func(*Machine) {}, 0},
		{"part: an extension", `{"weight":1}`, []string{"weight"}, func(m *Machine) { m.SetExtra("weight", 1) }, 0},
		{"part: a read-only extension", `{"ovfId":"z"}`, []string{"ovfId"}, func(*Machine) {}, 0},
		{"part: an extension that is not named", `{"weight":1}`, []string{"name"}, nil, 400},
	} {
		src, err := DecodeJSONAs([]byte(c.src), "Machine")
		if err != nil {
			t.Fatal(err)
		}
		got := base()
		err = Update(got, src, c.names, onlyProperties)
		if StatusOf(err) != c.status {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.change == nil {
			continue
		}
		want := base()
		c.change(want)
		if d := cmp.Diff(want, got, append(cmpResources[:len(cmpResources):len(cmpResources)], cmpopts.IgnoreFields(Extra{}, "Namespace"))...); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if err := Update(base(), &Volume{}, nil, nil); StatusOf(err) != 400 {
		t.Errorf("a Volume in a Machine's place: %v", err)
	}
	cred := &Credential{UserName: "root", Password: "secret"}
	if err := Update(cred, &Credential{UserName: "admin"}, nil, nil); err != nil || cred.Password != "secret" || cred.UserName != "admin" {
		t.Errorf("a password that was never shown was lost: %+v, %v", cred, err)
	}
}

func TestPublic(t *testing.T) {
	m := &MachineTemplate{Common: Common{Erased: []string{"name"}}, Credential: RefBy(&Credential{UserName: "root", Password: "secret", Key: "k"})}
	Public(m)
	if c := m.Credential.Value; c.Password != "" || c.Key != "" || c.UserName != "root" || m.Erased != nil {
		t.Errorf("got %+v, %v", c, m.Erased)
	}
}

func TestMapURIs(t *testing.T) {
	a := &Action{Common: Common{ID: "a"}, Source: "http://else/where", Volume: RefTo[Volume]("v/1")}
	tmpl := &SystemTemplate{ImportImage: "p/1", ComponentDescriptors: []ComponentDescriptor{{
		MachineTemplate: &Ref[MachineTemplate]{Href: "t/1", Value: &MachineTemplate{Volumes: []TemplateVolume{{Volume: RefTo[Volume]("#disk")}}}}}}}
	c := NewCollection("c", "Machine", &Machine{Common: Common{ID: "m/1", Operations: []Operation{{Rel: ActionStart, Href: "m/1"}}}})
	for _, r := range []Resource{a, tmpl, c} {
		MapURIs(r, func(s string) string { return "http://h/" + s })
	}
	got := []string{a.ID, a.Source, a.Volume.Href, tmpl.ImportImage, tmpl.ComponentDescriptors[0].MachineTemplate.Href,
		tmpl.ComponentDescriptors[0].MachineTemplate.Value.Volumes[0].Volume.Href, c.ID, c.Items[0].Base().ID,
		c.Items[0].Base().Operations[0].Href, c.Items[0].Base().Operations[0].Rel}
	want := []string{"http://h/a", "http://else/where", "http://h/v/1", "http://h/p/1", "http://h/t/1", "#disk", "http://h/c", "http://h/m/1", "http://h/m/1", ActionStart}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExpand(t *testing.T) {
	targets := map[string]Resource{
		"m":   NewCollection("m", "Machine", &Machine{Common: Common{Name: "web"}}),
		"sys": &System{Common: Common{ID: "sys", Name: "app"}, State: StateStopped},
	}
	get := func(_ context.Context, href string) (Resource, error) {
		if r, ok := targets[href]; ok {
			return r, nil
		}
		return nil, Errorf(404, "none")
	}
	s := &System{Common: Common{Parent: RefTo[Unknown]("sys")}, Machines: RefTo[Collection]("m"), Volumes: RefTo[Collection]("gone")}
	if err := Expand(t.Context(), s, []string{"machines", "volumes", "none"}, get); err != nil {
		t.Fatal(err)
	}
	if s.Machines.Value == nil || s.Machines.Value.Items[0].Base().Name != "web" || s.Volumes.Value != nil || s.Parent.Value != nil {
		t.Errorf("got %+v", s)
	}
	if err := Expand(t.Context(), s, []string{"*"}, get); err != nil {
		t.Fatal(err)
	}
	if s.Parent.Value == nil || s.Parent.Value.Name != "app" || s.Parent.Value.ExtraString("state") != StateStopped || s.Parent.Value.Type != "System" {
		t.Errorf("parent %+v", s.Parent.Value)
	}
}

func TestOperation(t *testing.T) {
	c := &Common{Operations: []Operation{
		{Rel: ActionImport, Href: "i"}, {Rel: Namespace1 + "/action/delete", Href: "d"}, {Rel: ActionStop, Href: "s", Available: Bool(false)}}}
	for rel, want := range map[string]string{"import": "i", ActionImport: "i", "delete": "d", ActionStop: "", "edit": "", Namespace + "/action/delete": "d", "http://else/delete": ""} {
		got := ""
		if o := c.Operation(rel); o != nil {
			got = o.Href
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", rel, got, want)
		}
	}
}

// fakeGetter is a Provider that can only Get.
type fakeGetter struct {
	Provider
	get func(n int) (Resource, error)
	n   int
}

func (f *fakeGetter) Get(context.Context, string, ReadOptions) (Resource, error) {
	f.n++
	return f.get(f.n)
}

func TestWaitState(t *testing.T) {
	p := &fakeGetter{get: func(n int) (Resource, error) {
		return &System{State: []string{StateCreating, StateStarting, StateStarted}[n-1]}, nil
	}}
	opts := WaitOptions{MinPoll: time.Millisecond}
	if _, err := Wait(t.Context(), p, &Accepted{Location: "s/1"}, "", opts); err != nil || p.n != 3 {
		t.Errorf("%v after %d polls", err, p.n)
	}
	p = &fakeGetter{get: func(int) (Resource, error) { return &System{State: StateError}, nil }}
	if _, err := WaitState(t.Context(), p, "s/1", opts); StatusOf(err) != 500 || p.n != 1 {
		t.Errorf("ERROR: %v after %d polls", err, p.n)
	}
	p = &fakeGetter{get: func(int) (Resource, error) { return nil, &Error{Status: 502} }}
	if _, err := WaitJob(t.Context(), p, "j/1", WaitOptions{MinPoll: time.Millisecond, Retries: 2}); StatusOf(err) != 502 || p.n != 3 {
		t.Errorf("502: %v after %d polls", err, p.n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p = &fakeGetter{get: func(int) (Resource, error) { cancel(); return &Job{State: JobRunning}, nil }}
	if _, err := WaitJob(ctx, p, "j/1", opts); err == nil {
		t.Error("a cancelled wait goes on")
	}
}
