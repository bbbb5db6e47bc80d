package runbook

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const whole = `version: 1
include: [site.yaml]
vars: {env: prod}
windows:
  night: {days: [fri, sat], from: "22:00", to: "06:00", zone: Europe/Berlin}
defaults:
  source: old
  destination: new
  name: "{{.System | lower}}-${env}"
  net: {"*": vlan7}
  prop:
    admin-password: {env: ADMIN_PASSWORD}
waves:
  - name: db
    window: night
    limits: {systems: 1}
    onFailure: stop-wave
    defaults: {cutover: {stop: graceful, deadline: 10m, source: stop}}
    systems:
      - {system: DB-1, net: {lan: prod}}
      - {system: DB-2, after: [DB-1]}
  - name: app
    systems:
      - select: {filter: "state='STOPPED'", name: "app-*", tag: {tier: web}, exclude: ["*-old"]}
      - select: {csv: more.csv}
systems:
  - {system: loner, name: kept, retries: {count: 5, wait: 1s}}
limits: {systems: 8, disks: 12, bandwidth: 100MiB}
retries: {count: 2, wait: 30s}
onFailure: continue
hooks:
  - {on: before quiesce, run: [./freeze, --now], timeout: 30s}
notify:
  - {url: "https://chat.example/hook", on: [failed, finished], secret: {file: /run/secret}}
`

const site = `version: 1
vars: {env: test, gate: gw-1}
endpoints:
  old: {url: "https://old.example/${env}/cloudEntryPoint", limits: {systems: 2, bandwidth: 50MiB}}
  new: {url: "@new"}
hooks:
  - {on: after verify, url: "https://${gate}.example/done", onFailure: continue}
`

const list = `system,name,net.lan,prop.role
csv-1,,dmz,front
csv-2,zwei,,
`

func writeWhole(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"night.yaml": whole, "site.yaml": site, "more.csv": list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "night.yaml")
}

func TestWhole(t *testing.T) {
	rb, err := Load(writeWhole(t), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := rb.EndpointURL("old"); got != "https://old.example/prod/cloudEntryPoint" {
		t.Errorf("the including file's variable does not win: %s", got)
	}
	if len(rb.Waves) != 2 || rb.Waves[1].After[0] != "db" || rb.Waves[0].OnFailure != StopWave || rb.Waves[1].OnFailure != Continue {
		t.Errorf("waves %+v", rb.Waves)
	}
	db := rb.Items[0]
	if db.Name != "db-1-prod" || db.Net["*"] != "vlan7" || db.Net["lan"] != "prod" || db.Wave != "db" ||
		time.Duration(db.Cutover.Deadline) != 10*time.Minute || db.Retries.Count != 2 || len(db.Hooks) != 2 || db.Hooks[0].URL != "https://gw-1.example/done" {
		t.Errorf("%+v", db)
	}
	if db.Properties["admin-password"].Env != "ADMIN_PASSWORD" {
		t.Errorf("%+v", db.Properties)
	}
	list := func(_ context.Context, source, filter string) ([]Found, error) {
		if source != "old" || filter != "state='STOPPED'" {
			t.Errorf("asked %s for %q", source, filter)
		}
		web := map[string]string{"tier": "web"}
		return []Found{{"s/1", "app-1", web}, {"s/2", "app-2", nil}, {"s/3", "app-3-old", web}, {"s/4", "other", web},
			{"s/5", "app-5", web}, {"s/6", "app-5", web}}, nil
	}
	if err := rb.Expand(t.Context(), list, nil); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range rb.Items {
		names = append(names, i.System+" "+i.Name+" "+i.Wave)
	}
	want := []string{"DB-1 db-1-prod db", "DB-2 db-2-prod db", "app-1 app-1-prod app", "s/5 app-5-prod app", "s/6 app-5-prod app",
		"csv-1 csv-1-prod app", "csv-2 zwei app", "loner kept "}
	if !slices.Equal(names, want) {
		t.Errorf("items\n%q, want\n%q", names, want)
	}
	if i := rb.Items[5]; i.Net["lan"] != "dmz" || i.Net["*"] != "vlan7" || i.Properties["role"].Text != "front" {
		t.Errorf("%+v", i)
	}
	if rb.Items[6].Net["lan"] != "" {
		t.Errorf("rows share their maps: %+v", rb.Items[6].Net)
	}
	if rb.Items[7].Retries.Count != 5 {
		t.Errorf("%+v", rb.Items[7].Retries)
	}
	// The journal keeps it as JSON.
	b, err := json.Marshal(rb)
	if err != nil {
		t.Fatal(err)
	}
	var kept Runbook
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rb, &kept, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); d != "" {
		t.Error(d)
	}
	rb, err = Load(writeWhole(t), LoadOptions{Vars: map[string]string{"env": "lab"}})
	if err != nil || !strings.Contains(rb.EndpointURL("old"), "/lab/") {
		t.Errorf("%s: %v", rb.EndpointURL("old"), err)
	}
}

