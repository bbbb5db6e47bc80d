// Package libvirtd gives tests the libvirtd of this machine, with storage pools
// and networks of their own. It is started by hand where there is no systemd:
// virtlogd -d, libvirtd -d.
package libvirtd

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// Virsh runs a command of libvirt's own tool, or several that a semicolon parts, all
// of which must succeed. A job that a process which was killed had begun in a pool
// ends soon, and is waited for.
func Virsh(t testing.TB, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := virsh(args...)
		switch {
		case err == nil:
			return out
		case !strings.Contains(err.Error(), "has asynchronous jobs running") || time.Now().After(deadline):
			t.Fatalf("virsh %v: %v\n%s", args, err, out)
		}
	}
}

var errRefused = errors.New("a command failed")

// virsh gives its standard output, too where it fails. Of several commands it runs
// all, and its exit code is that of the last: what it complains of tells.
func virsh(args ...string) (string, error) {
	cmd := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || strings.Contains(complaints.String(), "error: ") {
		err = fmt.Errorf("%w: %s", cmp.Or(err, errRefused), strings.TrimSpace(complaints.String()))
	}
	return string(out), err
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
	t.Cleanup(func() {
		var end []string
		for id, text := range descriptions(t) {
			if liesIn(text, name) || diskless(text, dir) {
				end = append(end, "destroy "+id, "undefine "+id+" --nvram --managed-save --snapshots-metadata --checkpoints-metadata")
			}
		}
		if len(end) > 0 {
			virsh(strings.Join(end, "; ")) // it may not run, and may be gone meanwhile, with another test
		}
		Virsh(t, "pool-destroy", name)
		os.RemoveAll(dir)
	})
	return name, dir
}

// systemOf finds the System of ours that a domain is a machine of.
var systemOf = regexp.MustCompile(`cimimove\.github\.io/libvirt/[^>]* system=['"]([0-9a-f]+)['"]`)

// diskless tells a domain of ours without a disk whose System is recorded in the
// folder of a pool: other tests have theirs at the same time.
func diskless(description, dir string) bool {
	of := systemOf.FindStringSubmatch(description)
	if of == nil || strings.Contains(description, "<disk ") {
		return false
	}
	records, err := filepath.Glob(filepath.Join(dir, "cimimove-"+of[1]+".*"))
	return err == nil && len(records) > 0
}

// liesIn tells a domain that has a disk in a pool.
func liesIn(description, pool string) bool {
	return strings.Contains(description, fmt.Sprintf("pool='%s'", pool)) || strings.Contains(description, "/"+pool+"/")
}

var uuidOf = regexp.MustCompile(`<uuid>([^<]*)</uuid>`)

// descriptions are those of all domains, by UUID. One call of virsh reads them all:
// it takes as long to start as to read a hundred.
func descriptions(t testing.TB) map[string]string {
	t.Helper()
	ids := strings.Fields(Virsh(t, "list", "--all", "--uuid"))
	out := make(map[string]string, len(ids))
	if len(ids) == 0 {
		return out
	}
	all, _ := virsh("dumpxml --inactive " + strings.Join(ids, "; dumpxml --inactive ")) // some may be gone meanwhile, with another test
	for text := range strings.SplitAfterSeq(all, "</domain>\n") {
		if of := uuidOf.FindStringSubmatch(text); of != nil {
			out[of[1]] = text
		}
	}
	return out
}

// Domains are the UUIDs of the domains that have a disk in a pool, in their order.
func Domains(t testing.TB, pool string) (out []string) {
	t.Helper()
	for id, text := range descriptions(t) {
		if liesIn(text, pool) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Volumes are the names of what lies in a pool.
func Volumes(t testing.TB, pool string) (out []string) {
	t.Helper()
	for line := range strings.Lines(Virsh(t, "pool-refresh "+pool+"; vol-list "+pool)) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	return out
}
