// Package libvirtd gives tests the libvirtd of this machine, with storage pools
// and networks of their own. It is started by hand where there is no systemd:
// virtlogd -d, libvirtd -d.
package libvirtd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Socket is where it listens.
const Socket = "/var/run/libvirt/libvirt-sock"

// Need skips the test unless a libvirtd answers and slow tests are wanted; where
// CIMIMOVE_CI is set, one that is missing is a failure.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it: it needs a libvirtd")
	}
	for _, p := range []string{"virsh", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, p+" is not installed (packages libvirt-clients, libvirt-daemon-system, qemu-system-x86)")
		}
	}
	c, err := net.Dial("unix", Socket)
	if err != nil {
		missing(t, "no libvirtd answers: start virtlogd -d and libvirtd -d: "+err.Error())
		return
	}
	c.Close()
}

// NeedFile skips the test where a file that a Debian package brings is not
// there; where CIMIMOVE_CI is set, that is a failure.
func NeedFile(t testing.TB, path, pkg string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, fmt.Sprintf("%s is not there (package %s)", path, pkg))
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CIMIMOVE_CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Virsh runs a command of libvirt's own tool. A job that a process which was killed
// had begun in a pool ends soon, and is waited for.
func Virsh(t testing.TB, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
		switch {
		case err == nil:
			return string(out)
		case !strings.Contains(string(out), "has asynchronous jobs running") || time.Now().After(deadline):
			t.Fatalf("virsh %v: %v\n%s", args, err, out)
		}
	}
}

// Pool makes a pool of type dir for the test, and gives its name and folder. What
// is left in it when the test ends is removed, domains that use it first.
func Pool(t testing.TB) (name, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "cimimove-test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // QEMU is another user
		t.Fatal(err)
	}
	name = filepath.Base(dir)
	Virsh(t, "pool-create-as", name, "dir", "--target", dir)
	before := map[string]bool{}
	for _, id := range strings.Fields(Virsh(t, "list", "--all", "--uuid")) {
		before[id] = true
	}
	t.Cleanup(func() {
		for _, id := range append(Domains(t, name), diskless(t, before)...) {
			exec.Command("virsh", "-q", "-c", "qemu:///system", "destroy", id).Run()                                                                                 // it may not run
			exec.Command("virsh", "-q", "-c", "qemu:///system", "undefine", id, "--nvram", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata").Run() // gone meanwhile, with another test
		}
		Virsh(t, "pool-destroy", name)
		os.RemoveAll(dir)
	})
	return name, dir
}

// diskless are the domains of ours without a disk that have come since: no pool
// tells whose they are.
func diskless(t testing.TB, before map[string]bool) (out []string) {
	t.Helper()
	for _, id := range strings.Fields(Virsh(t, "list", "--all", "--uuid")) {
		if before[id] {
			continue
		}
		x, err := exec.Command("virsh", "-q", "-c", "qemu:///system", "dumpxml", "--inactive", id).Output()
		if err == nil && strings.Contains(string(x), "cimimove.github.io/libvirt") && !strings.Contains(string(x), "<disk ") {
			out = append(out, id)
		}
	}
	return out
}

// Domains are the UUIDs of the domains that have a disk in a pool.
func Domains(t testing.TB, pool string) (out []string) {
	t.Helper()
	for _, id := range strings.Fields(Virsh(t, "list", "--all", "--uuid")) {
		x, err := exec.Command("virsh", "-q", "-c", "qemu:///system", "dumpxml", "--inactive", id).Output()
		if err != nil {
			continue // gone meanwhile, with another test
		}
		if strings.Contains(string(x), fmt.Sprintf("pool='%s'", pool)) || strings.Contains(string(x), "/"+pool+"/") {
			out = append(out, id)
		}
	}
	return out
}

// Volumes are the names of what lies in a pool.
func Volumes(t testing.TB, pool string) (out []string) {
	t.Helper()
	Virsh(t, "pool-refresh", pool)
	for line := range strings.Lines(Virsh(t, "vol-list", pool)) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	return out
}
