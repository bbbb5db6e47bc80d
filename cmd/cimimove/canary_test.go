package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// look is a hook that writes down what others on the machine could see while a
// migration runs: its own environment, and the arguments of every process.
const look = `cat >> seen/plan; env >> seen/environment; for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline >> seen/processes 2>/dev/null; echo >> seen/processes; done; true`

// canaries are the secrets of one migration, each in its place.
var canaries = map[string]string{
	"password":  "canary-password",
	"token":     "canary-token",
	"property":  "canary-property",
	"webhook":   "canary-webhook",
	"signing":   "canary-signing-key",
	"header":    "canary-header",
	"store key": s3test.SecretKey,
	"session":   "canary-session",
	"queue":     "canary-queue",
}

// TestAC38Canaries: a secret in every credential, property, webhook and header
// is in no output, no file of the state, no report, no process list and no
// environment of a hook, on each way and whether it ends well or not.
func TestAC38Canaries(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	store := s3test.New("depot")
	t.Cleanup(store.Close)
	env := []string{"CIMIMOVE_SOURCE_USER=alice", "CIMIMOVE_SOURCE_PASSWORD=" + canaries["password"], "CIMIMOVE_DESTINATION_TOKEN=" + canaries["token"],
		"AWS_SESSION_TOKEN=" + canaries["session"], "PGPASSWORD=" + canaries["queue"], "HTTP_PROXY="}
	for k, v := range store.Environment() {
		if v != "" {
			env = append(env, k+"="+v)
		}
	}
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", canaries["header"])
		http.Error(w, "no such webhook", http.StatusNotFound)
	}))
	t.Cleanup(webhook.Close)
	for name, text := range map[string]string{
		"users":       "alice:administrator:" + canaries["password"],
		"value":       canaries["property"],
		"signing":     canaries["signing"],
		"values":      "org.example.shop.secret=" + canaries["property"],
		"hooks.yaml":  "hooks: [{on: before transfer, run: [sh, -c, " + `"` + strings.ReplaceAll(strings.ReplaceAll(look, `\`, `\\`), `"`, `\"`) + `"` + "]}, {on: after verify, url: '" + webhook.URL + "/" + canaries["webhook"] + "', onFailure: continue}]",
		"closed.yaml": "hooks: [{on: before transfer, url: 'http://127.0.0.1:1/" + canaries["webhook"] + "'}]",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "seen"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := newTestPackage("testdata/descriptor", "from=shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(filepath.Join(dir, "shop.ova")); err != nil {
		t.Fatal(err)
	}

	var said bytes.Buffer
	command := func(code int, args ...string) {
		t.Helper()
		began := time.Now()
		c := startWith(t, dir, env, append(args, "--log-level", "debug", "--progress", "json")...)
		c.Wait()
		if got := c.ProcessState.ExitCode(); got != code {
			t.Fatalf("cimimove %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, c.out.String(), c.diagnostics.String())
		}
		said.Write(c.out.Bytes())
		said.Write(c.diagnostics.Bytes())
		t.Logf("%s: %s", time.Since(began).Round(time.Millisecond), strings.Join(args, " "))
	}
	command(0, "import", "shop.ova", "local:from", "--accept-eulas", "--props", "values")
	from, a := serving(t, dir, "from", "--users", "users", "--log-level", "debug")
	to, b := serving(t, dir, "to", "--log-level", "debug")
	east, west := newVendor(t, from), newVendor(t, to)
	for _, way := range []string{"relay", "direct", "resources", "folder", "s3://depot/waits"} {
		args := []string{"migrate", east.entry, "shop", west.entry, "--name", "shop " + filepath.Base(way), "--hooks", "hooks.yaml", "--accept-eulas", "--report", filepath.Base(way) + ".json", "-o", "json"}
		switch way {
		case "relay", "direct":
			args = append(args, "--via", way, "--props", "values")
		case "resources":
			args = append(args, "--via", way)
		default:
			args = append(args, "--stage", way, "--props", "values")
		}
		command(0, args...)
	}
	command(0, "plan", east.entry, "shop", west.entry, "--name", "planned", "--props", "values", "--save", "plan.json")
	command(1, "migrate", east.entry, "shop", west.entry, "--name", "four", "--hooks", "closed.yaml", "--via", "relay", "--report", "four.json", "--props", "values")
	command(0, "status", "-o", "json")

	runbook := fmt.Sprintf(`version: 1
endpoints: {old: {url: %q}, new: {url: %q}}
defaults: {source: old, destination: new, via: relay}
systems: [{system: shop, name: literal, prop: {org.example.shop.secret: %s}, hooks: [{on: after verify, url: %q, onFailure: continue}]},
  {system: shop, name: referred, prop: {org.example.shop.secret: {file: value}}}, {system: nothing}]
notify: [{url: %q, secret: {file: signing}}, {url: "http://127.0.0.1:1/%[6]s"}]
`, east.entry, west.entry, canaries["property"], webhook.URL+"/"+canaries["webhook"], webhook.URL+"/"+canaries["webhook"], canaries["webhook"])
	if err := os.WriteFile(filepath.Join(dir, "night.yaml"), []byte(runbook), 0o600); err != nil {
		t.Fatal(err)
	}
	command(9, "run", "night.yaml", "--accept-eulas", "--report", "night.html", "-o", "json")
	command(0, "status", "-o", "json")

	for _, s := range []*process{a, b} {
		s.Process.Kill()
		s.Wait()
		said.Write(s.diagnostics.Bytes())
	}
	secrets := maps.Clone(canaries)
	for i, token := range west.tokens() {
		secrets[fmt.Sprintf("token %d of the relay", i)] = token
	}
	if len(secrets) < len(canaries)+3 {
		t.Errorf("the destination was given %d URLs with tokens only", len(secrets)-len(canaries))
	}
	searched := 0
	check := func(where string, text []byte) {
		searched++
		for what, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				i := bytes.Index(text, []byte(secret))
				t.Errorf("the %s is in %s: …%q", what, where, text[max(0, i-200):i])
			}
		}
	}
	check("what the commands and servers said", said.Bytes())
	given := map[string]bool{"users": true, "value": true, "signing": true, "values": true, "hooks.yaml": true, "closed.yaml": true, "night.yaml": true}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		// The clouds hold the values that their guests are to be given.
		if top, _, _ := strings.Cut(name, string(filepath.Separator)); given[name] || top == "from" || top == "to" {
			return err
		}
		text, err := os.ReadFile(path)
		check(name, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d secrets, %d places", len(secrets), searched)
	// The looking itself is looked at.
	for name, there := range map[string]string{"seen/environment": "CIMIMOVE_RUN=", "seen/plan": `"hook":"before transfer"`, "seen/processes": "migrate"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(text, []byte(there)) {
			t.Errorf("%s does not hold %s (%v)", name, there, err)
		}
	}
}

// vendor stands before a cloud and adds to its answers what a vendor's gateway
// adds, some of them refused for now; and it remembers where the cloud is told
// to fetch from.
type vendor struct {
	entry string
	mu    sync.Mutex
	seen  []string
}

// relayed finds the secret part of a relay's URL.
var relayed = regexp.MustCompile(`http://127\.0\.0\.1:\d+/([0-9a-f]{40})/`)

func newVendor(t *testing.T, entry string) *vendor {
	t.Helper()
	to, err := url.Parse(entry)
	if err != nil {
		t.Fatal(err)
	}
	v := &vendor{}
	back := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
		r.Out.Host = r.In.Host
	}}
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Set-Cookie", "X-Vendor-Token", "X-Subject-Token", "WWW-Authenticate"} {
			w.Header().Add(name, "session="+canaries["header"])
		}
		v.mu.Lock()
		requests++
		busy := requests%60 == 0 && r.Method == http.MethodGet
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			for _, m := range relayed.FindAllSubmatch(body, -1) {
				v.seen = append(v.seen, string(m[1]))
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		v.mu.Unlock()
		if busy {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		back.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	v.entry = s.URL + to.Path
	return v
}

func (v *vendor) tokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}
