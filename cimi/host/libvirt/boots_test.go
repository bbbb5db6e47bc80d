package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// packed is a disk that boots as a streamOptimized VMDK.
func packed(t testing.TB, id string, opts bootdisk.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	bootdisk.Build(t, path, id, opts)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := vmdk.Encode(context.Background(), img, &out, vmdk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const streamOptimized = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

// consoleSays waits for the marker of a machine and gives the line.
func consoleSays(t testing.TB, path, id string) string {
	t.Helper()
	want := regexp.MustCompile(regexp.QuoteMeta(bootdisk.Marker+id) + ` [^\r\n]*[\r\n]`)
	var b []byte
	for deadline := time.Now().Add(6 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		b, _ = os.ReadFile(path) // there when the machine has begun
		if line := want.Find(b); line != nil {
			return strings.TrimSpace(string(line))
		}
	}
	t.Fatalf("%s does not come up; its console says: %s", id, b)
	return ""
}

// TestStartOrderBoots: three machines come up in the order and with the delays of
// the descriptor, and go down in the reverse one.
func TestStartOrderBoots(t *testing.T) {
	libvirtd.Need(t)
	pool, _ := libvirtd.Pool(t)
	consoles := t.TempDir()
	h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool, libvirt.Options{Owner: "test", ConsoleDir: consoles})
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.New(context.Background(), h, provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const delay = 6 // seconds
	d := ovf.Draft{Content: ovf.DraftContent{Collection: true, ID: "three", Name: "three"}}
	var files [][2]string
	// In another order than they start in.
	for _, n := range []int{3, 1, 2} {
		id := fmt.Sprint("vm", n)
		disk := packed(t, id, bootdisk.Options{Stay: true})
		files = append(files, [2]string{id + ".vmdk", disk})
		d.Files = append(d.Files, ovf.File{ID: "f" + id, Href: id + ".vmdk", Size: int64(len(disk))})
		d.Disks = append(d.Disks, ovf.Disk{ID: "d" + id, FileRef: "f" + id, Capacity: fmt.Sprint(bootdisk.Size), Format: streamOptimized, PopulatedSize: -1})
		d.Content.Startup = append(d.Content.Startup, ovf.StartupItem{ID: id, Order: n, StartDelay: delay})
		hw := hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 0, "d"+id))
		d.Content.Children = append(d.Content.Children, ovf.DraftContent{ID: id, Name: id, Hardware: []ovf.DraftHardware{hw}})
	}
	s, _ := hosttest.Importing(t, h, hosttest.Archive(t, d, files...), host.ImportOptions{})
	ids := map[string]string{}
	for m := range s.AllMachines() {
		ids[m.Name] = m.ID
	}
	job := func(a *cimi.Action) error {
		acc, err := p.Invoke(context.Background(), "systems/"+s.ID, a)
		if err != nil {
			return err
		}
		_, err = cimi.Wait(context.Background(), p, acc, "", cimi.WaitOptions{})
		return err
	}
	began := time.Now()
	started := make(chan error, 1)
	go func() { started <- job(&cimi.Action{Action: cimi.ActionStart}) }()
	// What is in order is when they start; under emulation and load the third may
	// be up before the second.
	var begun [4]time.Duration
	var domain [4]int
	for n := 1; n <= 3; n++ {
		id := uuid(ids[fmt.Sprint("vm", n)])
		for domain[n] == 0 {
			if time.Since(began) > 2*time.Minute {
				t.Fatalf("vm%d does not start", n)
			}
			domain[n], _ = strconv.Atoi(strings.TrimSpace(libvirtd.Virsh(t, "domid", id))) // "-" until it runs
			time.Sleep(20 * time.Millisecond)
		}
		begun[n] = time.Since(began)
		if n > 1 && (domain[n] < domain[n-1] || begun[n]-begun[n-1] < (delay-1)*time.Second) {
			t.Errorf("vm%d started as number %d after %s, the one before it as %d after %s", n, domain[n], begun[n], domain[n-1], begun[n-1])
		}
	}
	for n := 1; n <= 3; n++ {
		name := fmt.Sprint("vm", n)
		line := consoleSays(t, filepath.Join(consoles, ids[name]+".log"), name)
		t.Logf("started %5.1f s, up %5.1f s  %s", begun[n].Seconds(), time.Since(began).Seconds(), line)
	}
	if err := errors.Join(<-started, job(&cimi.Action{Action: cimi.ActionStop})); err != nil { // the guests hear the power button
		t.Fatal(err)
	}
	now, err := h.System(context.Background(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for m := range now.AllMachines() {
		if b, err := os.ReadFile(filepath.Join(consoles, m.ID+".log")); err != nil || m.State != host.Stopped || !bytes.Contains(b, []byte("CIMIMOVE-POWER-BUTTON")) {
			t.Errorf("%s is %s; %v", m.Name, m.State, err)
		}
	}
}

// TestForeignBoots: domains that others made are shown as Systems and exported
// with what they have: a raw volume, a qcow2 one, and one with a snapshot above it.
// What was exported boots here.
func TestForeignBoots(t *testing.T) {
	libvirtd.Need(t)
	const qemuImg = "/usr/bin/qemu-img"
	libvirtd.NeedFile(t, qemuImg, "qemu-utils")
	ctx := context.Background()
	pool, dir := libvirtd.Pool(t)
	consoles := t.TempDir()
	h, err := libvirt.Open(ctx, "qemu:///system?type=qemu&pool="+pool, libvirt.Options{Owner: "test", ConsoleDir: consoles})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	tool := func(args ...string) {
		t.Helper()
		if b, err := exec.Command(qemuImg, args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v: %s", args, err, b)
		}
	}
	boot := filepath.Join(dir, "boot.raw")
	bootdisk.Build(t, boot, "foreign", bootdisk.Options{})
	digestOf := func(path string) string {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := raw.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := disk.ContentDigest(ctx, img, img.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	want := digestOf(boot)
	tool("convert", "-f", "raw", "-O", "qcow2", boot, filepath.Join(dir, "boot.qcow2"))
	tool("create", "-f", "qcow2", "-b", "boot.qcow2", "-F", "qcow2", filepath.Join(dir, "snap.qcow2"))
	libvirtd.Virsh(t, "pool-refresh", pool)
	for name, file := range map[string]string{"raw": "boot.raw", "qcow2": "boot.qcow2", "snapshot": "snap.qcow2"} {
		format := "qcow2"
		if name == "raw" {
			format = "raw"
		}
		path := filepath.Join(t.TempDir(), "d.xml")
		text := fmt.Sprintf(`<domain type='qemu'><name>cimimove-test-%s</name><memory unit='MiB'>256</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='%s'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>
<interface type='user'><mac address='52:54:00:0f:00:01'/><model type='e1000'/></interface></devices></domain>`, name, format, filepath.Join(dir, file))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		libvirtd.Virsh(t, "define", path)
	}
	shown := map[string]*host.System{}
	for s, err := range h.Systems(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		shown[s.Name] = s
	}
	for _, name := range []string{"raw", "qcow2", "snapshot"} {
		s := shown["cimimove-test-"+name]
		if s == nil || len(s.Machines) != 1 || len(s.Disks) != 1 || s.Disks[0].CapacityBytes != bootdisk.Size || s.Machines[0].MemoryBytes != 256<<20 || s.Machines[0].NICs[0].MAC != "52:54:00:0f:00:01" {
			t.Fatalf("%s is shown as %+v", name, s)
		}
		if err := h.Delete(ctx, s.ID); !errors.Is(err, host.ErrUnsupported) {
			t.Errorf("%s: deleting what others made: %v", name, err)
		}
		b := hosttest.Exported(t, h, s.ID)
		mine, err := h.Import(ctx, hosttest.Package(t, b), host.ImportOptions{Name: "mine-" + name})
		if err != nil {
			t.Fatal(err)
		}
		if d := mine.Disks[0]; d.ContentDigest != want || d.ContentBytes != bootdisk.Size {
			t.Errorf("%s came out with digest %s, want %s", name, d.ContentDigest, want)
		}
		if name != "snapshot" {
			continue
		}
		if err := h.Start(ctx, mine.Machines[0].ID); err != nil {
			t.Fatal(err)
		}
		t.Log(consoleSays(t, filepath.Join(consoles, mine.Machines[0].ID+".log"), "foreign"))
	}
	// One whose disk lies in no pool is shown all the same, and says so when asked for it.
	outside, err := os.MkdirTemp("/var/tmp", "outside")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(outside)
	if err := os.Truncate(mustCreate(t, filepath.Join(outside, "o.raw")), 1<<20); err != nil {
		t.Fatal(err)
	}
	xml := filepath.Join(outside, "o.xml")
	os.WriteFile(xml, fmt.Appendf(nil, `<domain type='qemu'><name>%s-outside</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'><source file='%s/o.raw'/><target dev='hda' bus='ide'/></disk></devices></domain>`, pool, outside), 0o644)
	libvirtd.Virsh(t, "define", xml)
	defer libvirtd.Virsh(t, "undefine", pool+"-outside")
	for s, err := range h.Systems(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != pool+"-outside" {
			continue
		}
		if _, err := h.Export(ctx, s.ID, host.ExportOptions{}); !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "pool-create-as") {
			t.Errorf("a disk in no pool: %v", err)
		}
		return
	}
	t.Error("a domain whose disk lies in no pool is not shown")
}

func mustCreate(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}
