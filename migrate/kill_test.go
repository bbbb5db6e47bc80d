package migrate_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestResumeAfterKill kills a migration after every fifth of its journal
// writes and resumes it: it ends verified, with exactly one System at the
// destination. AC-01, AC-32.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaRelay}, 5)
}

// TestResumeDirectAfterKill does so where the destination fetches from the
// source itself.
func TestResumeDirectAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaDirect}, 5)
}

// TestResumeStagedAfterKill does so where the package waits in a folder.
func TestResumeStagedAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaStage, stage: t.TempDir()}, 6)
}

// TestResumeStagedInStoreAfterKill does so where it waits in an object store.
func TestResumeStagedInStoreAfterKill(t *testing.T) {
	ovftest.Slow(t)
	store := s3test.Start(t, "depot")
	resumeAfterKill(t, killed{via: migrate.ViaStage, stage: "s3://depot/waits", store: store}, 7)
}

// TestResumeWarmAfterKill does so where the disks are copied while the machines
// run, and change before they are stopped.
func TestResumeWarmAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaRelay, warm: true, from: asWarm(hosttest.NewSample(t, "shop", 1))}, 5)
}

// TestResumeResourcesAfterKill does so where nothing but resources is read and
// made; TestResumePartsAfterKill where the destination makes no Systems.
func TestResumeResourcesAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaResources, from: asBare, to: asBare}, 13)
}

func TestResumePartsAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	resumeAfterKill(t, killed{via: migrate.ViaResources, from: asBare, to: withoutSystems, version: cimi.V1}, 17)
}

// TestResumeOwnDiskAfterKill kills it where the image of a machine is made, and
// where it is used.
func TestResumeOwnDiskAfterKill(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	_, own := a.vault(a.empty("shop"), "ledger")
	k := killed{via: migrate.ViaResources, from: asBare, to: withoutSystems}
	src, dst := k.endpoints(a, b)
	for _, at := range []string{"begin make source machine image vault", "note make source machine image vault", "begin make image vault-disk1", "begin make machine vault", "note make check vault-disk1"} {
		state := t.TempDir()
		if killed, where := runChild(t, state, src.URL, dst.URL, k, at); !killed {
			t.Fatalf("%s: not killed, %s", at, where)
		}
		e, run := interrupted(t, state, src, dst)
		rep, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
		if err != nil {
			t.Fatalf("%s: resume: %v", at, err)
		}
		checkOwn(t, rep, own, 2)
		if got := b.names("machines"); len(got) != 1 || len(b.ownDisks()) != 1 {
			t.Errorf("machines %v, own disks %v", got, b.ownDisks())
		}
		checkNoImages(t, a, b)
		if t.Failed() {
			t.Fatal(at)
		}
		b.clear()
	}
}

// TestResumeAfterEachKillE2E does so after each of them. By resources there are
// over five hundred points, a quarter of an hour, and of a warm one each takes as
// long as two: CIMIMOVE_E2E=all takes every one, CIMIMOVE_E2E=1 some of those.
func TestResumeAfterEachKillE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("kills some hundreds of processes; set CIMIMOVE_E2E=1")
	}
	store := s3test.Start(t, "depot")
	for name, k := range map[string]killed{
		"resources": {via: migrate.ViaResources, from: asBare, to: asBare}, "resources, 1.x": {via: migrate.ViaResources, from: asBare, to: asBare, version: cimi.V1},
		"resources, no Systems": {via: migrate.ViaResources, from: asBare, to: withoutSystems},
		"relay":                 {via: migrate.ViaRelay}, "direct": {via: migrate.ViaDirect},
		"warm":  {via: migrate.ViaRelay, warm: true, from: asWarm(hosttest.NewSample(t, "shop", 1))},
		"stage": {via: migrate.ViaStage, stage: t.TempDir()}, "stage in a store": {via: migrate.ViaStage, stage: "s3://depot/waits", store: store},
	} {
		step := 1
		switch all := os.Getenv("CIMIMOVE_E2E") == "all"; {
		case k.via == migrate.ViaResources && !all:
			step = 7
		case k.warm && !all:
			step = 3
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each has its clouds, and its processes mostly wait
			resumeAfterKill(t, k, step)
			k.calls = true
			resumeAfterKill(t, k, step)
		})
	}
}

// killed is a migration that is killed, again and again.
type killed struct {
	via   migrate.Via
	stage string
	store *s3test.Server
	warm  bool
	calls bool // after calls of the clouds, not after writes of the journal
	// marked is the folder of the destination where it is to have noted something of a disk.
	marked string
	// from and to show the clouds otherwise than they are, in the dialect of a
	// version; nil: as they are.
	from, to func(cimi.Provider) cimi.Provider
	version  cimi.Version
}

