package migrate_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// The kill tests run a migration in a process of their own, which is this test
// binary: the variables tell it what to move and after which write of the
// journal, or which call of a cloud, to end by SIGKILL. Nothing outside this
// file reads them.
const (
	childState  = "CIMIMOVE_TEST_STATE"
	childSource = "CIMIMOVE_TEST_SOURCE"
	childDest   = "CIMIMOVE_TEST_DESTINATION"
	childKill   = "CIMIMOVE_TEST_KILL_AT"
	childVia    = "CIMIMOVE_TEST_VIA"
	childStage  = "CIMIMOVE_TEST_STAGE"
	childWarm   = "CIMIMOVE_TEST_WARM" // how it is verified
	// Of a vCenter as the source: its certificate; of a hypervisor where its cloud has
	// a place.
	childPin = "CIMIMOVE_TEST_PIN"
	// The folder of a destination that is to have noted how far a disk has come
	// before the process ends: it notes that beside the transfer.
	childMarked = "CIMIMOVE_TEST_MARKED"
	childPlace  = "CIMIMOVE_TEST_PLACE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childState); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// They mostly wait: more of them at a time than there are processors, where
	// -parallel does not say.
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

func child(dir string) error {
	ctx := context.Background()
	at := os.Getenv(childKill) // the number of a write, its name (with "#" and a number for a later one of that name), or "call" and the number of a call
	j, err := journal.Open(ctx, dir)
	if err != nil {
		return err
	}
	var writes, named atomic.Int64
	name, which, _ := strings.Cut(at, "#")
	j.AfterWrite(func(what string) {
		if n := writes.Add(1); strconv.FormatInt(n, 10) == at {
			die(what)
		}
		if what != name {
			return
		}
		if n := named.Add(1); which == "" || strconv.FormatInt(n, 10) == which {
			die(what)
		}
	})
	var calls atomic.Int64
	called := func(what string) {
		if n := calls.Add(1); fmt.Sprintf("call %d", n) == at {
			die(what)
		}
		if name, _, _ := strings.Cut(what, " "); name == at { // that of an operation
			die(what)
		}
	}
	dial := func(ctx context.Context, url string, _ migrate.Side) (migrate.Endpoint, error) {
		if dir, ok := strings.CutPrefix(url, "local:"); ok {
			p, err := openLocal(ctx, dir)
			if err == nil && os.Getenv(childWarm) != "" {
				return migrate.Endpoint{Name: url, Provider: lethal{guest{p, func() error { return overwriteDisk1(ctx, p) }}, called}}, nil
			}
			return migrate.Endpoint{Name: url, Provider: p}, err
		}
		if uri, ok := strings.CutPrefix(url, "libvirt:"); ok {
			p, err := openKVM(ctx, uri, os.Getenv(childPlace))
			return migrate.Endpoint{Name: url, Provider: p}, err
		}
		if strings.HasPrefix(url, "vsphere:") {
			p, err := openVCenter(ctx, url, os.Getenv(childPin), os.Getenv(childPlace))
			return migrate.Endpoint{Name: url, Provider: p}, err
		}
		p, err := client.New(ctx, url, client.Options{})
		return migrate.Endpoint{Name: url, URL: url, Provider: lethal{p, called}}, err
	}
	src, err := dial(ctx, os.Getenv(childSource), migrate.Source)
	if err != nil {
		return err
	}
	dst, err := dial(ctx, os.Getenv(childDest), migrate.Destination)
	if err != nil {
		return err
	}
	calls.Store(0)
	opts := migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.Via(os.Getenv(childVia)), Stage: os.Getenv(childStage), Warm: os.Getenv(childWarm) != "",
		Verify: migrate.Verify(os.Getenv(childWarm))}
	if strings.HasPrefix(src.Name, "libvirt:") { // where nothing boots that could hear
		opts.Quiesce, opts.StopTimeout = migrate.QuiesceForce, 2*time.Second
	}
	plan, err := migrate.NewPlan(ctx, opts)
	if err != nil {
		return err
	}
	e := &migrate.Engine{Journal: j, Dial: dial}
	_, err = e.Start(ctx, plan)
	return err
}

// runChild runs a migration that dies after a write of the journal, and tells
// which that was; killed is false when there were fewer.
func runChild(t *testing.T, state, src, dst string, k killed, at string) (dead bool, where string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childState+"="+state, childSource+"="+src, childDest+"="+dst, childKill+"="+at, childVia+"="+string(k.via), childStage+"="+k.stage)
	if k.warm {
		cmd.Env = append(cmd.Env, childWarm+"="+string(migrate.VerifyFull))
	}
	if k.marked != "" {
		cmd.Env = append(cmd.Env, childMarked+"="+k.marked)
	}
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

func die(what string) {
	if dir := os.Getenv(childMarked); dir != "" {
		awaitMark(dir)
	}
	fmt.Println(what)
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// marked is how many MiB of a disk are noted before awaitMark ends.
const marked = 8

// awaitMark waits until a cloud in a folder has noted how far a disk has come.
func awaitMark(dir string) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?mode=ro")
	if err != nil {
		panic(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var n int
		if err := db.QueryRow("SELECT count(*) FROM arrivals WHERE json_extract(mark, '$.block') >= ?", marked).Scan(&n); err == nil && n > 0 {
			return
		}
	}
	panic("nothing was noted of a disk that has come")
}

// lethal tells of every call of a cloud when it is done.
type lethal struct {
	cimi.Provider
	called func(what string)
}

func (l lethal) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	defer l.called("get " + id)
	return l.Provider.Get(ctx, id, o)
}

func (l lethal) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	defer l.called("list " + id)
	return l.Provider.List(ctx, id, o)
}

func (l lethal) Create(ctx context.Context, id string, r cimi.Resource) (*cimi.Accepted, error) {
	defer l.called("create in " + id)
	return l.Provider.Create(ctx, id, r)
}

func (l lethal) Update(ctx context.Context, id string, r cimi.Resource, o cimi.UpdateOptions) (*cimi.Accepted, error) {
	defer l.called("update " + id)
	return l.Provider.Update(ctx, id, r, o)
}

func (l lethal) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	defer l.called("delete " + id)
	return l.Provider.Delete(ctx, id)
}

func (l lethal) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	defer l.called(a.Action + " " + id)
	return l.Provider.Invoke(ctx, id, a)
}

func (l lethal) Open(ctx context.Context, href string) (cimi.Content, error) {
	defer l.called("open " + href)
	return l.Provider.Open(ctx, href)
}
