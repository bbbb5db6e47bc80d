package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// kvm is the libvirtd of this machine, with a pool of its own, as a destination.
func kvm(t *testing.T) *hypervisor {
	t.Helper()
	libvirtd.Need(t)
	t.Parallel()
	pool, store := libvirtd.Pool(t)
	socket, sent, _ := libvirtd.Counting(t)
	k := &hypervisor{endpoint: "libvirt:qemu:///system?type=qemu&socket=" + socket + "&pool=" + pool, sent: sent.Load, capacity: 2 << 30, data: 512, network: "user", keeps: true}
	k.halfway = func(t *testing.T, dir string, args ...string) (*process, func()) {
		p := start(t, dir, args...)
		whenStored(t, store, 120<<20)
		return p, func() {}
	}
	k.late = func() bool { return stored(t, store) >= 512<<20 }
	k.machines = func() []string { return libvirtd.Domains(t, pool) }
	k.things = func() []string { return append(libvirtd.Volumes(t, pool), libvirtd.Domains(t, pool)...) }
	k.nothing = func(when string) {
		t.Helper()
		if left := k.things(); len(left) > 0 {
			t.Errorf("%s: left are %v", when, left)
		}
	}
	k.whole = func(when string) {
		t.Helper()
		disks := 0
		for _, v := range libvirtd.Volumes(t, pool) {
			if strings.HasPrefix(v, "cimimove-disk-") {
				disks++
			}
		}
		if d := libvirtd.Domains(t, pool); len(d) != 1 || disks != 1 {
			t.Errorf("%s: %d disks, and the domains %v", when, disks, d)
		}
	}
	return k
}

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

func TestE2EAC32Libvirt(t *testing.T) { ac32Interrupt(t, kvm(t)) }

// TestE2EAC33Libvirt: of what has arrived when the process is killed no more than
// a chunk of 64 MiB is sent again; see ac33Resume.
func TestE2EAC33Libvirt(t *testing.T) {
	k := kvm(t)
	ac33Resume(t, k)
	const data, chunk = 512, 64
	if sent := k.sent() >> 20; sent < data || sent > data+chunk+16 { // records of some 100 KiB for each mark, and what was asked
		t.Errorf("%d MiB were sent of a disk with %d", sent, data)
	} else {
		t.Logf("%d MiB were sent of a disk with %d", sent, data)
	}
}

func TestE2EAC33LibvirtGC(t *testing.T) { ac33Collect(t, kvm(t)) }
func TestE2EAC34Libvirt(t *testing.T)   { ac34Exists(t, kvm(t)) }
func TestE2EAC35Libvirt(t *testing.T)   { ac35DryRun(t, kvm(t)) }

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

// TestE2EWarmLibvirtKilled: a warm migration of a machine that runs is killed while
// libvirt copies its disk, and again in the middle of the bulk copy. The first time
// whoever comes next ends the copying and removes what there is of it; the second
// time what was copied stays and is gone on with. Nothing is left in the end.
func TestE2EWarmLibvirtKilled(t *testing.T) {
	libvirtd.Need(t)
	const size, data = 1 << 30, 384
	dir := t.TempDir()
	pool, store := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&pool=" + pool
	bigPackage(t, dir, size, data)
	cimimove(t, dir, 0, "import", "machine.ovf", kvm)
	before := len(libvirtd.Volumes(t, pool))
	domain := libvirtd.Domains(t, pool)[0]
	libvirtd.Virsh(t, "start", domain)
	copies := func() (out []string) {
		for _, v := range libvirtd.Volumes(t, pool) {
			if strings.HasPrefix(v, "cimimove-copy-") {
				out = append(out, v)
			}
		}
		return out
	}
	migrate := []string{"migrate", kvm, "web", "local:west", "--warm", "--via", "relay", "--quiesce", "force", "--stop-timeout", "3s"}
	killed := func(args []string, when func()) (run string) {
		p := start(t, dir, args...)
		when()
		p.Process.Kill()
		p.Wait()
		last := lastRun(t, dir)
		if last["state"] != "interrupted" {
			t.Fatalf("it was killed too late: %v: %s", last["state"], p.diagnostics.String())
		}
		return last["run"].(string)
	}

	halt := libvirtd.Halt(t, domain, store)
	var then func(syscall.Signal)
	run := killed(migrate, func() { then = halt() })
	then(syscall.SIGCONT)
	if len(copies()) != 1 {
		t.Errorf("killed, there are %v", copies())
	}
	cimimove(t, dir, 0, "ls", kvm, "systems")
	libvirtd.Idle(t, domain)
	if left := libvirtd.Volumes(t, pool); len(left) != before {
		t.Errorf("there were %d volumes, left are %v", before, left)
	}

	resume := []string{"resume", run}
	killed(resume, func() { whenStored(t, filepath.Join(dir, "west"), 100<<20) })
	kept := copies()
	if len(kept) != 1 {
		t.Fatalf("killed in the bulk copy, there are %v", kept)
	}
	libvirtd.Idle(t, domain)
	cimimove(t, dir, 0, "ls", kvm, "systems")
	if now := copies(); !slices.Equal(now, kept) {
		t.Errorf("somebody looked, and of %v there are %v", kept, now)
	}
	p := start(t, dir, append(resume, "--output", "json")...)
	for deadline := time.Now().Add(2 * time.Minute); len(copies()) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the copy is kept: %s", p.diagnostics.String())
		}
	}
	// It is asked to stop, and does not hear it.
	libvirtd.Write(t, domain, store, "write -P 7 1M 3M")
	libvirtd.Virsh(t, "destroy", domain)
	if err := p.Wait(); err != nil {
		t.Fatalf("%v: %s", err, p.diagnostics.String())
	}
	var rep map[string]any
	if err := json.Unmarshal(p.out.Bytes(), &rep); err != nil || rep["verified"] != true {
		t.Fatalf("resumed: %v: %v", rep, err)
	}
	warm := rep["warm"].(map[string]any)
	t.Logf("resumed: %v", warm)
	if bulk := warm["bulkBytes"].(float64); bulk < 200<<20 || bulk > data<<20+64<<20 {
		t.Errorf("the bulk was %.0f bytes of %d MiB", bulk, data)
	}
	if changed := warm["changedBytes"].(float64); changed < 3<<20-4096 || changed > 4<<20 {
		t.Errorf("%.0f bytes were replaced of the 3 MiB that were written", changed)
	}
	disks, err := filepath.Glob(filepath.Join(dir, "west", "disks", "*.raw"))
	if err != nil || len(disks) != 1 {
		t.Fatalf("disks at the destination: %v: %v", disks, err)
	}
	source, err := filepath.Glob(filepath.Join(store, "cimimove-disk-*.raw"))
	if err != nil || len(source) != 1 {
		t.Fatalf("disks at the source: %v: %v", source, err)
	}
	if out, err := exec.Command("cmp", "-n", strconv.Itoa(size), disks[0], source[0]).CombinedOutput(); err != nil {
		t.Errorf("the copy is another one: %s", out)
	}
	libvirtd.Clean(t, domain)
	if left := libvirtd.Volumes(t, pool); len(left) != before {
		t.Errorf("there were %d volumes, left are %v", before, left)
	}
}
