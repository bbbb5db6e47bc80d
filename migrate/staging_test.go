package migrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/object/s3test"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestStage: the package waits in a folder or an object store, and nothing of
// it is there when the run is done.
func TestStage(t *testing.T) {
	store := s3test.Start(t, "depot")
	folder := t.TempDir()
	for name, c := range map[string]struct {
		stage    string
		src, dst func(*cloud) migrate.Endpoint
	}{
		"folder":            {folder, (*cloud).remote, (*cloud).remote},
		"folder, by hand":   {filepath.Join(t.TempDir(), "new"), (*cloud).inProcess, (*cloud).inProcess},
		"store, fetched":    {"s3://depot/waits/here/", (*cloud).inProcess, (*cloud).remote},
		"store, handed on":  {"s3://depot", (*cloud).remote, (*cloud).inProcess},
		"source once, only": {folder, func(c *cloud) migrate.Endpoint { e := c.inProcess(); e.Provider = once{e.Provider}; return e }, (*cloud).remote},
	} {
		t.Run(name, func(t *testing.T) {
			s := hosttest.NewSample(t, "shop", 1)
			a, b := newCloud(t), newCloud(t)
			a.load(s)
			src, dst := c.src(a), c.dst(b)
			before := store.Stats()
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Stage: c.stage})
			if err != nil {
				t.Fatal(err)
			}
			checkMoved(t, s, rep, b)
			if rep.Via != "stage" || rep.Bytes.Read == 0 {
				t.Errorf("%s, %+v", rep.Via, rep.Bytes)
			}
			if name == "store, fetched" {
				if sent := store.Stats().Sent - before.Sent; rep.Bytes.Written > 0 || sent < rep.Bytes.Read {
					t.Errorf("%d bytes went to the destination through us, the store sent %d", rep.Bytes.Written, sent)
				}
			}
			if !strings.Contains(c.stage, "://") {
				killed{stage: c.stage}.checkClean(t)
			}
			if left := append(store.Names(), store.Uploads()...); len(left) > 0 {
				t.Errorf("the store holds %v", left)
			}
		})
	}
}

// TestStageInHalves: the second half needs the source no more, and may run any
// time later.
func TestStageInHalves(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.remote(), b.remote()
	stage := t.TempDir()
	e := newEngine(t, src, dst)
	e.StageOnly = true
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Stage: stage})
	if err != nil || rep.State != string(journal.Staged) || rep.Verified || len(b.systems()) > 0 {
		t.Fatalf("%+v: %v; the destination holds %v", rep, err, b.systems())
	}
	list, err := e.Status(t.Context(), rep.Run)
	if err != nil || list.Runs[0].State != "staged" {
		t.Errorf("%+v: %v", list, err)
	}
	if files, err := os.ReadDir(stage); err != nil || len(files) != 1 || !strings.HasSuffix(files[0].Name(), ".ova") {
		t.Errorf("the stage holds %v: %v", files, err)
	}
	a.close()
	later := engineAt(t, e.Journal.Dir())
	later.Dial = func(_ context.Context, name string, side migrate.Side) (migrate.Endpoint, error) {
		if side == migrate.Source {
			return migrate.Endpoint{}, errors.New("switched off")
		}
		return dst, nil
	}
	if rep, err = later.Resume(t.Context(), rep.Run, migrate.ResumeOptions{}); err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
	killed{stage: stage}.checkClean(t)
}

// TestStageDamaged: what happened to the package while it waited is found, and
// nothing of it is imported.
func TestStageDamaged(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"flipped":   func(file string) error { return flip(file, 200_000) },
		"truncated": func(file string) error { return os.Truncate(file, 100_000) },
		"gone":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			stage := t.TempDir()
			e := newEngine(t, src, dst)
			e.StageOnly = true
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Stage: stage})
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(stage, "cimimove-"+rep.Run+".ova")); err != nil {
				t.Fatal(err)
			}
			e.StageOnly = false
			_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			want := migrate.ClassIntegrity
			if name == "gone" {
				want = migrate.ClassRefused
			}
			if migrate.ClassOf(err) != want {
				t.Errorf("class %v: %v", migrate.ClassOf(err), err)
			}
			if len(b.systems()) > 0 {
				t.Errorf("the destination holds %v", b.systems())
			}
			killed{stage: stage}.checkClean(t)
		})
	}
}

func flip(file string, off int64) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	return err
}

// TestStageUndone: rollback and gc remove what waits, and nothing else.
func TestStageUndone(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	stage := t.TempDir()
	other := filepath.Join(stage, "other.ova")
	if err := os.WriteFile(other, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, src, dst)
	e.StageOnly = true
	for _, undo := range []func(run string) error{
		func(run string) error { _, err := e.Rollback(t.Context(), run); return err },
		func(run string) error { _, err := e.GC(t.Context(), migrate.GCOptions{Run: run}); return err },
	} {
		rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Stage: stage})
		if err != nil {
			t.Fatal(err)
		}
		if err := undo(rep.Run); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(stage)
		if err != nil || len(files) != 1 || files[0].Name() != "other.ova" {
			t.Errorf("the stage holds %v: %v", files, err)
		}
	}
}

// TestStagePlanned: what is wrong with the place is said before anything moves.
func TestStagePlanned(t *testing.T) {
	store := s3test.Start(t, "depot")
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for stage, why := range map[string]string{"": "--stage names", file: "is a file", "s3://elsewhere/x": "no such bucket", "ftp://h/x": "a stage is a folder"} {
		p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.inProcess(), Destination: b.remote(), System: "shop", Via: migrate.ViaStage, Stage: stage})
		if migrate.ClassOf(err) != migrate.ClassRefused || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v: %v", stage, p, err)
		}
	}
	folder := filepath.Join(t.TempDir(), "not", "there")
	p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: a.inProcess(), Destination: b.remote(), System: "shop", Stage: folder})
	if err != nil || p.Via != migrate.ViaStage || p.Stage != folder {
		t.Errorf("%+v: %v", p, err)
	}
	if _, err := os.Stat(folder); err == nil || len(store.Names()) > 0 {
		t.Error("a plan wrote something")
	}
}

// TestStagedNameTaken: a System of the name that came to the destination while
// the package waited is not doubled; it stays as it is.
func TestStagedNameTaken(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	e.StageOnly = true
	stage := t.TempDir()
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Stage: stage})
	if err != nil {
		t.Fatal(err)
	}
	other := b.load(hosttest.NewSample(t, "shop", 2))
	e.StageOnly = false
	_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	wantClass(t, err, migrate.ClassRefused, migrate.Destination)
	if !errors.Is(err, migrate.ErrNameTaken) {
		t.Errorf("got %v", err)
	}
	if got := b.systems(); len(got) != 1 {
		t.Errorf("the destination holds %v", got)
	}
	if _, err := b.p.Get(t.Context(), other, cimi.ReadOptions{}); err != nil {
		t.Errorf("the other System: %v", err)
	}
}
