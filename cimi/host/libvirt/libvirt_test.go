package libvirt_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
)

const socket = "/var/run/libvirt/libvirt-sock"

// daemon skips the test unless a libvirtd answers and E2E tests are wanted.
func daemon(t testing.TB) {
	t.Helper()
	if os.Getenv("CIMIMOVE_E2E") != "1" {
		t.Skip("CIMIMOVE_E2E=1 is not set: tests with a real libvirtd do not run")
	}
	missing := func(what string) {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	for _, p := range []string{"virsh", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(p); err != nil {
			missing(p + " is missing")
		}
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		missing("no libvirtd answers: start virtlogd -d and libvirtd -d: " + err.Error())
	}
	c.Close()
}

// pool makes a dir pool of its own for the test.
func pool(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "cimimove-test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(dir)
	virsh(t, "pool-create-as", name, "dir", "--target", dir)
	t.Cleanup(func() {
		virsh(t, "pool-destroy", name)
		os.RemoveAll(dir)
	})
	return name
}

func virsh(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh %v: %v\n%s", args, err, out)
	}
	return string(out)
}

type hosts struct{ pools map[host.Host]string }

func (k hosts) Open(t testing.TB) host.Host { return k.open(t, pool(t)) }

func (k hosts) open(t testing.TB, pool string) host.Host {
	t.Helper()
	h, err := libvirt.Open(context.Background(), "qemu:///system?pool="+pool, libvirt.Options{Owner: "test", DomainType: "qemu"})
	if err != nil {
		t.Fatal(err)
	}
	k.pools[h] = pool
	t.Cleanup(func() {
		for s, err := range h.Systems(context.Background()) {
			if err != nil {
				return // closed by Reopen, whose host cleans up
			}
			if err := h.Delete(context.Background(), s.ID); err != nil {
				t.Error(err)
			}
		}
		h.Close()
	})
	return h
}

func (k hosts) Reopen(t testing.TB, h host.Host) host.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return k.open(t, k.pools[h])
}

func TestHost(t *testing.T) {
	daemon(t)
	hosttest.Run(t, hosts{map[host.Host]string{}})
}

// TestNothingIsLeft: an import that breaks leaves neither volume nor domain.
func TestNothingIsLeft(t *testing.T) {
	daemon(t)
	name := pool(t)
	k := hosts{map[host.Host]string{}}
	h := k.open(t, name)
	before := virsh(t, "list", "--all", "--uuid")
	sample := hosttest.NewSample(t, "appliance", 1)
	broken := sample.OVA(t)
	off, size := sample.File(t, "disk2.vmdk")
	broken[off+size/2] ^= 1
	if _, err := h.Import(context.Background(), hosttest.Package(t, broken), host.ImportOptions{}); err == nil {
		t.Fatal("a broken package was imported")
	}
	if vols := virsh(t, "vol-list", name); vols != "" && vols != "\n" {
		t.Errorf("volumes are left:\n%s", vols)
	}
	if after := virsh(t, "list", "--all", "--uuid"); after != before {
		t.Errorf("domains before:\n%s\nafter:\n%s", before, after)
	}
	if _, err := h.Import(context.Background(), hosttest.Package(t, sample.OVA(t)), host.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
}
