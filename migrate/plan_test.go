package migrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// configured is the sample with properties, a licence, EFI and a Windows guest
// on SATA and e1000.
func configured(t testing.TB, name string) *hosttest.Sample {
	t.Helper()
	s := hosttest.NewSample(t, name, 1)
	edit := func(old, new string) {
		if !bytes.Contains(s.Descriptor, []byte(old)) {
			t.Fatalf("%q is not in the descriptor", old)
		}
		s.Descriptor = bytes.Replace(s.Descriptor, []byte(old), []byte(new), 1)
	}
	edit(`<ovf:Info>Web server</ovf:Info>`, `<ovf:Info>Web server</ovf:Info>
      <ovf:ProductSection ovf:class="web"><ovf:Info>Settings</ovf:Info>
        <ovf:Property ovf:key="port" ovf:type="uint16" ovf:qualifiers="MinValue(1024)" ovf:userConfigurable="true" ovf:value="8080"/>
        <ovf:Property ovf:key="admin" ovf:type="string" ovf:qualifiers="MinLen(3) MaxLen(8)" ovf:userConfigurable="true"/>
        <ovf:Property ovf:key="build" ovf:type="string" ovf:value="7"/>
      </ovf:ProductSection>
      <ovf:EulaSection><ovf:Info>Licence</ovf:Info><ovf:License>Be kind.</ovf:License></ovf:EulaSection>
      <ovf:OperatingSystemSection ovf:id="103"><ovf:Info>Guest</ovf:Info><ovf:Description>Microsoft Windows Server 2008 R2</ovf:Description></ovf:OperatingSystemSection>`)
	web := bytes.Index(s.Descriptor, []byte("Web server"))
	head, tail := bytes.Clone(s.Descriptor[:web]), s.Descriptor[web:]
	tail = bytes.Replace(tail, []byte(`<rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType>`),
		[]byte(`<rasd:ResourceSubType>vmware.sata.ahci</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType>`), 1)
	tail = bytes.Replace(tail, []byte(`</ovf:VirtualHardwareSection>`), []byte(`<vmw:Config xmlns:vmw="http://www.vmware.com/schema/ovf" ovf:required="false" vmw:key="firmware" vmw:value="efi"/></ovf:VirtualHardwareSection>`), 1)
	s.Descriptor = append(head, tail...)
	return s
}

func finding(p *migrate.Plan, id, object string) *ovf.Finding {
	i := slices.IndexFunc(p.Findings, func(f ovf.Finding) bool { return f.ID == id && strings.Contains(f.Object, object) })
	if i < 0 {
		return nil
	}
	return &p.Findings[i]
}

// TestPlanProperties: unknown keys, values of the wrong type or outside of
// their qualifiers and properties that are fixed are refused before anything
// moves (AC-37).
func TestPlanProperties(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(configured(t, "shop"))
	for name, c := range map[string]struct{ key, value, rule string }{
		"sound":       {"web.port", "8081", ""},
		"of machine":  {"web/web.admin", "root", ""},
		"unknown":     {"web.nothing", "x", migrate.RuleProperty},
		"type":        {"web.port", "many", migrate.RulePropertyValue},
		"qualifier":   {"web.port", "80", migrate.RulePropertyValue},
		"too short":   {"web.admin", "me", migrate.RulePropertyValue},
		"not for you": {"web.build", "8", migrate.RulePropertyFixed},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.inProcess(), Destination: b.remote(), System: "shop", Properties: map[string]string{c.key: c.value}})
			if c.rule == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantClass(t, err, migrate.ClassRefused, migrate.PackageSide)
			if err == nil || !strings.Contains(err.Error(), c.rule) || finding(p, c.rule, c.key) == nil {
				t.Errorf("%v; findings %+v", err, p.Findings)
			}
			if doc, _ := json.Marshal(p); bytes.Contains(doc, []byte(`"`+c.value+`"`)) && len(c.value) > 2 {
				t.Errorf("the plan shows the value: %s", doc)
			}
		})
	}
}

// TestImportProperties: a package that is deployed for the first time must be
// given what it asks for (AC-37).
func TestImportProperties(t *testing.T) {
	t.Parallel()
	s, b := configured(t, "shop"), newCloud(t)
	_, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, s.OVA(t)), b.remote(), migrate.ImportOptions{})
	wantClass(t, err, migrate.ClassRefused, migrate.PackageSide)
	if err == nil || !strings.Contains(err.Error(), migrate.RulePropertyMissing) || len(b.systems()) != 0 {
		t.Errorf("%v; the cloud holds %v", err, b.systems())
	}
	if _, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, s.OVA(t)), b.remote(), migrate.ImportOptions{Properties: map[string]string{"web.admin": "root"}}); err != nil {
		t.Error(err)
	}
}