// endpoints are the clouds as the migration sees them.
func (k killed) endpoints(a, b *cloud) (src, dst migrate.Endpoint) {
	switch {
	case k.from == nil:
		return a.remote(), b.remote()
	case k.warm:
		return a.bared(cimi.V2, k.from), b.remote()
	}
	return a.bared(k.version, k.from), b.bared(k.version, k.to)
}

// name is that of the way.
func (k killed) name() string {
	switch {
	case k.warm:
		return string(k.via) + ", warm"
	case k.store != nil:
		return string(k.via) + " in a store"
	case k.stage != "":
		return string(k.via) + " in a folder"
	}
	return string(k.via)
}

func (k killed) at(n int) string {
	if k.calls {
		return fmt.Sprintf("call %d", n)
	}
	return strconv.Itoa(n)
}

// checkClean: nothing waits any more.
func (k killed) checkClean(t *testing.T) {
	t.Helper()
	if k.store != nil {
		if left := append(k.store.Names(), k.store.Uploads()...); len(left) > 0 {
			t.Errorf("the store holds %v", left)
		}
	} else if k.stage != "" {
		left, err := os.ReadDir(k.stage)
		if err != nil || len(left) > 0 {
			t.Errorf("the stage holds %v: %v", left, err)
		}
	}
}

func resumeAfterKill(t *testing.T, k killed, step int) {
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	system, own := a.load(s), ""
	if k.via == migrate.ViaResources {
		_, own = a.vault(system) // which has a disk of its own
	}
	src, dst := k.endpoints(a, b)
	points, lost := 0, 0
	for at := 1; ; at += step {
		state := t.TempDir()
		if k.warm {
			soil(t, a)
		}
		killed, where := runChild(t, state, src.URL, dst.URL, k, k.at(at))
		e := engineAt(t, state, src, dst)
		list, err := e.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if k.calls && killed && len(list.Runs) == 0 {
			continue // while it was planned
		}
		if len(list.Runs) != 1 {
			t.Fatalf("write %d (%s): %d runs in the journal", at, where, len(list.Runs))
		}
		if killed && list.Runs[0].State == "running" {
			t.Errorf("write %d (%s): a dead run shows as running", at, where)
		}
		// An export that was asked for, and that the journal does not know yet, goes
		// when it was not read for long.
		if steps, err := e.Journal.Steps(t.Context(), list.Runs[0].Run); err != nil {
			t.Fatal(err)
		} else if n := len(steps); k.calls && n > 0 && steps[n-1].Name == string(migrate.StepExport) && steps[n-1].State == journal.Begun {
			lost++
		}
		started := time.Now()
		rep, err := e.Resume(t.Context(), list.Runs[0].Run, migrate.ResumeOptions{})
		if err != nil {
			t.Fatalf("write %d (%s): resume: %v", at, where, err)
		}
		if own != "" {
			checkOwn(t, rep, own, 4)
			if machines, disks := b.names("machines"), b.ownDisks(); len(machines) != 3 || len(disks) != 1 || len(b.names("volumes")) != 3 {
				t.Errorf("machines %v, own disks %v, volumes %v", machines, disks, b.names("volumes"))
			}
		} else {
			checkMoved(t, s, rep, b)
		}
		k.checkClean(t)
		checkNoImages(t, a, b)
		if n := a.snapshots(); n > lost {
			t.Errorf("%d snapshots are left, %d were made for nobody", n, lost)
		}
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
	what := "writes of the journal"
	if k.calls {
		what = "calls of the clouds"
	}
	// The loop ends with a run that nothing killed: there is no further point.
	t.Logf("%s: %d points tried, after each %d. of the %s", k.name(), points, step, what)
	if points < 5 {
		t.Errorf("only %d points tried", points)
	}
}

// TestResumeAfterKillInProcess is the same where the clouds are in the process
// that dies.
func TestResumeAfterKillInProcess(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := t.TempDir(), t.TempDir()
	c := openCloud(t, a)
	c.load(s)
	c.close()
	for _, at := range []string{"done export", "begin import", "note import", "done import", "begin verify"} {
		state := t.TempDir()
		if killed, _ := runChild(t, state, "local:"+a, "local:"+b, killed{via: migrate.ViaRelay}, at); !killed {
			t.Fatalf("%s: not killed", at)
		}
		src, dst := openCloud(t, a), openCloud(t, b)
		e, run := interrupted(t, state, src.inProcess(), dst.inProcess())
		rep, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
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

// interrupted finds the one run that a process left when it died.
func interrupted(t *testing.T, state string, endpoints ...migrate.Endpoint) (e *migrate.Engine, run string) {
	t.Helper()
	e = engineAt(t, state, endpoints...)
	list, err := e.Status(t.Context())
	if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "interrupted" {
		t.Fatalf("%+v: %v", list, err)
	}
	return e, list.Runs[0].Run
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
