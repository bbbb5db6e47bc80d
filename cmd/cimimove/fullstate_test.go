package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullStateDirectory: when the journal has no room, exit 5 names the state
// directory; nothing is lost, and with room the same run goes on.
func TestFullStateDirectory(t *testing.T) {
	small := smallDisk(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	file, east, west := bigArchive(t), "local:"+t.TempDir(), "local:"+t.TempDir()
	if code, _, stderr := invoked("import", file, east); code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	state := filepath.Join(small, "state")
	migrate := []string{"migrate", east, "web", west, "--state-dir", state, "--progress", "none"}
	filler := filepath.Join(small, "filler")
	fill := func(left int) {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for n, block := 0, make([]byte, 4096); n < 4<<20/4096; n++ {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
		at, err := f.Seek(0, 1)
		if err == nil {
			err = f.Truncate(max(at-int64(left), 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	step := 96 << 10
	if os.Getenv("CIMIMOVE_SLOW") == "1" {
		step = 16 << 10
	}
	for left := 0; left <= 512<<10; left += step {
		fill(left)
		code, _, stderr := invoked(migrate...)
		if code == 0 {
			if left == 0 {
				t.Error("the disk is not full")
			}
			break
		}
		if code != 5 || !strings.Contains(stderr, state) || !strings.Contains(stderr, "make room in") {
			t.Errorf("%d KiB left: exit code %d: %s", left>>10, code, stderr)
		}
		if err := oneLine(stderr); err != nil {
			t.Error(err)
		}
		if err := exec.Command("mount", "-o", "remount,size=16m", small).Run(); err != nil {
			t.Fatal(err)
		}
		// What was begun is gone on with, or nothing was.
		code, out, stderr := invoked("status", "--state-dir", state, "-o", "json")
		if code != 0 {
			t.Fatalf("%d KiB left: status: %d: %s", left>>10, code, stderr)
		}
		if run, _ := at(out, ".runs[0].run"); run != "" {
			if code, _, stderr := invoked("resume", run, "--state-dir", state, "--progress", "none"); code != 0 {
				t.Errorf("%d KiB left: resume: %d: %s", left>>10, code, stderr)
			}
			if _, names, _ := invoked("ls", west, "systems"); strings.Count(names, "web") != 1 {
				t.Errorf("%d KiB left: the destination holds %s", left>>10, names)
			}
			if code, _, stderr := invoked("rollback", run, "--state-dir", state); code != 0 {
				t.Errorf("%d KiB left: rollback: %d: %s", left>>10, code, stderr)
			}
		}
		os.RemoveAll(state)
		os.Remove(filler)
		if err := exec.Command("mount", "-o", "remount,size=4m", small).Run(); err != nil {
			t.Fatal(err)
		}
	}
}
