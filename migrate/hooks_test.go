package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestHooks: hooks run around every step, in order, with the plan.
func TestHooks(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	out := filepath.Join(t.TempDir(), "out")
	var hooks []hook.Hook
	var want []string
	for _, step := range hook.Steps {
		for _, when := range []string{"before", "after"} {
			hooks = append(hooks, hook.Hook{On: when + " " + step, Run: []string{"sh", "-c", `cat >> "$0"; echo >> "$0"`, out}})
			want = append(want, when+" "+step)
		}
	}
	// An import is part of the transfer, and only a warm migration has a delta.
	want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, " import") || strings.HasSuffix(s, " delta") })
	i := slices.Index(want, "before transfer")
	want = slices.Insert(want, i+1, "before import", "after import")
	if _, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Hooks: hooks}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var doc struct {
			Hook, Run, System, Via, DestinationID string
			Disks                                 []any
		}
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, doc.Hook)
		if doc.System != "shop" || doc.Run == "" || len(doc.Disks) != 3 || (doc.DestinationID != "") != (len(got) > slices.Index(want, "before import")+1) {
			t.Errorf("%s: %.300s", doc.Hook, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("hooks ran as\n%v, want\n%v", got, want)
	}
}

// TestHookFails: a hook that fails ends the migration and everything is as it
// was, unless it may fail; then the report says so.
func TestHookFails(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, may := range []bool{false, true} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.remote()
		rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst,
			Hooks: []hook.Hook{{On: "before start", Run: []string{"sh", "-c", "echo no driver; exit 1"}, Continue: may}}})
		if (err == nil) != may || (len(b.systems()) == 1) != may {
			t.Errorf("may fail %v: %v; the destination holds %v", may, err, b.systems())
		}
		if err != nil && (!strings.Contains(err.Error(), "no driver") || migrate.ClassOf(err) != migrate.ClassOther) {
			t.Errorf("class %v: %v", migrate.ClassOf(err), err)
		}
		if said := slices.ContainsFunc(rep.Findings, func(f ovf.Finding) bool { return f.ID == migrate.RuleHook }); said != may {
			t.Errorf("may fail %v: %+v", may, rep.Findings)
		}
	}
}

// TestHookOnce: a hook that ended is not run again by resume, and a run is not
// resumed without its hooks, which are not in the journal.
func TestHookOnce(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	out := filepath.Join(t.TempDir(), "out")
	hooks := []hook.Hook{{On: "before transfer", Run: []string{"sh", "-c", `cat > /dev/null; echo canary >> "$0"`, out}}}
	e := newEngine(t, src, dst)
	ctx, stop := context.WithCancel(t.Context())
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			stop()
		}
	})
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := e.Start(ctx, plan)
	wantClass(t, err, migrate.ClassInterrupt, "")
	e.Journal.AfterWrite(nil)
	if _, err := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{}); migrate.ClassOf(err) != migrate.ClassUsage {
		t.Errorf("resumed without its hooks: %v", err)
	}
	row, err := e.Journal.Run(t.Context(), rep.Run)
	if err != nil || strings.Contains(string(row.Plan), "canary") {
		t.Errorf("the journal has the hook's command: %v, %s", err, row.Plan)
	}
	if _, err := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{Hooks: hooks}); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(out); string(text) != "canary\n" {
		t.Errorf("the hook ran as %q", text)
	}
}

// TestHookExample runs the example that converts guests in place, with a
// program of that name that only says what it was asked.
func TestHookExample(t *testing.T) {
	ovftest.Slow(t)
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	example, err := filepath.Abs("../testdata/hooks/virt-v2v-in-place.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	fake := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\n", out)
	if err := os.WriteFile(filepath.Join(dir, "virt-v2v-in-place"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst,
		Hooks: []hook.Hook{{On: "before start", Run: []string{example, "qemu:///system"}}}})
	if err != nil || rep.State != string(journal.Verified) {
		t.Fatalf("%+v: %v", rep, err)
	}
	text, err := os.ReadFile(out)
	if want := "-i libvirt -ic qemu:///system database\n-i libvirt -ic qemu:///system web\n"; err != nil || string(text) != want {
		t.Errorf("%q: %v; want %q", text, err, want)
	}
}
