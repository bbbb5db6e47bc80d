package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestMain lets scripts and tests start this test's binary as cimimove.
func TestMain(m *testing.M) {
	// They mostly wait: more of them at a time than there are processors, where
	// -parallel does not say.
	flag.Set("test.parallel", "8")
	testscript.Main(m, map[string]func(){"cimimove": main})
}

// TestScripts runs testdata/script: each file is the specification of one
// behaviour. Besides what testscript knows there are
//
//	package OUT [option…]   a package (testPackage says which options there are)
//	disk OUT SIZE           a raw disk of that many bytes, half noise, half zeros
//	serve NAME DIR [arg…]   serves local:DIR on a free port; $NAME is its URL
//	webserver NAME DIR      serves the files of a folder over HTTP; $NAME is its URL
//	brokenserver NAME FILE stall|drop
//	                        serves half of a file, and is silent or gone then
//	bare NAME DIR [nosystems] [1.x]   serves local:DIR as a cloud without packages, or without Systems too, in that dialect
//	objectstore BUCKET      an object store with one bucket, which the environment names
//	exits CODE cimimove …   runs it and compares the exit code; ! is not needed
//	json PATH [VALUE]       standard output is one JSON document that has VALUE at PATH
//	capture NAME PATH       $NAME is what the document has at PATH
//	oneline                 standard error is one line of error, and at most a hint
//	empty ENDPOINT…         each cloud holds no System, no Volume, no Machine
//	mutate FILE OLD=>NEW    replaces text in a file
//	flip FILE OFFSET        flips a bit
//	signer NAME [expired]   NAME.key and NAME.pem: a key and its own certificate
func TestScripts(t *testing.T) { scripts(t, filepath.Join("testdata", "script")) }

// TestSlowScripts runs those of many commands.
func TestSlowScripts(t *testing.T) {
	ovftest.Slow(t)
	scripts(t, filepath.Join("testdata", "script", "slow"))
}

func scripts(t *testing.T, dir string) {
	descriptors, err := filepath.Abs(filepath.Join("testdata", "descriptor"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
			e.Setenv("DESCRIPTORS", descriptors)
			// A thousand short commands: collecting what each of them made is a quarter of all their work.
			e.Setenv("GOGC", "400")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bare":    scriptBare,
			"package": scriptPackage, "disk": scriptDisk, "serve": scriptServe, "exits": scriptExits, "json": scriptJSON,
			"capture": scriptCapture, "oneline": scriptOneLine, "empty": scriptEmpty, "objectstore": scriptObjectStore, "mutate": scriptMutate, "flip": scriptFlip, "signer": scriptSigner, "vcenter": scriptVCenter, "webserver": scriptWebServer, "brokenserver": scriptBrokenServer,
		},
	})
}

func scriptPackage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: package OUT [option…]")
	}
	options := args[1:]
	for i, o := range options {
		if v, ok := strings.CutPrefix(o, "from="); ok && strings.HasSuffix(v, ".ovf") {
			options[i] = "from=" + ts.MkAbs(v)
		}
	}
	p, err := newTestPackage(ts.Getenv("DESCRIPTORS"), options...)
	ts.Check(err)
	out := ts.MkAbs(args[0])
	if strings.HasSuffix(args[0], "/") {
		out += "/"
	}
	ts.Check(p.write(out))
}

func scriptDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: disk OUT SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), testContent(args[0], size), 0o644))
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME DIR|ENDPOINT [arg…]")
	}
	endpoint := args[1]
	if !strings.Contains(endpoint, ":") {
		endpoint = "local:" + endpoint
	}
	cmd := exec.Command("cimimove", append([]string{"serve", endpoint, "--listen", "127.0.0.1:0", "--output", "json"}, args[2:]...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_STATE_HOME", "CIMIMOVE_SOURCE_USER", "CIMIMOVE_SOURCE_PASSWORD"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	var doc served
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&doc); err != nil || doc.URL == "" {
		ts.Fatalf("%s cannot be served (%v)", args[1], err)
	}
	ts.Setenv(args[0], doc.URL)
	ts.Setenv(args[0]+"1", strings.Replace(doc.URL, "/cloudEntryPoint", "/cimi/1/cloudEntryPoint", 1)) // as 1.x
}

func scriptWebServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: webserver NAME DIR")
	}
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[1]))))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// scriptBrokenServer serves the first half of a file, and then is silent, or
// gone, however often it is asked.
func scriptBrokenServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[2] != "stall" && args[2] != "drop" {
		ts.Fatalf("usage: brokenserver NAME FILE stall|drop")
	}
	content := ts.ReadFile(args[1])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		io.WriteString(w, content[:len(content)/2])
		if err := http.NewResponseController(w).Flush(); err == nil && args[2] == "stall" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	ts.Defer(func() {
		s.CloseClientConnections()
		s.Close()
	})
	ts.Setenv(args[0], s.URL)
}