// TestPlanTells: what a plan says of a System: licences, firmware, devices
// that a guest has drivers for, and what it rests on.
func TestPlanTells(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(configured(t, "shop"))
	b.load(hosttest.NewSample(t, "other", 2)) // has the same MAC address
	p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.remote(), Destination: b.remote(), System: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	web := p.Machines[slices.IndexFunc(p.Machines, func(m migrate.PlannedMachine) bool { return m.OVFID == "web" })]
	if web.Firmware != "efi" || !slices.Contains(web.Controllers, "sata vmware.sata.ahci") || !slices.Contains(web.CardTypes, "E1000") || !strings.Contains(web.OS, "Windows") {
		t.Errorf("machine %+v", web)
	}
	if len(web.Cards) != 2 || web.Cards[0].MAC != "00:50:56:aa:bb:01" || web.Cards[0].Network == "" {
		t.Errorf("cards %+v", web.Cards)
	}
	if f := finding(p, migrate.RuleDriver, "web"); f == nil || f.Severity != ovf.Warning || !strings.Contains(f.Message, "driver risk") {
		t.Errorf("driver risk: %+v", f)
	}
	if f := finding(p, migrate.RuleMAC, "web"); f == nil || f.Severity != ovf.Warning {
		t.Errorf("a MAC address that is taken: %+v", f)
	}
	if finding(p, migrate.RuleFirmware, "web") == nil || finding(p, "MAP-EULA-001", "web") == nil || len(p.EULAs) != 1 || p.EULAs[0].Accepted {
		t.Errorf("EFI, licence: %+v, %+v", p.Findings, p.EULAs)
	}
	if len(p.Properties) != 3 || p.Space.Free <= 0 || p.Space.Capacity != p.Bytes || p.Resume.Granularity == "" || p.Estimate.Basis == "" {
		t.Errorf("properties %+v, space %+v, resume %+v, estimate %+v", p.Properties, p.Space, p.Resume, p.Estimate)
	}
	if q, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.remote(), Destination: b.remote(), System: "shop", MAC: "regenerate"}); err != nil || finding(q, migrate.RuleMAC, "") != nil {
		t.Errorf("new addresses collide: %v", err)
	}
	if _, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.remote(), Destination: b.remote(), System: "shop", Deny: []string{migrate.RuleMAC}}); migrate.ClassOf(err) != migrate.ClassRefused {
		t.Errorf("denied: %v", err)
	}
}

// TestDevicesKept: a guest without virtio finds the controllers and network
// cards that it had.
func TestDevicesKept(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(configured(t, "shop"))
	src, dst := a.inProcess(), b.remote()
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	x, err := migrate.ExportPackage(t.Context(), dst, rep.DestinationID)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	pkg, err := x.Package(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pkg.Close()
	for _, c := range []struct{ system, device string }{{"db", "lsilogic"}, {"db", "VmxNet3"}, {"web", "vmware.sata.ahci"}, {"web", "E1000"}} {
		s, ok := pkg.Envelope().ByID(c.system)
		h, _ := s.HardwareFor(nil)
		if !ok || !slices.ContainsFunc(h.EffectiveItems(""), func(it ovf.Item) bool { return it.ResourceSubType == c.device }) {
			t.Errorf("%s: %s is gone", c.system, c.device)
		}
	}
}

// recorder counts what changes a cloud.
type recorder struct {
	mu      sync.Mutex
	changes []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, what)
}

// watch records every request that is not a read.
func (r *recorder) watch(c *cloud) {
	inner := c.http.Config.Handler
	c.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			r.note(q.Method + " " + q.URL.Path)
		}
		inner.ServeHTTP(w, q)
	})
}

// recorded is a cloud in process whose changes are counted.
type recorded struct {
	kept
	r *recorder
}

func (p recorded) Create(ctx context.Context, c string, r cimi.Resource) (*cimi.Accepted, error) {
	p.r.note("create " + c)
	return p.kept.Create(ctx, c, r)
}

func (p recorded) Update(ctx context.Context, id string, r cimi.Resource, o cimi.UpdateOptions) (*cimi.Accepted, error) {
	p.r.note("update " + id)
	return p.kept.Update(ctx, id, r, o)
}

func (p recorded) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	p.r.note("delete " + id)
	return p.kept.Delete(ctx, id)
}

func (p recorded) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	p.r.note(a.Action + " " + id)
	return p.kept.Invoke(ctx, id, a)
}

func (p recorded) ImportPackage(ctx context.Context, c string, pkg ovf.Package, a *cimi.Action) (*cimi.Accepted, error) {
	p.r.note("import " + c)
	return p.kept.ImportPackage(ctx, c, pkg, a)
}

