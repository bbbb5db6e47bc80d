package libvirtd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Write has a domain that runs write to one of its disks, as its guest would:
// command is one of qemu-io's, disk a part of the path of its image.
func Write(t testing.TB, domain, disk, command string) {
	t.Helper()
	device := ""
	for line := range strings.Lines(Virsh(t, "qemu-monitor-command", domain, "--hmp", "info block")) {
		if strings.Contains(line, disk) {
			device = "?"
		}
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Attached to:"); ok && device == "?" {
			device = strings.TrimSpace(name)
			break
		}
	}
	out := Virsh(t, "qemu-monitor-command", domain, "--hmp", fmt.Sprintf("qemu-io -d %s %q", device, command))
	if strings.TrimSpace(out) != "" {
		t.Fatalf("%s on %s: %s", command, device, out)
	}
}

// Halt gets ready to stop the QEMU of a domain in the middle of its next backup
// into a volume of a folder. Called, it waits until that has begun, and gives what
// continues it: SIGCONT, or another signal in its place.
func Halt(t testing.TB, domain, folder string) (halt func() (then func(syscall.Signal))) {
	t.Helper()
	pid := processOf(t, domain)
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	return func() func(syscall.Signal) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			all, _ := filepath.Glob(filepath.Join(folder, "cimimove-copy-*"))
			for _, f := range all {
				if st, err := os.Stat(f); err == nil && st.Size() > 1<<20 {
					signal(syscall.SIGSTOP)
					return signal
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("domain %s begins no backup", domain)
			}
		}
	}
}

// Idle wants a domain that runs to have no job, checkpoint or snapshot.
func Idle(t testing.TB, domain string) {
	t.Helper()
	NoJob(t, domain)
	Clean(t, domain)
}

// NoJob wants a domain that runs to have no job.
func NoJob(t testing.TB, domain string) {
	t.Helper()
	if out := Virsh(t, "domjobinfo", domain); !strings.Contains(out, "None") {
		t.Errorf("domain %s has a job: %s", domain, out)
	}
}

// Checkpoints are the names of those that a domain has.
func Checkpoints(t testing.TB, domain string) []string {
	t.Helper()
	return strings.Fields(Virsh(t, "checkpoint-list", domain, "--name"))
}

// Clean wants a domain to have no checkpoint or snapshot.
func Clean(t testing.TB, domain string) {
	t.Helper()
	for _, list := range []string{"checkpoint-list", "snapshot-list"} {
		if out := strings.TrimSpace(Virsh(t, list, domain, "--name")); out != "" {
			t.Errorf("domain %s: %s: %s", domain, list, out)
		}
	}
}