func scriptObjectStore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: objectstore BUCKET")
	}
	s := s3test.New(args[0])
	ts.Defer(s.Close)
	for k, v := range s.Environment() {
		ts.Setenv(k, v)
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: json PATH [VALUE]")
	}
	got, err := at(ts.ReadFile("stdout"), args[0])
	switch {
	case neg && err == nil && (len(args) == 1 || got == args[1]):
		ts.Fatalf("%s is %s", args[0], got)
	case neg:
	case err != nil:
		ts.Fatalf("%v", err)
	case len(args) == 2 && got != args[1]:
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATH")
	}
	got, err := at(ts.ReadFile("stdout"), args[1])
	ts.Check(err)
	ts.Setenv(args[0], got)
}

// at finds .a.b[0].c in a document, "#" being the length of an array. Strings
// come without quotes, the rest as compact JSON.
func at(doc, path string) (string, error) {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	if d.More() {
		return "", fmt.Errorf("more than one JSON document")
	}
	for _, step := range strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' }) {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[step]; !ok {
				return "", fmt.Errorf("%s: no member %q", path, step)
			}
		case []any:
			if step == "#" {
				v = json.Number(strconv.Itoa(len(x)))
				continue
			}
			i, err := strconv.Atoi(strings.Trim(step, "[]"))
			if err != nil || i < 0 || i >= len(x) {
				return "", fmt.Errorf("%s: no element %s of %d", path, step, len(x))
			}
			v = x[i]
		default:
			return "", fmt.Errorf("%s: %q of a value without members", path, step)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// scriptOneLine holds what an operator reads: one line that says what is
// wrong, one more that says what to do, and nothing said twice.
func scriptOneLine(ts *testscript.TestScript, neg bool, args []string) {
	if err := oneLine(ts.ReadFile("stderr")); err != nil {
		ts.Fatalf("%v", err)
	}
}

func oneLine(stderr string) error {
	lines := strings.Split(strings.TrimRight(stderr, "\n"), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "cimimove: ") })
	if i < 0 {
		return fmt.Errorf("no error on standard error: %q", stderr)
	}
	lines = lines[i:]
	if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "  ") {
		return fmt.Errorf("more than a line of error and one of advice:\n%s", strings.Join(lines, "\n"))
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(lines[0], ": ") {
		if part = strings.TrimSpace(part); len(part) > 12 && seen[part] {
			return fmt.Errorf("said twice: %q in %s", part, lines[0])
		}
		seen[part] = true
	}
	for _, ugly := range []string{"failed to", "<nil>", "%!", "runtime error", "goroutine"} {
		if strings.Contains(lines[0], ugly) {
			return fmt.Errorf("%q in %s", ugly, lines[0])
		}
	}
	return nil
}

// scriptEmpty asks in this process: a command for each collection of each cloud
// would be a fifth of all that the scripts start.
func scriptEmpty(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		held, err := heldBy(ts, name)
		ts.Check(err)
		if (held != "") != neg {
			ts.Fatalf("%s holds %q", name, held)
		}
		if dir, ok := strings.CutPrefix(name, "local:"); ok && !neg {
			ts.Check(noDisks(ts.MkAbs(dir)))
		}
	}
}

// heldBy names a collection of a cloud that holds something.
func heldBy(ts *testscript.TestScript, name string) (string, error) {
	if dir, ok := strings.CutPrefix(name, "local:"); ok {
		name = "local:" + ts.MkAbs(dir)
	}
	ctx := context.Background()
	clouds := &endpoint.Pool{}
	defer clouds.Close()
	p, err := clouds.Open(ctx, name, endpoint.Options{Side: endpoint.Source, Getenv: ts.Getenv})
	if err != nil {
		return "", err
	}
	cep, err := p.EntryPoint(ctx)
	if err != nil {
		return "", err
	}
	for _, offered := range collections(cep) {
		if !slices.Contains([]string{"systems", "machines", "volumes", "networks"}, offered.Name) {
			continue
		}
		col, err := p.List(ctx, offered.ID, cimi.ListOptions{})
		if err != nil {
			return "", err
		}
		if len(col.Items) > 0 {
			return offered.Name, nil
		}
	}
	return "", nil
}

// noDisks: a cloud that holds nothing keeps no file of a disk either.
func noDisks(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(d.Name(), ".db") || d.Name() == "lock" {
			return err
		}
		return fmt.Errorf("%s was left behind", path)
	})
}

func scriptMutate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mutate FILE OLD=>NEW")
	}
	before, after, _ := strings.Cut(args[1], "=>")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, before) {
		ts.Fatalf("%s does not contain %q", args[0], before)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, before, after)), 0o644))
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(names) == 0 {
		ts.Fatalf("%s: no such file", args[0])
	}
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(flipByte(names[0], off))
}

func scriptSigner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: signer NAME [expired|issuer]")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
	switch {
	case len(args) > 1 && args[1] == "issuer":
		usage = x509.KeyUsageCertSign
	case len(args) > 1:
		from, to = from.AddDate(-2, 0, 0), to.AddDate(-1, 0, 0)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: args[0]}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: usage}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for name, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+name), pem.EncodeToMemory(b), 0o600))
	}
}

func flipByte(name string, off int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return errors.Join(err, f.Close())
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	return errors.Join(err, f.Close())
}

// soon repeats check until it is satisfied, for 20 seconds.
func soon(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 20 seconds: %s", what)
		}
	}
}
