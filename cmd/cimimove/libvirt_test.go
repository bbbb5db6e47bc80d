package main

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// stored is how many bytes the volumes of a pool take.
func stored(t *testing.T, dir string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "-B1", dir).Output()
	if err != nil {
		return 0
	}
	n := int64(0)
	for _, c := range strings.Fields(string(out))[0] {
		n = n*10 + int64(c-'0')
	}
	return n
}

// whenStored waits until some bytes have arrived in a pool.
func whenStored(t *testing.T, dir string, bytes int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if stored(t, dir) >= bytes {
			return
		}
	}
	t.Fatalf("only %d bytes have arrived", stored(t, dir))
}

// nothingIn wants a pool without volumes and domains.
func nothingIn(t *testing.T, when, pool string) {
	t.Helper()
	if left := libvirtd.Volumes(t, pool); len(left) > 0 {
		t.Errorf("%s: volumes are left: %v", when, left)
	}
	if left := libvirtd.Domains(t, pool); len(left) > 0 {
		t.Errorf("%s: domains are left: %v", when, left)
	}
}

func lastRun(t *testing.T, dir string) map[string]any {
	t.Helper()
	runs := cimimove(t, dir, 0, "status")["runs"].([]any)
	return runs[len(runs)-1].(map[string]any)
}

// TestE2EAC33Libvirt: a process that is killed in the middle of an upload leaves
// no half domain or volume: resume ends well, gc removes what is there.
func TestE2EAC33Libvirt(t *testing.T) {
	libvirtd.Need(t)
	dir := t.TempDir()
	pool, store := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, 2<<30, 512)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")

	p := start(t, dir, "migrate", "local:west", "web", kvm)
	whenStored(t, store, 150<<20)
	p.Process.Kill()
	p.Wait()
	if stored(t, store) >= 512<<20 {
		t.Fatal("it was killed too late")
	}
	run := lastRun(t, dir)
	rep := cimimove(t, dir, 0, "resume", run["run"].(string))
	if rep["verified"] != true || count(t, dir, kvm, "web") != 1 {
		t.Errorf("resumed: %v", rep)
	}
	if d := libvirtd.Domains(t, pool); len(d) != 1 {
		t.Errorf("domains after resume: %v", d)
	}
	disks := 0
	for _, v := range libvirtd.Volumes(t, pool) {
		if strings.HasPrefix(v, "cimimove-disk-") {
			disks++
		}
	}
	if disks != 1 {
		t.Errorf("%d disks after resume", disks)
	}

	other, store := libvirtd.Pool(t)
	kvm = "libvirt:qemu:///system?type=qemu&pool=" + other
	p = start(t, dir, "migrate", "local:west", "web", kvm)
	whenStored(t, store, 150<<20)
	p.Process.Kill()
	p.Wait()
	cimimove(t, dir, 0, "gc", "--run", lastRun(t, dir)["run"].(string))
	nothingIn(t, "after gc", other)
}

// TestE2EAC32Libvirt: an interrupt in the middle of an upload exits 130 and says
// how to go on and back; rollback works from the journal alone.
func TestE2EAC32Libvirt(t *testing.T) {
	libvirtd.Need(t)
	dir := t.TempDir()
	pool, store := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, 2<<30, 512)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	p := start(t, dir, "migrate", "local:west", "web", kvm)
	whenStored(t, store, 100<<20)
	p.Process.Signal(syscall.SIGINT)
	err := p.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("interrupted it ends with %v", err)
	}
	if said := p.diagnostics.String(); !strings.Contains(said, "resume") || !strings.Contains(said, "rollback") {
		t.Errorf("it says %q", said)
	}
	cimimove(t, dir, 0, "rollback", lastRun(t, dir)["run"].(string))
	nothingIn(t, "after a rollback", pool)
}

// TestE2EAC34Libvirt: what is there is refused, skipped, replaced or stands
// beside the new one, as asked.
func TestE2EAC34Libvirt(t *testing.T) {
	libvirtd.Need(t)
	dir := t.TempDir()
	pool, _ := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, 64<<20, 8)
	cimimove(t, dir, 0, "import", "machine.ovf", kvm)
	first := libvirtd.Domains(t, pool)
	cimimove(t, dir, 5, "import", "machine.ovf", kvm)
	cimimove(t, dir, 0, "import", "machine.ovf", kvm, "--if-exists", "skip")
	if now := libvirtd.Domains(t, pool); len(now) != 1 || now[0] != first[0] {
		t.Errorf("skipped, there are %v instead of %v", now, first)
	}
	cimimove(t, dir, 0, "import", "machine.ovf", kvm, "--if-exists", "replace")
	if now := libvirtd.Domains(t, pool); len(now) != 1 || now[0] == first[0] {
		t.Errorf("replaced, there are %v, before %v", now, first)
	}
	cimimove(t, dir, 0, "import", "machine.ovf", kvm, "--if-exists", "rename")
	if now := libvirtd.Domains(t, pool); len(now) != 2 || count(t, dir, kvm, "web") != 1 {
		t.Errorf("renamed, there are %v", now)
	}
}

// TestE2EAC35Libvirt: a dry run makes nothing, and names what does not fit with
// the candidates.
func TestE2EAC35Libvirt(t *testing.T) {
	libvirtd.Need(t)
	dir := t.TempDir()
	pool, _ := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, 64<<20, 8)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	cimimove(t, dir, 0, "migrate", "local:west", "web", kvm, "--dry-run", "--net", "*=user")
	doc := cimimove(t, dir, 5, "migrate", "local:west", "web", kvm, "--dry-run", "--net", "lan=nowhere")
	found := false
	for _, f := range doc["findings"].([]any) {
		f := f.(map[string]any)
		found = found || strings.Contains(f["message"].(string), "nowhere") && strings.Contains(f["hint"].(string), "user")
	}
	if !found {
		t.Errorf("an unknown network is not told with the candidates: %v", doc["findings"])
	}
	nothingIn(t, "after dry runs", pool)
}

// TestE2ELibvirtServed: a libvirtd is served as a CIMI cloud; who speaks CIMI
// takes Systems out of it and puts them in, each verified in full.
func TestE2ELibvirtServed(t *testing.T) {
	libvirtd.Need(t)
	dir := t.TempDir()
	pool, _ := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, 64<<20, 8)
	id := cimimove(t, dir, 0, "import", "machine.ovf", kvm)["id"].(string)
	if got := cimimove(t, dir, 0, "get", kvm, id); got["name"] != "web" {
		t.Errorf("get %s %s: %v", kvm, id, got)
	}
	gate, _ := serving(t, dir, kvm)
	if got := cimimove(t, dir, 0, "get", gate, id); got["name"] != "web" {
		t.Errorf("get %s %s: %v", gate, id, got)
	}
	if _, state := machineNamed(t, dir, gate, "machines", "web"); state != "STOPPED" {
		t.Errorf("the machine is %s", state)
	}
	if rep := cimimove(t, dir, 0, "migrate", gate, "web", "local:east"); rep["verified"] != true {
		t.Errorf("out through it: %v", rep)
	}
	if rep := cimimove(t, dir, 0, "migrate", "local:east", "web", gate, "--name", "again"); rep["verified"] != true {
		t.Errorf("in through it: %v", rep)
	}
	if count(t, dir, kvm, "again") != 1 || count(t, dir, gate, "web") != 1 || len(libvirtd.Domains(t, pool)) != 2 {
		t.Errorf("domains: %v", libvirtd.Domains(t, pool))
	}
}