func TestIncludeItself(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": "version: 1\ninclude: [b.yaml]\n", "b.yaml": "version: 1\ninclude: [a.yaml]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(filepath.Join(dir, "a.yaml"), LoadOptions{}); err == nil || !strings.Contains(err.Error(), "includes itself") {
		t.Error(err)
	}
}

// TestSchema: what we read is valid by the schema we publish, and a slip is not.
func TestSchema(t *testing.T) {
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text string) error {
		j, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(j, &v); err != nil {
			t.Fatal(err)
		}
		return s.Validate(v)
	}
	for _, good := range []string{whole, site, least} {
		if err := valid(good); err != nil {
			t.Errorf("%v", err)
		}
	}
	for _, slip := range [][2]string{{"verify: full", "verify: most"}, {"limits: {systems: 4}", "limits: {system: 4}"}, {"version: 1", "version: 7"}, {"net: {lan: prod}", "net: [lan]"}} {
		if valid(strings.Replace(least, slip[0], slip[1], 1)) == nil {
			t.Errorf("the schema takes %s", slip[1])
		}
	}
}

func TestWindow(t *testing.T) {
	berlin := WindowForm{Days: []string{"sat"}, From: "22:00", To: "06:00", Zone: "Europe/Berlin"}
	w, err := berlin.window()
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		now  string
		open bool
		then string // when it closes, or opens next
	}{
		{"2026-11-28T20:59:59Z", false, "2026-11-28T21:00:00Z"}, // Saturday 21:59:59 in Berlin
		{"2026-11-28T21:00:00Z", true, "2026-11-29T05:00:00Z"},
		{"2026-11-29T04:59:59Z", true, "2026-11-29T05:00:00Z"}, // Sunday morning belongs to Saturday's
		{"2026-11-29T05:00:00Z", false, "2026-12-05T21:00:00Z"},
		{"2026-11-28T04:00:00Z", false, "2026-11-28T21:00:00Z"}, // Friday's does not open
		// The clock goes back on 2026-10-25: the night has an hour more.
		{"2026-10-25T04:30:00Z", true, "2026-10-25T05:00:00Z"},
		{"2026-10-24T19:59:00Z", false, "2026-10-24T20:00:00Z"},
	} {
		until, open := w.Open(at(c.now))
		if open != c.open {
			t.Errorf("%s: open %v", c.now, open)
			continue
		}
		if !open {
			until = w.Next(at(c.now))
		}
		if !until.Equal(at(c.then)) {
			t.Errorf("%s: then %s, want %s", c.now, until.UTC(), c.then)
		}
	}
	all, _ := WindowForm{From: "00:00", To: "24:00"}.window()
	if _, open := all.Open(time.Now()); !open {
		t.Error("a window of all day is shut")
	}
	if open, _, _, _ := OpenAt(nil, time.Now()); !open {
		t.Error("no window is no bound")
	}
	open, _, until, next := OpenAt([]Window{w, all}, at("2026-11-28T23:30:00Z"))
	if !open || !until.IsZero() || !next.Equal(at("2026-11-29T00:00:00Z")) {
		t.Errorf("%v %v %v", open, until, next)
	}
	saturday, _ := WindowForm{Days: []string{"sat"}, From: "00:00", To: "24:00"}.window()
	if open, _, until, _ := OpenAt([]Window{w, saturday}, at("2026-11-28T23:30:00Z")); !open || !until.Equal(at("2026-11-29T05:00:00Z")) {
		t.Errorf("%v %v", open, until)
	}
}

func TestValue(t *testing.T) {
	t.Setenv("RUNBOOK_TEST_VALUE", "from env")
	file := filepath.Join(t.TempDir(), "v")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"plain": "plain", "12": "12", "{env: RUNBOOK_TEST_VALUE}": "from env", "{file: " + file + "}": "from file", "{exec: [echo, from exec]}": "from exec",
	} {
		var v Value
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := v.Resolve(t.Context()); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"{}", "{env: A, file: b}", "[a]", "{enf: A}"} {
		var v Value
		if err := yaml.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := os.Stat("/dev/zero"); err == nil {
		if _, err := (Value{File: "/dev/zero"}).Resolve(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Error(err)
		}
	}
	if _, err := (Value{Env: "RUNBOOK_TEST_UNSET"}).Resolve(t.Context()); err == nil || !strings.Contains(err.Error(), "RUNBOOK_TEST_UNSET") {
		t.Error(err)
	}
}

// TestReadmeRunbook: the runbook that the README shows is one.
func TestReadmeRunbook(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```yaml\n")
	text, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("the README shows no runbook")
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"night.yaml": text, "more.csv": list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rb, err := Load(filepath.Join(dir, "night.yaml"), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rb.Items) != 5 || len(rb.Windows) != 1 || rb.Items[0].Cutover.Source != "stop" {
		t.Errorf("%+v", rb)
	}
}
