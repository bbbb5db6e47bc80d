package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// bootable packs a disk that boots as name.ova below dir.
func bootable(t *testing.T, dir, name string, opts bootdisk.Options) {
	t.Helper()
	bootdisk.Build(t, filepath.Join(dir, "disk.raw"), name, opts)
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
	text = bytes.ReplaceAll(text, []byte(`"2097152"`), []byte(strconv.Quote(strconv.Itoa(bootdisk.Size))))
	text = bytes.ReplaceAll(text, []byte("<Name>web</Name>"), []byte("<Name>"+name+"</Name>"))
	if err := os.WriteFile(filepath.Join(dir, "machine.ovf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "convert", "machine.ovf", name+".ova")
}

// machineNamed is the first entry of a collection with that name.
func machineNamed(t *testing.T, dir, endpoint, collection, name string) (id, state string) {
	t.Helper()
	p := start(t, dir, "ls", endpoint, collection, "--filter", "name='"+name+"'", "--output", "json")
	if err := p.Wait(); err != nil {
		t.Fatalf("ls %s %s: %v: %s", endpoint, collection, err, p.diagnostics.String())
	}
	found := regexp.MustCompile(`(?s)"id":\s*"([^"]*)".*?"state":\s*"([^"]*)"`).FindStringSubmatch(p.out.String())
	if found == nil {
		t.Fatalf("%s has no %s in %s: %s", endpoint, name, collection, p.out.String())
	}
	return filepath.Base(found[1]), found[2]
}

// says waits until a machine has said on its console that it is up, and gives
// the line.
func says(t *testing.T, console, id string) string {
	t.Helper()
	want := regexp.MustCompile(regexp.QuoteMeta(bootdisk.Marker+id) + `[^\r\n]*[\r\n]`)
	var b []byte
	for deadline := time.Now().Add(6 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		b, _ = os.ReadFile(console) // there when the machine has begun
		if line := want.Find(b); line != nil {
			return strings.TrimSpace(string(line))
		}
	}
	t.Fatalf("%s: %s does not come up; its console says: %s", console, id, b)
	return ""
}

// stops waits until a machine that powers off has done so.
func stops(t *testing.T, dir, endpoint, name string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if _, state := machineNamed(t, dir, endpoint, "machines", name); state == "STOPPED" {
			return
		}
	}
	t.Fatalf("%s on %s does not power off", name, endpoint)
}

// moved is the digest of the only disk in a report, which is the same on both sides.
func moved(t *testing.T, report map[string]any) string {
	t.Helper()
	disks, _ := report["disks"].([]any)
	if len(disks) != 1 || report["verified"] != true {
		t.Fatalf("report: %v", report)
	}
	d := disks[0].(map[string]any)
	if d["sourceDigest"] != d["destinationDigest"] || d["verified"] != true {
		t.Errorf("the digests are %v", d)
	}
	return d["sourceDigest"].(string)
}

// vcenter starts a simulated vCenter for the test, trusted and logged in to by
// the processes that the test starts, and gives its datacenter as an endpoint.
func vcenter(t *testing.T, opts vctest.Options) (v *vctest.VCenter, endpoint string, trusted []string) {
	t.Helper()
	v = vctest.New(t, opts)
	for _, set := range vcenterLogin() {
		name, value, _ := strings.Cut(set, "=")
		t.Setenv(name, value)
	}
	return v, v.Endpoint(), []string{"--tls-pin", v.Pin()}
}

// vcenterLogin is the environment that logs in to a simulated vCenter.
func vcenterLogin() (env []string) {
	for _, side := range []string{"SOURCE", "DESTINATION"} {
		env = append(env, "CIMIMOVE_"+side+"_USER="+vctest.User, "CIMIMOVE_"+side+"_PASSWORD="+vctest.Password)
	}
	return env
}

// TestWorkloadBoots takes a machine that boots from cloud to cloud, out of a
// vCenter first, starts it wherever there is a hypervisor, and compares the
// content digests of its disk on every leg.
func TestWorkloadBoots(t *testing.T) {
	libvirtd.Need(t)
	t.Parallel()
	const id = "wl-boots"
	dir, consoles := t.TempDir(), t.TempDir()
	pool, _ := libvirtd.Pool(t)
	second, _ := libvirtd.Pool(t)
	kvm := "libvirt:qemu:///system?type=qemu&consoles=" + consoles + "&pool="
	bootable(t, dir, id, bootdisk.Options{})
	type leg struct{ what, line, digest string }
	info := cimimove(t, dir, 0, "disk", "info", "disk.raw", "--digest", "content")
	legs := []leg{{"as it was built", "(not started)", info["contentDigest"].(string)}}

	v := vctest.New(t, vctest.Options{})
	vc := v.Endpoint()
	cimimoveWith(t, dir, vcenterLogin(), 0, "import", id+".ova", vc, "--tls-pin", v.Pin())
	report := cimimoveWith(t, dir, vcenterLogin(), 0, "migrate", vc, id, kvm+pool, "--power-on", "--tls-pin", v.Pin())
	machine, _ := machineNamed(t, dir, kvm+pool, "machines", id)
	legs = append(legs, leg{"vSphere → libvirt", says(t, filepath.Join(consoles, machine+".log"), id), moved(t, report)})
	stops(t, dir, kvm+pool, id)

	report = cimimove(t, dir, 0, "migrate", kvm+pool, id, "local:east", "--power-on")
	machine, _ = machineNamed(t, dir, "local:east", "machines", id)
	legs = append(legs, leg{"libvirt → local", says(t, filepath.Join(dir, "east", "run", machine, "serial.log"), id), moved(t, report)})
	stops(t, dir, "local:east", id)

	cimimove(t, dir, 0, "export", "local:east", id, "out.ova")
	if b, err := exec.Command("tar", "xf", filepath.Join(dir, "out.ova"), "-C", dir, "disk1.vmdk").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	info = cimimove(t, dir, 0, "disk", "info", "disk1.vmdk", "--digest", "content")
	legs = append(legs, leg{"local → OVA", "(not started)", info["contentDigest"].(string)})

	cimimove(t, dir, 0, "import", "out.ova", kvm+second, "--power-on")
	machine, _ = machineNamed(t, dir, kvm+second, "machines", id)
	line := says(t, filepath.Join(consoles, machine+".log"), id)
	stops(t, dir, kvm+second, id)
	cimimove(t, dir, 0, "export", kvm+second, id, "again.ova")
	if b, err := exec.Command("tar", "xf", filepath.Join(dir, "again.ova"), "-C", dir, "disk1.vmdk").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	info = cimimove(t, dir, 0, "disk", "info", "disk1.vmdk", "--digest", "content")
	legs = append(legs, leg{"OVA → libvirt", line, info["contentDigest"].(string)})

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LEG\tCONSOLE\tCONTENT DIGEST")
	for _, l := range legs {
		fmt.Fprintf(w, "%s\t%s\t%.16s…\n", l.what, l.line, l.digest)
		if l.digest != legs[0].digest {
			t.Errorf("%s: digest %s, at first it was %s", l.what, l.digest, legs[0].digest)
		}
	}
	w.Flush()
	t.Log("\n" + table.String())
}
