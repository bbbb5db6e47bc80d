package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// corpus is a folder of real files beside the repository; tests pass without it.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s beside the repository", name)
	}
	return dir
}

// unsound are the archives of the corpus that must be refused, with their codes.
var unsound = map[string]int{
	"Awingu-open-ovf__py_tests_test_files_ourOVF.ova": 4,
	"ganeti-ganeti__test_data_ovfdata_no_ovf.ova":     3,
	"ganeti-ganeti__test_data_ovfdata_wrong_ova.ova":  3,
}

// TestE2ECorpus moves every sound archive of the corpus through two clouds and
// out again; qemu-img judges the disks.
func TestE2ECorpus(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	archives, err := filepath.Glob(filepath.Join(corpus(t, "corpus/ova"), "*.ova"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives (%v)", err)
	}
	qemu := program(t, "qemu-img")
	dir := t.TempDir()
	east, _ := serving(t, dir, "east")
	west, _ := serving(t, dir, "west")
	for _, archive := range archives {
		base := filepath.Base(archive)
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			if code := unsound[base]; code != 0 {
				doc := cimimove(t, dir, code, "import", archive, east, "--name", base, "--accept-eulas")
				if failure, ok := doc["error"].(map[string]any); !ok || !strings.Contains(fmt.Sprint(failure["message"]), base) {
					t.Errorf("the message does not name the file: %v", doc)
				}
				if count(t, dir, east, base) != 0 {
					t.Error("something of it is in the cloud")
				}
				return
			}
			roundTrip(t, qemu, dir, archive, base, east, west)
		})
	}
}

// roundTrip imports, migrates, exports and compares.
func roundTrip(t *testing.T, qemu, dir, archive, name, east, west string) string {
	t.Helper()
	cimimove(t, dir, 0, "import", archive, east, "--name", name, "--accept-eulas")
	if rep := cimimove(t, dir, 0, "migrate", east, name, west, "--verify", "full"); rep["verified"] != true {
		t.Errorf("not verified: %v", rep)
	}
	out := filepath.Join(t.TempDir(), "out.ova")
	cimimove(t, dir, 0, "export", west, name, out)
	before, after := t.TempDir(), t.TempDir()
	cimimove(t, dir, 0, "convert", archive, before+"/in")
	unpack := exec.Command("tar", "xf", out, "-C", after)
	if b, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	disks, _ := filepath.Glob(filepath.Join(before, "in", "*.vmdk*"))
	for _, original := range disks {
		moved := filepath.Join(after, strings.TrimSuffix(filepath.Base(original), ".gz"))
		if strings.HasSuffix(original, ".gz") {
			original = gunzipped(t, original)
		}
		// Holes are skipped: these disks have 80 GiB of them.
		if b, err := exec.Command(qemu, "compare", "-f", "vmdk", "-F", "vmdk", original, moved).CombinedOutput(); err != nil {
			t.Errorf("%s after the move: %v: %s", filepath.Base(moved), err, b)
		}
	}
	return out
}

func gunzipped(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.vmdk")
	b, err := exec.Command("gzip", "-dc", name).Output()
	if err != nil {
		t.Fatalf("gzip: %v", err)
	}
	if err := os.WriteFile(out, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestE2EApplianceBoots: a disk that boots still boots when it has moved
// through two clouds and out again.
func TestE2EApplianceBoots(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	tool := filepath.Join(corpus(t, "tools"), "bootable-disk")
	qemu, system := program(t, "qemu-img"), program(t, "qemu-system-x86_64")
	program(t, "syslinux")
	dir := t.TempDir()
	if b, err := exec.Command(tool, filepath.Join(dir, "disk.raw"), "wl-moved").CombinedOutput(); err != nil {
		t.Fatalf("bootable-disk: %v: %s", err, b)
	}
	info, err := os.Stat(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "disk", "convert", "disk.raw", "disk1.vmdk", "--to", "vmdk")
	packed, err := os.Stat(filepath.Join(dir, "disk1.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("SIZE"), []byte(strconv.FormatInt(packed.Size(), 10)))
	text = bytes.ReplaceAll(text, []byte(`"2097152"`), []byte(strconv.Quote(strconv.FormatInt(info.Size(), 10))))
	if err := os.WriteFile(filepath.Join(dir, "machine.ovf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "convert", "machine.ovf", "boot.ova")
	east, _ := serving(t, dir, "east")
	west, _ := serving(t, dir, "west")
	out := roundTrip(t, qemu, dir, filepath.Join(dir, "boot.ova"), "boot", east, west)
	if b, err := exec.Command("tar", "xf", out, "-C", dir, "disk1.vmdk").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	vm := exec.Command("timeout", "120", system, "-m", "256", "-nographic", "-no-reboot", "-snapshot",
		"-drive", "file="+filepath.Join(dir, "disk1.vmdk")+",format=vmdk,if=virtio")
	b, err := vm.CombinedOutput()
	if !bytes.Contains(b, []byte("CIMIMOVE-BOOT-OK id=wl-moved")) {
		t.Errorf("it does not boot (%v): %s", err, b)
	}
}
