package migrate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/migrate"
)

// kvmCloud is a pool of this machine's libvirtd as a cloud.
type kvmCloud struct {
	*cloud
	name, store string // of the pool, and its folder
	uri         string
}

// newKVMCloud makes one; query is added to the URI.
func newKVMCloud(t *testing.T, query string) *kvmCloud {
	t.Helper()
	c := &kvmCloud{cloud: &cloud{t: t, dir: t.TempDir()}}
	c.name, c.store = libvirtd.Pool(t)
	c.uri = "qemu:///system?type=qemu&pool=" + c.name + query
	c.open()
	t.Cleanup(func() { c.p.Close() })
	return c
}

func (c *kvmCloud) open() {
	c.t.Helper()
	var err error
	if c.p, err = openKVM(c.t.Context(), c.uri, c.dir); err != nil {
		c.t.Fatal(err)
	}
}

// openKVM is a pool of a libvirtd as a cloud that keeps its records in a folder.
func openKVM(ctx context.Context, uri, dir string) (*provider.Provider, error) {
	h, err := libvirt.Open(ctx, uri, libvirt.Options{Owner: "test"})
	if err != nil {
		return nil, err
	}
	p, err := provider.New(ctx, h, provider.Options{Database: filepath.Join(dir, "provider.db"), AllowSources: loopback})
	if err != nil {
		h.Close()
		return nil, err
	}
	return p, nil
}

func (c *kvmCloud) endpoint() migrate.Endpoint {
	return migrate.Endpoint{Name: "libvirt:qemu:///system?pool=" + c.name, Provider: kept{c.p}}
}

// diskFile is the file of the one disk that lies in a folder, between those names.
func diskFile(t *testing.T, folder, begin, end string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, begin+"*"+end))
	if err != nil || len(all) != 1 {
		t.Fatalf("disks in %s: %v: %v", folder, all, err)
	}
	return all[0]
}

func sumOf(t *testing.T, file string) (sum string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestWarmFromLibvirtE2E: a domain runs while its disk is copied, and what it
// writes after the copy, a hundredth of the disk, is at the destination: less than
// three hundredths pass for it. No volume, job, checkpoint or snapshot is left.
func TestWarmFromLibvirtE2E(t *testing.T) {
	libvirtd.Need(t)
	const size, data, changed = 512 << 20, 128 << 20, 5 << 20
	for _, to := range []string{"local", "libvirt"} {
		t.Run(to, func(t *testing.T) {
			a := newKVMCloud(t, "")
			a.loadLarge(size, data)
			machine := a.machine()
			if _, err := a.invoke(machine, cimi.ActionStart); err != nil {
				t.Fatal(err)
			}
			domains := libvirtd.Domains(t, a.name)
			if len(domains) != 1 {
				t.Fatalf("domains %v", domains)
			}
			before := len(libvirtd.Volumes(t, a.name))
			var dst migrate.Endpoint
			var copied func() string
			switch to {
			case "local":
				b := newCloud(t)
				dst, copied = b.remote(), func() string { return diskFile(t, filepath.Join(b.dir, "disks"), "", ".raw") }
			case "libvirt":
				b := newKVMCloud(t, "")
				dst, copied = b.endpoint(), func() string { return diskFile(t, b.store, "cimimove-disk-", ".raw") }
			}
			src := a.endpoint()
			src.Provider = guest{src.Provider, sync.OnceValue(func() error {
				// Where there was something, and where there was nothing.
				libvirtd.Write(t, domains[0], a.store, fmt.Sprintf("write -P 7 1M %d", changed/2))
				libvirtd.Write(t, domains[0], a.store, fmt.Sprintf("write -P 8 %d %d", size-changed/2-4096, changed/2))
				return nil
			})}
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Via: migrate.ViaRelay, Quiesce: migrate.QuiesceForce, StopTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			w := rep.Warm
			t.Logf("%d MiB while it ran, then %d bytes, %.2f %% of the disk, for %d that were written; at rest for %.1f s", w.BulkBytes>>20, w.DeltaBytes, 100*float64(w.DeltaBytes)/size, changed, w.Downtime)
			if !rep.Verified || w.BulkBytes < data || w.Changed < changed-8192 || w.Changed > changed*11/10 || w.DeltaBytes > size*3/100 || w.Downtime <= 0 {
				t.Errorf("%+v %+v", rep, w)
			}
			was := diskFile(t, a.store, "cimimove-disk-", ".raw")
			if sumOf(t, was) != sumOf(t, copied()) {
				t.Error("the copy holds something else")
			}
			b, err := os.ReadFile(copied())
			if err != nil || !bytes.Equal(b[1<<20:1<<20+changed/2], bytes.Repeat([]byte{7}, changed/2)) || b[size-5000] != 8 {
				t.Errorf("what the machine wrote is not there: %v", err)
			}
			if n := len(libvirtd.Volumes(t, a.name)); n != before {
				t.Errorf("there were %d volumes, there are %v", before, libvirtd.Volumes(t, a.name))
			}
			libvirtd.Clean(t, domains[0])
			if s := strings.TrimSpace(libvirtd.Virsh(t, "domstate", domains[0])); s != "shut off" {
				t.Errorf("the source is %s", s)
			}
		})
	}
}

// machine is the id of the one there is.
func (c *kvmCloud) machine() string {
	c.t.Helper()
	all, err := c.p.List(c.t.Context(), "machines", cimi.ListOptions{Filter: []string{"name='shop'"}})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range all.Items {
		return r.Base().ID
	}
	c.t.Fatal("there is no machine")
	return ""
}

func (c *kvmCloud) invoke(id, action string) (*cimi.Job, error) {
	acc, err := c.p.Invoke(context.Background(), id, &cimi.Action{Action: action})
	if err != nil {
		return nil, err
	}
	return cimi.Wait(context.Background(), c.p, acc, "", cimi.WaitOptions{})
}
