// Package conformance holds the real Provider to the letter of DSP0263: every
// "shall" of clauses 4 and 5 that binds a provider has a row in
// ../testdata/conformance.tsv and a test, which speaks plain HTTP.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/providertest/wire"
	"github.com/cimimove/cimimove/cimi/server"
)

const ns = "http://schemas.dmtf.org/cimi/2/"

// cloud is the embedded cloud behind its server, on a host that plays at
// running machines.
type cloud struct {
	*wire.Cloud
	host *player
}

func open(t *testing.T, o server.Options) *cloud {
	t.Helper()
	dir := t.TempDir()
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	pl := &player{Host: h, held: map[string]chan struct{}{}, broken: map[string]bool{}, states: map[string]host.PowerState{}}
	p, err := provider.New(context.Background(), pl, provider.Options{Database: dir + "/cimi.db", AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(func() { srv.Close(); p.Close() })
	return &cloud{&wire.Cloud{T: t, URL: srv.URL}, pl}
}

// player is a local host whose machines run in its memory alone. What it does
// can be held up, so that the states on the way are seen, and can be made to fail.
type player struct {
	*local.Host

	mu     sync.Mutex
	held   map[string]chan struct{} // by operation
	broken map[string]bool          // machines that do no more as they are told; "*" is all

	states  map[string]host.PowerState
	changes int64
}

// hold makes the next operations of a name wait for release.
func (p *player) hold(op string) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := make(chan struct{})
	p.held[op] = ch
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.held, op)
		close(ch)
	})
}