// TestPlanWritesNothing: planning changes neither cloud, in process or over
// HTTP, whatever is asked for (AC-35).
func TestPlanWritesNothing(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(configured(t, "shop"))
	b.load(hosttest.NewSample(t, "shop", 2))
	r := &recorder{}
	r.watch(a)
	r.watch(b)
	for _, ends := range [][2]migrate.Endpoint{
		{a.remote(), b.remote()},
		{{Name: "a", Provider: recorded{kept{a.p}, r}}, {Name: "b", Provider: recorded{kept{b.p}, r}}},
	} {
		for _, policy := range []migrate.IfExists{migrate.ExistsFail, migrate.ExistsReplace, migrate.ExistsRename} {
			p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: ends[0], Destination: ends[1], System: "shop", IfExists: policy, PowerOn: true, SourceAfter: migrate.SourceDelete})
			if p == nil || policy != migrate.ExistsFail && err != nil {
				t.Errorf("%s: %v", policy, err)
			}
		}
	}
	if len(r.changes) > 0 {
		t.Errorf("planning changed %v", r.changes)
	}
	// The recorder does record: the move itself changes the destination.
	src, dst := a.remote(), b.remote()
	if _, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Name: "other"}); err != nil || len(r.changes) == 0 {
		t.Errorf("a move recorded %v: %v", r.changes, err)
	}
}

// TestSavedPlan: a saved plan is carried out as long as the clouds are as they
// were, and refused when they are not.
func TestSavedPlan(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	id := a.load(configured(t, "shop"))
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	const secret = "s3cret"
	values := map[string]string{"web.admin": secret}
	p, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Properties: values, MAC: "regenerate"})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := p.Save(&file); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file.Bytes(), []byte(secret)) {
		t.Error("the saved plan holds the value of a property")
	}
	saved, err := migrate.LoadPlan("plan.json", bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Again(t.Context(), saved, src, dst, migrate.ResumeOptions{}); migrate.ClassOf(err) != migrate.ClassUsage {
		t.Errorf("without the property: %v", err)
	}
	again, err := e.Again(t.Context(), saved, src, dst, migrate.ResumeOptions{Properties: values})
	if err != nil || again.MAC != "regenerate" {
		t.Fatalf("nothing has changed: %v", err)
	}
	refused := func(why string) {
		t.Helper()
		_, err := e.Again(t.Context(), saved, src, dst, migrate.ResumeOptions{Properties: values})
		if migrate.ClassOf(err) != migrate.ClassRefused || !errors.Is(err, migrate.ErrWorldChanged) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	taken := b.load(hosttest.NewSample(t, "shop", 2))
	refused("Systems of that name")
	if _, err := b.p.Delete(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	for len(b.systems()) > 0 {
	}
	if again, err = e.Again(t.Context(), saved, src, dst, migrate.ResumeOptions{Properties: values}); err != nil {
		t.Fatalf("as it was: %v", err)
	}
	if rep, err := e.Start(t.Context(), again); err != nil || !rep.Verified {
		t.Fatalf("%+v: %v", rep, err)
	}
	b.clear()
	machines, err := a.p.List(t.Context(), id+"/machines", cimi.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := machines.Items[0].(*cimi.Machine)
	if _, err := a.p.Update(t.Context(), m.ID, &cimi.Machine{Memory: cimi.Int(1 << 20)}, cimi.UpdateOptions{Select: []string{"memory"}}); err != nil {
		t.Fatal(err)
	}
	refused("machine " + m.Name)
	for _, text := range []string{"", "{}", `{"version":9}`, "[1]", file.String()[:200]} {
		if _, err := migrate.LoadPlan("x", strings.NewReader(text)); migrate.ClassOf(err) != migrate.ClassUsage {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestEstimate: what earlier runs moved tells how long the next one takes.
func TestEstimate(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	p, err := e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if err != nil || p.Estimate.Seconds != 0 {
		t.Fatalf("nothing was measured: %+v: %v", p.Estimate, err)
	}
	if _, err := e.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p, err = e.Plan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: "second"})
	if err != nil || p.Estimate.BytesPerSecond <= 0 || p.Estimate.Seconds <= 0 || !strings.Contains(p.Estimate.Basis, "measured") {
		t.Errorf("%+v: %v", p.Estimate, err)
	}
}

// TestReportListsConfiguration: the report has both values of every attribute
// that was compared (AC-31).
func TestReportListsConfiguration(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	for mac, want := range map[string]string{"keep": "", "strip": "stripped", "regenerate": "regenerated"} {
		rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, MAC: mac, IfExists: migrate.ExistsRename})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]migrate.Comparison{}
		for _, c := range rep.Configuration {
			if !c.Equal {
				t.Errorf("%+v", c)
			}
			seen[c.Attribute] = c
		}
		for _, attribute := range []string{"cpu", "memory (KiB)", "disks", "number of network interfaces", "network", "MAC address", "capacity (kB)", "start order", "state", "name"} {
			if _, ok := seen[attribute]; !ok {
				t.Errorf("%s: %s is not compared", mac, attribute)
			}
		}
		if c := seen["MAC address"]; c.Source != "00:50:56:aa:bb:01" || c.Note != want || (c.Destination == c.Source) != (mac == "keep") {
			t.Errorf("%s: %+v", mac, c)
		}
	}
}
