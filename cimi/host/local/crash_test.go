package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// crashDir names the folder to import into, in the process that is to be killed.
const crashDir = "CIMIMOVE_TEST_CRASH_DIR"

// TestCrashLoop is that process: it imports and deletes until it is killed.
func TestCrashLoop(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("runs in the process that TestKilled kills")
	}
	h, err := local.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		fmt.Println("importing")
		s, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "app", 1).OVA(t)), host.ImportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("promised", s.ID)
		if i%2 == 1 {
			fmt.Println("deleting", s.ID)
			if err := h.Delete(context.Background(), s.ID); err != nil {
				t.Fatal(err)
			}
			fmt.Println("deleted", s.ID)
		}
	}
}

// TestKilled kills an importing process at random moments: what was promised is
// there, whole, and nothing else is.
func TestKilled(t *testing.T) {
	ovftest.Slow(t)
	dir := t.TempDir()
	rounds := 8
	interrupted := 0
	for round := range rounds {
		promised, deleting, last := killed(t, dir, time.Duration(rand.IntN(60))*time.Millisecond)
		if last == "importing" {
			interrupted++
		}
		h, err := local.Open(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]bool{}
		for _, s := range all(t, h) {
			delete(promised, s.ID)
			for d := range s.AllDisks() {
				files["disks/"+d.ID+".raw"] = true
			}
			files["files/"+s.ID] = true
			x, err := h.Export(context.Background(), s.ID, host.ExportOptions{})
			if err != nil {
				t.Fatalf("round %d: a listed System is not whole: %v", round, err)
			}
			x.Close()
		}
		for id := range promised {
			if id != deleting {
				t.Errorf("round %d: System %s was promised and is not there", round, id)
			}
		}
		for _, sub := range []string{"disks", "files"} {
			entries, err := os.ReadDir(filepath.Join(dir, sub))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if !files[sub+"/"+e.Name()] {
					t.Errorf("round %d: %s/%s belongs to no System", round, sub, e.Name())
				}
			}
		}
		for _, s := range all(t, h) {
			if err := h.Delete(context.Background(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills hit an import", interrupted, rounds)
}

func all(t testing.TB, h host.Host) (out []*host.System) {
	t.Helper()
	for s, err := range h.Systems(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// killed runs the loop, kills it some time after its first promise, and says
// what it had promised and not deleted, what it was deleting, and its last word.
func killed(t testing.TB, dir string, after time.Duration) (promised map[string]bool, deleting, last string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashLoop$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	promised = map[string]bool{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, id, _ := strings.Cut(lines.Text(), " ")
		last = word
		switch word {
		case "promised":
			if len(promised) == 0 {
				time.AfterFunc(after, func() { cmd.Process.Kill() })
			}
			promised[id] = true
		case "deleting":
			deleting = id
		case "deleted":
			delete(promised, id)
		case "importing":
		default:
			t.Log(lines.Text())
		}
	}
	if err := cmd.Wait(); err == nil || len(promised) == 0 && deleting == "" {
		t.Fatalf("the importing process ended by itself: %v", err)
	}
	return promised, deleting, last
}

// TestInUse: one process at a time.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := local.Open(context.Background(), dir); !errors.Is(err, local.ErrInUse) {
		t.Errorf("opening twice: %v", err)
	}
}

// TestDamaged: a disk changed behind our back is refused, with both digests; a
// copy of the folder is not.
func TestDamaged(t *testing.T) {
	dir, sample := t.TempDir(), hosttest.NewSample(t, "app", 1)
	h := open(t, dir)
	s, err := h.Import(context.Background(), hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "disks", s.Disks[0].ID+".raw")
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	x, err := h.Export(context.Background(), s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatalf("a touched disk: %v", err)
	}
	defer x.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 1<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := x.ReadAt(make([]byte, x.Size()), 0); !isIntegrity(err) {
		t.Errorf("reading an export over a changed disk: %v", err)
	}
	_, err = h.Export(context.Background(), s.ID, host.ExportOptions{})
	if !isIntegrity(err) || !strings.Contains(err.Error(), s.Disks[0].ContentDigest) {
		t.Errorf("exporting a changed disk: %v", err)
	}
	if err := os.Truncate(path, 512); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Export(context.Background(), s.ID, host.ExportOptions{}); !isIntegrity(err) {
		t.Errorf("exporting a cut disk: %v", err)
	}
}