func (p *player) pass(ctx context.Context, op string) error {
	p.mu.Lock()
	ch := p.held[op]
	p.mu.Unlock()
	if ch == nil {
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *player) breakDown(machine string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken[machine] = true
}

func (p *player) set(ctx context.Context, op, machine string, state host.PowerState) error {
	if err := p.pass(ctx, op); err != nil {
		return err
	}
	p.mu.Lock()
	broken := p.broken[machine] || p.broken["*"]
	p.mu.Unlock()
	if broken {
		return errors.New("the machine does not do as it is told")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[machine] = state
	p.changes++
	return nil
}

// Version, Changed, Systems and System tell of the states besides.
func (p *player) Version() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Host.Version() + p.changes
}

func (p *player) Changed(context.Context, int64) (made []*host.System, gone []string, now int64, ok bool, err error) {
	return nil, nil, 0, false, nil // read all anew
}

func (p *player) told(s *host.System) *host.System {
	p.mu.Lock()
	defer p.mu.Unlock()
	for m := range s.AllMachines() {
		if state, ok := p.states[m.ID]; ok {
			m.State = state
		}
	}
	return s
}

func (p *player) Systems(ctx context.Context) iter.Seq2[*host.System, error] {
	return func(yield func(*host.System, error) bool) {
		for s, err := range p.Host.Systems(ctx) {
			if err == nil {
				s = p.told(s)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func (p *player) System(ctx context.Context, id string) (*host.System, error) {
	s, err := p.Host.System(ctx, id)
	if err == nil {
		s = p.told(s)
	}
	return s, err
}

func (p *player) Start(ctx context.Context, m string) error {
	return p.set(ctx, "start", m, host.Started)
}
func (p *player) Stop(ctx context.Context, m string, force bool) error {
	return p.set(ctx, "stop", m, host.Stopped)
}
func (p *player) Pause(ctx context.Context, m string) error {
	return p.set(ctx, "pause", m, host.Paused)
}
func (p *player) Suspend(ctx context.Context, m string) error {
	return p.set(ctx, "suspend", m, host.Suspended)
}

func (p *player) Make(ctx context.Context, s *host.System, fill host.Fill) error {
	if err := p.pass(ctx, "make"); err != nil {
		return err
	}
	return p.Host.Make(ctx, s, fill)
}

func (p *player) Alter(ctx context.Context, id string, disks []*host.Disk, fill host.Fill, change func(*host.System) error) (*host.System, error) {
	if err := p.pass(ctx, "alter"); err != nil {
		return nil, err
	}
	return p.Host.Alter(ctx, id, disks, fill, change)
}

func (p *player) Delete(ctx context.Context, id string) error {
	if err := p.pass(ctx, "delete"); err != nil {
		return err
	}
	return p.Host.Delete(ctx, id)
}

var (
	_ host.Power     = (*player)(nil)
	_ host.Pauser    = (*player)(nil)
	_ host.Suspender = (*player)(nil)
	_ host.Maker     = (*player)(nil)
)

// body is a JSON body of a type.
func body(typeName, attributes string) string {
	if attributes != "" {
		attributes = "," + attributes
	}
	return `{"resourceURI":"` + ns + typeName + `"` + attributes + `}`
}

// object is the JSON of an answer.
type object map[string]any

func (c *cloud) get(path string, headers ...string) object {
	c.Helper()
	r := c.Do("GET", path, "", headers...)
	c.Want(r, 200)
	return c.parse(r)
}

func (c *cloud) parse(r wire.Reply) object {
	c.Helper()
	var o object
	if err := json.Unmarshal([]byte(r.Text), &o); err != nil {
		c.Fatalf("%v in %s", err, r.Text)
	}
	return o
}

// s is a value as text, "" where there is none; path leads into objects.
func (o object) s(path ...string) string {
	var v any = map[string]any(o)
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (o object) href(name string) string { return o.s(name, "href") }

// list is an array of objects.
func (o object) list(name string) []object {
	var out []object
	items, _ := o[name].([]any)
	for _, x := range items {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// items are the entries of a collection.
func (c *cloud) items(collection string) []object {
	c.Helper()
	o := c.get(collection)
	for name := range o {
		if name == "operations" {
			continue
		}
		if _, ok := o[name].([]any); ok {
			return o.list(name)
		}
	}
	return nil
}

func (c *cloud) ids(collection string) []string {
	c.Helper()
	var out []string
	for _, o := range c.items(collection) {
		out = append(out, o.s("id"))
	}
	return out
}

func (c *cloud) has(collection, id string) bool {
	c.Helper()
	return slices.Contains(c.ids(collection), id)
}

// operation is the href of an operation that a resource offers, by the last
// word of its rel; "" where it does not.
func (o object) operation(rel string) string {
	for _, x := range o.list("operations") {
		if r := x.s("rel"); r == rel || strings.HasSuffix(r, "/action/"+rel) {
			return x.s("href")
		}
	}
	return ""
}

// job waits for the Job that an answer names, and gives it.
func (c *cloud) job(r wire.Reply) object {
	c.Helper()
	uri := r.Header.Get("CIMI-Job-URI")
	if !strings.HasPrefix(uri, c.URL+"/") {
		c.Fatalf("%s %s: %d, CIMI-Job-URI %q: %s", r.Request.Method, r.Request.URL, r.StatusCode, uri, r.Text)
	}
	for range 2000 {
		j := c.get(uri)
		switch j.s("state") {
		case "SUCCESS", "FAILED", "STOPPED":
			return j
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.Fatalf("%s does not end", uri)
	return nil
}

// done wants a change to be taken and to succeed, and gives what the answer holds.
func (c *cloud) done(r wire.Reply) wire.Reply {
	c.Helper()
	if r.StatusCode/100 != 2 {
		c.Fatalf("%s %s: %d %s", r.Request.Method, r.Request.URL, r.StatusCode, r.Text)
	}
	if j := c.job(r); j.s("state") != "SUCCESS" {
		c.Fatalf("%s %s: %s %s", r.Request.Method, r.Request.URL, j.s("state"), j.s("statusMessage"))
	}
	return r
}

// add creates a resource and gives its URI.
func (c *cloud) add(collection, typeName, attributes string) string {
	c.Helper()
	r := c.done(c.Do("POST", collection, body(typeName, attributes)))
	if r.Header.Get("Location") == "" {
		c.Fatalf("%s: no Location: %s", collection, r.Text)
	}
	return r.Header.Get("Location")
}

// act runs an operation that the resource must offer.
func (c *cloud) act(id, action, attributes string) wire.Reply {
	c.Helper()
	href := c.get(id).operation(action)
	if href == "" {
		c.Fatalf("%s does not offer %s", id, action)
	}
	return c.Do("POST", href, body("Action", joined(`"action":"`+ns+`action/`+action+`"`, attributes)))
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ",")
}

func (c *cloud) delete(id string) {
	c.Helper()
	c.done(c.Do("DELETE", id, ""))
}

// config makes a MachineConfiguration and gives its id.
func (c *cloud) config(attributes string) string {
	c.Helper()
	return c.add("/machineConfigs", "MachineConfiguration", attributes)
}

// machine makes a Machine with a disk; template adds to its template.
func (c *cloud) machine(template ...string) string {
	c.Helper()
	return c.add("/machines", "MachineCreate", `"name":"m","machineTemplate":{`+joined(append([]string{`"machineConfig":{"cpu":1,"memory":1024,"disks":[{"capacity":7}]}`}, template...)...)+`}`)
}

func (c *cloud) volume() string {
	c.Helper()
	return c.add("/volumes", "VolumeCreate", `"name":"v","volumeTemplate":{"volumeConfig":{"capacity":9}}`)
}

func (c *cloud) network(template ...string) string {
	c.Helper()
	return c.add("/networks", "NetworkCreate", `"name":"n","networkTemplate":{`+joined(template...)+`}`)
}

// system makes a System of components given as descriptors.
func (c *cloud) system(components ...string) string {
	c.Helper()
	return c.add("/systems", "SystemCreate", `"name":"s","systemTemplate":{"componentDescriptors":[`+strings.Join(components, ",")+`]}`)
}

const oneMachine = `{"name":"vm","type":"` + ns + `Machine","machineTemplate":{"machineConfig":{"cpu":1}}}`

// state waits until a resource is in a state.
func (c *cloud) state(id, want string) {
	c.Helper()
	got := ""
	for range 1000 {
		if r := c.Do("GET", id, ""); r.StatusCode == 200 {
			if got = c.parse(r).s("state"); got == want {
				return
			}
		} else if want == "" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.Fatalf("%s is %s, want %s", id, got, want)
}

// meanwhile sends a request that is held up, and gives what waits for its end.
func (c *cloud) meanwhile(send func() wire.Reply) (wait func() wire.Reply) {
	out := make(chan wire.Reply, 1)
	go func() { out <- send() }()
	return func() wire.Reply { return <-out }
}

func escape(s string) string {
	return strings.NewReplacer(" ", "%20", "<", "%3C", ">", "%3E", `"`, "%22", "+", "%2B").Replace(s)
}
