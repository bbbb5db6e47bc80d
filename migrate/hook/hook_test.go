package hook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate/hook"
)

// TestCommand: a command gets the document on standard input, the environment
// without this program's credentials, and ends with its deadline, children
// included.
func TestCommand(t *testing.T) {
	for _, name := range []string{"CIMIMOVE_SOURCE_PASSWORD", "CIMIMOVE_DESTINATION_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "CIMIMOVE_QUEUE"} {
		t.Setenv(name, "canary")
	}
	out := filepath.Join(t.TempDir(), "out")
	h := hook.Hook{On: "before start", Run: []string{"sh", "-c", `cat; env; echo "$0 $1"`, "zero", "a b"}}
	h.Run[2] = `{ cat; env; echo "$0 $1"; } > ` + out
	if err := h.Do(t.Context(), []byte(`{"plan":1}`), "CIMIMOVE_RUN=r1"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{`{"plan":1}`: true, "CIMIMOVE_RUN=r1": true, "zero a b": true, "canary": false} {
		if strings.Contains(string(b), text) != want {
			t.Errorf("%q: want %v in\n%s", text, want, b)
		}
	}

	h = hook.Hook{On: "after verify", Run: []string{"sh", "-c", "echo wrong; echo worse >&2; exit 3"}}
	err = h.Do(t.Context(), nil)
	var failed *hook.Error
	var exit *exec.ExitError
	if !errors.As(err, &failed) || !strings.Contains(failed.Output, "worse") || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%v", err)
	}

	mark := filepath.Join(t.TempDir(), "mark")
	h = hook.Hook{On: "after verify", Timeout: 200 * time.Millisecond, Run: []string{"sh", "-c", "(sleep 2; touch " + mark + ") & sleep 60"}}
	started := time.Now()
	err = h.Do(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "did not end in time") || time.Since(started) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(started), err)
	}
	time.Sleep(2200 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("a child outlived the deadline")
	}
	if err := (hook.Hook{On: "before start", Run: []string{"./no-such-program"}}).Do(t.Context(), nil); err == nil {
		t.Error("a program that is not there ran")
	}
}

// TestWebhook: the document is posted, again after a failure that may pass,
// and the URL, whose path is a secret, is in no error.
func TestWebhook(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/canary/flaky" && calls.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/canary/refused":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/canary/slow":
			<-r.Context().Done()
		case r.Method != http.MethodPost || string(body) != "{}" || r.Header.Get("Content-Type") != "application/json":
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer s.Close()
	for path, fails := range map[string]bool{"flaky": false, "refused": true, "slow": true} {
		h := hook.Hook{On: "after finish", URL: s.URL + "/canary/" + path, Timeout: 3 * time.Second}
		if path == "slow" {
			h.Timeout = 100 * time.Millisecond
		}
		err := h.Do(t.Context(), []byte("{}"))
		if (err != nil) != fails {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") || strings.Contains(h.String(), "canary") {
			t.Errorf("%s: %v, %s", path, err, h)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("the flaky one was called %d times", calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (hook.Hook{On: "after finish", URL: s.URL + "/canary/slow"}).Do(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good, err := hook.ParseFile("hooks.yaml", []byte(`
hooks:
  - {on: before start, run: [./convert, "a b"], timeout: 30m}
  - {on: after verify, url: "https://host/secret", onFailure: continue}
`))
	if err != nil || len(good) != 2 || good[0].Run[1] != "a b" || good[0].Timeout != 30*time.Minute || !good[1].Continue {
		t.Errorf("%+v: %v", good, err)
	}
	for _, text := range []string{
		"hooks: [{on: during start, run: [x]}]", "hooks: [{on: before lunch, run: [x]}]", "hooks: [{on: before start}]",
		"hooks: [{on: before start, run: [x], url: 'https://canary'}]", "hooks: [{on: before start, run: [x], timeout: soon}]",
		"hooks: [{on: before start, run: [x], onFailure: maybe}]", "hooks: [{on: before start, url: 'ftp://canary'}]", "other: 1", "hooks: [",
	} {
		if _, err := hook.ParseFile("hooks.yaml", []byte(text)); !errors.Is(err, hook.ErrInvalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]bool{"before start=./convert -x": true, "after  verify = https://host/x": true, "start=./convert": false, "before start": false, "before start=": false} {
		if _, err := hook.Parse(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
