package queue

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// A worker that is killed is a process of its own, which is this test binary:
// the variables tell it the database, and after which write of the journal to
// end by SIGKILL: its name, "#" and the how many'th of that name.
const (
	childQueue = "CIMIMOVE_TEST_QUEUE"
	childState = "CIMIMOVE_TEST_STATE"
	childKill  = "CIMIMOVE_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childQueue); url != "" {
		fmt.Fprintln(os.Stderr, child(url))
		os.Exit(1)
	}
	// They mostly wait: more of them at a time than there are processors, where
	// -parallel does not say.
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

const beatOfChildren = time.Second

func child(url string) error {
	ctx := context.Background()
	j, err := journal.OpenShared(ctx, url, journal.SharedOptions{Dir: os.Getenv(childState), Heartbeat: beatOfChildren})
	if err != nil {
		return err
	}
	name, which, _ := strings.Cut(os.Getenv(childKill), "#")
	var n atomic.Int64
	j.AfterWrite(func(what string) {
		if what == name && fmt.Sprint(n.Add(1)) == which {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	e := &migrate.Engine{Journal: j, StallTimeout: 10 * time.Second, Dial: dial}
	w, err := New(ctx, Options{URL: url, Engine: e, Heartbeat: beatOfChildren, Evacuation: evacuate.Options{Poll: 50 * time.Millisecond}})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// TestKilledWorker: a worker is killed in mid-transfer, and one on another
// machine, which has nothing but the database, goes on within two heartbeats
// and at the last chunk; the System comes once.
func TestKilledWorker(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	db := pgtest.Shared(t)
	const size, chunk = 48 << 20, 1 << 20
	for _, c := range []struct {
		via, at string
		// inAll and after its death: how many bytes of the disk may pass.
		inAll, after int64
	}{
		// The 16th MiB is digested when it dies; more is on its way to who is dead, and
		// some of that may still be counted.
		{"relay", "blocks#1", 2 * size, size - 16<<20 + 10*chunk},
		// The destination goes on by itself.
		{"direct", "note import#1", size + chunk, size + chunk},
	} {
		t.Run(c.via, func(t *testing.T) {
			t.Parallel()
			url := db.URL(c.via)
			src, dst := newCloud(t), newCloud(t)
			src.Load(large(t, size))
			v := submit(t, url, src, dst, "", "systems: [{system: vm, via: "+c.via+"}]\n")
			dead := exec.Command(os.Args[0], "-test.run=^$")
			dead.Env = append(os.Environ(), childQueue+"="+url, childState+"="+t.TempDir(), childKill+"="+c.at)
			var said strings.Builder
			dead.Stderr = &said
			if err := dead.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { dead.Process.Kill() })
			died := make(chan time.Time, 1)
			go func() {
				dead.Wait()
				died <- time.Now()
			}()
			// It is alone until it has the System.
			for deadline := time.Now().Add(time.Minute); v.Report().Items[0].State != string(journal.Running); time.Sleep(10 * time.Millisecond) {
				if _, _, _, err := v.Ready(t.Context()); err != nil || time.Now().After(deadline) {
					t.Fatalf("nobody begins: %v: %s", err, said.String())
				}
			}
			e := member(t, url, journal.SharedOptions{})
			e.Relay.Listen, e.Relay.URL = "127.0.0.2:0", "http://127.0.0.2"
			taken := make(chan time.Time, 1)
			// What the source still writes to who is dead is not what another asks for.
			var before atomic.Int64
			e.Journal.AfterWrite(func(what string) {
				if what == "item running" {
					select {
					case taken <- time.Now():
						before.Store(src.Sent.Load())
					default:
					}
				}
			})
			ctx, stop := context.WithCancel(t.Context())
			wait := work(ctx, t, url, e, beatOfChildren)
			defer wait()
			defer stop()
			// How long the database takes to answer is none of the heartbeats'.
			var slow atomic.Int64
			go func() {
				for ctx.Err() == nil {
					asked := time.Now()
					v.Outdated(ctx)
					slow.Store(max(slow.Load(), int64(time.Since(asked))))
					time.Sleep(10 * time.Millisecond)
				}
			}()
			rep, err := followed(t, v)
			if err != nil || rep.Verified != 1 || rep.Items[0].Attempts != 2 {
				t.Fatalf("%v: %+v %+v", err, rep.Items, rep.Items[0].Error)
			}
			if dead.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %s", said.String())
			}
			if silent := (<-taken).Sub(<-died); silent < 0 || silent > 2*beatOfChildren+8*time.Duration(slow.Load()) {
				t.Errorf("another goes on after %v, two heartbeats are %v, an answer takes %v", silent, 2*beatOfChildren, time.Duration(slow.Load()))
			}
			if got := dst.Names(); !slices.Equal(got, []string{"vm"}) || dst.imports("SUCCESS") != 1 {
				t.Errorf("the destination holds %v, by %d imports", got, dst.imports("SUCCESS"))
			}
			sent := src.Sent.Load()
			t.Logf("%d MiB of exports passed, and %d MiB after its death", before.Load()>>20, (sent-before.Load())>>20)
			if again := sent - before.Load(); sent > c.inAll || again > c.after {
				t.Errorf("more than %d MiB in all, or than %d MiB after its death", c.inAll>>20, c.after>>20)
			}
		})
	}
}
