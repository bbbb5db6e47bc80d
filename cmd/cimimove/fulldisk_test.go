package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// smallDisk is a file system with room for 4 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CIMIMOVE_CI") != "" {
		missing = t.Fatalf
	}
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		missing("mounting a small file system takes root")
	}
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).Run(); err != nil {
		missing("no tmpfs can be mounted: %v", err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

// bigArchive is a package with a disk of 16 MiB, half of them noise.
func bigArchive(t *testing.T) string {
	t.Helper()
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"), "disk=16777216", `replace=capacity="2097152"=>capacity="16777216"`)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "big.ova")
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestFullDisk writes everything that is written into a file system without
// room for it: exit 5, one line that says so, and nothing under any name.
func TestFullDisk(t *testing.T) {
	small := smallDisk(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	file, east := bigArchive(t), "local:"+t.TempDir()
	if code, _, stderr := invoked("import", file, east); code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	raw := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(raw, testContent("disk.raw", 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(small, name) }
	for _, args := range [][]string{
		{"import", file, "local:" + in("cloud")},
		{"convert", file, in("out.ova")},
		{"convert", file, in("out") + "/", "--disk-format", "raw"},
		{"export", east, "web", in("out.ova")},
		{"export", east, "web", in("out") + "/"},
		{"disk", "convert", raw, in("out.qcow2"), "--to", "qcow2"},
		{"migrate", east, "web", "local:" + in("cloud"), "-o", "json"},
	} {
		code, out, stderr := invoked(append(args, "--progress", "none")...)
		if code != 5 || !strings.Contains(stderr, "no space left") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
		if err := oneLine(stderr); err != nil {
			t.Error(err)
		}
		if args[0] == "migrate" {
			if side, err := at(out, ".error.side"); side != "destination" {
				t.Errorf("side %s of %s (%v)", side, out, err)
			}
		}
		if err := noDisks(small); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		os.RemoveAll(in("cloud"))
	}
}

// TestFullDatabase: a file system on which not even what describes a cloud has
// room is as full as one that has none for its disks, however far it comes.
func TestFullDatabase(t *testing.T) {
	small := smallDisk(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	p, err := newTestPackage(filepath.Join("testdata", "descriptor"))
	if err != nil {
		t.Fatal(err)
	}
	file, east := filepath.Join(t.TempDir(), "web.ova"), "local:"+t.TempDir()
	if err := p.write(file); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := invoked("import", file, east); code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	cloud := filepath.Join(small, "cloud")
	for room := 0; room <= 256<<10; room += 16 << 10 {
		if err := os.WriteFile(filepath.Join(small, "fill"), make([]byte, 4<<20-room), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"ls", "local:" + cloud}, {"import", file, "local:" + cloud}, {"migrate", east, "web", "local:" + cloud}} {
			code, _, stderr := invoked(append(args, "--progress", "none")...)
			if code == 0 && args[0] == "ls" {
				continue // there was room for an empty one
			}
			if code != 5 || !strings.Contains(stderr, "no space left") {
				t.Errorf("%v with room for %d bytes: exit code %d: %s", args, room, code, stderr)
			}
		}
		os.RemoveAll(cloud)
	}
}

// TestFullDestinationE2E migrates on each way into a served cloud whose file
// system is too small: exit 5 and class refused, the destination named, and both
// clouds as they were; when there is room, the same command succeeds.
func TestFullDestinationE2E(t *testing.T) {
	endToEnd(t)
	small, dir := smallDisk(t), t.TempDir()
	cimimove(t, dir, 0, "import", bigArchive(t), "local:east")
	east, _ := serving(t, dir, "east")
	west, _ := serving(t, dir, filepath.Join(small, "west"))
	for _, way := range [][]string{{"--via", "relay"}, {"--via", "direct"}, {"--via", "resources"}, {"--stage", "waits"}} {
		doc := cimimove(t, dir, 5, append([]string{"migrate", east, "web", west}, way...)...)
		failure, _ := doc["error"].(map[string]any)
		if failure["class"] != "refused" || failure["side"] != "destination" || !strings.Contains(fmt.Sprint(failure["message"]), "no space left") {
			t.Errorf("%v: %v", way, failure)
		}
		if count(t, dir, east, "web") != 1 || count(t, dir, west, "") != 0 {
			t.Errorf("%v: the clouds are not as they were", way)
		}
		for _, collection := range []string{"machines", "volumes", "networks", "volumeImages", "machineImages"} {
			if left := resources(t, dir, west, collection); len(left) > 0 {
				t.Errorf("%v: the destination's %s hold %v", way, collection, left)
			}
		}
		if left := resources(t, dir, east, "volumeImages"); len(left) > 0 {
			t.Errorf("%v: the source keeps %v", way, left)
		}
		if err := noDisks(small); err != nil {
			t.Errorf("%v: %v", way, err)
		}
	}
	if b, err := exec.Command("mount", "-o", "remount,size=64m", small).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if rep := cimimove(t, dir, 0, "migrate", east, "web", west); rep["verified"] != true {
		t.Errorf("with room: %v", rep)
	}
}
