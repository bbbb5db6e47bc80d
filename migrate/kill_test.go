package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// The kill tests run a migration in a process of their own, which is this test
// binary: the variables tell it what to move and after which write of the
// journal to end by SIGKILL. Nothing outside this file reads them.
const (
	childState  = "CIMIMOVE_TEST_STATE"
	childSource = "CIMIMOVE_TEST_SOURCE"
	childDest   = "CIMIMOVE_TEST_DESTINATION"
	childKill   = "CIMIMOVE_TEST_KILL_AT"
	childVia    = "CIMIMOVE_TEST_VIA"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childState); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(dir string) error {
	ctx := context.Background()
	at := os.Getenv(childKill) // the number of a write, or its name
	j, err := journal.Open(ctx, dir)
	if err != nil {
		return err
	}
	var writes atomic.Int64
	j.AfterWrite(func(what string) {
		if n := writes.Add(1); strconv.FormatInt(n, 10) == at || what == at {
			fmt.Println(what)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	dial := func(ctx context.Context, url string, _ migrate.Side) (migrate.Endpoint, error) {
		if dir, ok := strings.CutPrefix(url, "local:"); ok {
			p, err := openLocal(ctx, dir)
			return migrate.Endpoint{Name: url, Provider: p}, err
		}
		p, err := client.New(ctx, url, client.Options{})
		return migrate.Endpoint{Name: url, URL: url, Provider: p}, err
	}
	src, err := dial(ctx, os.Getenv(childSource), migrate.Source)
	if err != nil {
		return err
	}
	dst, err := dial(ctx, os.Getenv(childDest), migrate.Destination)
	if err != nil {
		return err
	}
	plan, err := migrate.NewPlan(ctx, migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.Via(os.Getenv(childVia))})
	if err != nil {
		return err
	}
	e := &migrate.Engine{Journal: j, Dial: dial}
	_, err = e.Start(ctx, plan)
	return err
}

// TestResumeAfterKill kills a migration after every fifth of its journal
// writes and resumes it: it ends verified, with exactly one System at the
// destination. AC-01, AC-32.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	resumeAfterKill(t, migrate.ViaRelay, 5)
}

// TestResumeDirectAfterKill does so where the destination fetches from the
// source itself.
func TestResumeDirectAfterKill(t *testing.T) {
	t.Parallel()
	resumeAfterKill(t, migrate.ViaDirect, 5)
}

// TestResumeAfterEachKillE2E does so after each of them.
func TestResumeAfterEachKillE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("kills some thirty processes; set CIMIMOVE_E2E=1")
	}
	for _, via := range []migrate.Via{migrate.ViaRelay, migrate.ViaDirect} {
		t.Run(string(via), func(t *testing.T) { resumeAfterKill(t, via, 1) })
	}
}

func resumeAfterKill(t *testing.T, via migrate.Via, step int) {
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	points := 0
	for at := 1; ; at += step {
		state := t.TempDir()
		killed, where := runChild(t, state, a.url(), b.url(), via, strconv.Itoa(at))
		e := engineAt(t, state, a.remote(), b.remote())
		list, err := e.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Runs) != 1 {
			t.Fatalf("write %d (%s): %d runs in the journal", at, where, len(list.Runs))
		}
		if killed && list.Runs[0].State == "running" {
			t.Errorf("write %d (%s): a dead run shows as running", at, where)
		}
		started := time.Now()
		rep, err := e.Resume(t.Context(), list.Runs[0].Run, migrate.ResumeOptions{})
		if err != nil {
			t.Fatalf("write %d (%s): resume: %v", at, where, err)
		}
		checkMoved(t, s, rep, b)
		if t.Failed() {
			t.Fatalf("write %d (%s)", at, where)
		}
		t.Logf("write %2d, %-16s resumed in %s", at, where, time.Since(started).Round(time.Millisecond))
		b.clear()
		if !killed {
			break
		}
		points++
	}
	t.Logf("%d points tried", points)
	if points < 5 {
		t.Errorf("only %d points tried", points)
	}
}

// TestResumeAfterKillInProcess is the same where the clouds are in the process
// that dies.
func TestResumeAfterKillInProcess(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := t.TempDir(), t.TempDir()
	c := openCloud(t, a)
	c.load(s)
	c.close()
	for _, at := range []string{"done export", "begin import", "note import", "done import", "begin verify"} {
		state := t.TempDir()
		if killed, _ := runChild(t, state, "local:"+a, "local:"+b, migrate.ViaRelay, at); !killed {
			t.Fatalf("%s: not killed", at)
		}
		src, dst := openCloud(t, a), openCloud(t, b)
		e := engineAt(t, state, src.inProcess(), dst.inProcess())
		list, err := e.Status(t.Context())
		if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "interrupted" {
			t.Fatalf("%s: %+v: %v", at, list, err)
		}
		rep, err := e.Resume(t.Context(), list.Runs[0].Run, migrate.ResumeOptions{})
		if err != nil {
			t.Fatalf("%s: resume: %v", at, err)
		}
		checkMoved(t, s, rep, dst)
		if t.Failed() {
			t.Fatal(at)
		}
		dst.clear()
		src.close()
		dst.close()
	}
}

func engineAt(t *testing.T, state string, endpoints ...migrate.Endpoint) *migrate.Engine {
	t.Helper()
	j, err := journal.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return &migrate.Engine{Journal: j, Dial: dialer(endpoints...)}
}

// runChild runs a migration that dies after a write of the journal, and tells
// which that was; killed is false when there were fewer.
func runChild(t *testing.T, state, src, dst string, via migrate.Via, at string) (killed bool, where string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childState+"="+state, childSource+"="+src, childDest+"="+dst, childKill+"="+at, childVia+"="+string(via))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true, string(out[:max(0, len(out)-1)])
		}
		t.Fatalf("the migration failed by itself: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return false, "the end"
}
