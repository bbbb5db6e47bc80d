package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
)

// inTheMiddle starts a command and gives it back when half of a disk has arrived
// at the vCenter, which takes no more until release is called.
func inTheMiddle(t *testing.T, v *vctest.VCenter, dir string, args ...string) (p *process, release func()) {
	t.Helper()
	arrived, done := make(chan struct{}), make(chan struct{})
	v.At(4<<20, func() { close(arrived); <-done })
	p = start(t, dir, args...)
	ended := make(chan struct{})
	go func() {
		select {
		case <-arrived:
		case <-time.After(time.Minute):
			p.Process.Kill()
		}
		close(ended)
	}()
	<-ended
	select {
	case <-arrived:
	default:
		p.Wait()
		t.Fatalf("nothing arrives: %s", p.diagnostics.String())
	}
	if open := v.OpenLeases(); len(open) != 1 {
		t.Errorf("%d leases are open", len(open))
	}
	return p, func() { close(done) }
}

// nothingInVCenter wants a vCenter without machines and open leases.
func nothingInVCenter(t *testing.T, when string, v *vctest.VCenter) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		leases, left := v.OpenLeases(), v.Inventory()
		if len(leases) == 0 && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %d leases are open, %v is left", when, len(leases), left)
			return
		}
	}
}

// TestAC33VSphere: a process that is killed in the middle of an NFC upload leaves
// no open lease and no half machine; resume ends well, gc removes what is there.
func TestAC33VSphere(t *testing.T) {
	dir := t.TempDir()
	v, vc, trusted := vcenter(t, vctest.Options{})
	with := func(args ...string) []string { return append(args, trusted...) }
	bigPackage(t, dir, 64<<20, 8)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")

	p, release := inTheMiddle(t, v, dir, with("migrate", "local:west", "web", vc)...)
	p.Process.Kill()
	p.Wait()
	release()
	if len(v.Inventory()) == 0 {
		t.Fatal("nothing was made that must go")
	}
	rep := cimimove(t, dir, 0, with("resume", lastRun(t, dir)["run"].(string))...)
	if rep["verified"] != true || !slices.Equal(v.Inventory(), []string{"web"}) || len(v.OpenLeases()) != 0 {
		t.Errorf("resumed: %v; %d leases are open, there are %v", rep["verified"], len(v.OpenLeases()), v.Inventory())
	}
	imports := 0
	for _, l := range v.PastLeases() {
		if l.Import && l.State == "done" {
			imports++
		}
	}
	if imports != 1 {
		t.Errorf("%d imports ended well, want 1: %+v", imports, v.PastLeases())
	}
}

// TestAC33VSphereGC: where nobody resumes, gc takes everything back.
func TestAC33VSphereGC(t *testing.T) {
	dir := t.TempDir()
	v, vc, trusted := vcenter(t, vctest.Options{})
	with := func(args ...string) []string { return append(args, trusted...) }
	bigPackage(t, dir, 64<<20, 8)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	p, release := inTheMiddle(t, v, dir, with("migrate", "local:west", "web", vc)...)
	p.Process.Kill()
	p.Wait()
	release()
	cimimove(t, dir, 0, with("gc", "--run", lastRun(t, dir)["run"].(string))...)
	nothingInVCenter(t, "after gc", v)
	if got := cimimove(t, dir, 0, with("migrate", "local:west", "web", vc)...); got["verified"] != true {
		t.Errorf("the same again: %v", got)
	}
}

// TestAC32VSphere: an interrupt in the middle of an NFC upload aborts the lease,
// exits 130 and says how to go on and back; rollback works from the journal alone.
func TestAC32VSphere(t *testing.T) {
	dir := t.TempDir()
	v, vc, trusted := vcenter(t, vctest.Options{})
	with := func(args ...string) []string { return append(args, trusted...) }
	bigPackage(t, dir, 64<<20, 8)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	p, release := inTheMiddle(t, v, dir, with("migrate", "local:west", "web", vc)...)
	p.Process.Signal(syscall.SIGINT)
	err := p.Wait()
	release()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("interrupted it ends with %v: %s", err, p.diagnostics.String())
	}
	if said := p.diagnostics.String(); !strings.Contains(said, "resume") || !strings.Contains(said, "rollback") {
		t.Errorf("it says %q", said)
	}
	nothingInVCenter(t, "after an interrupt", v)
	cimimove(t, dir, 0, with("rollback", lastRun(t, dir)["run"].(string))...)
	nothingInVCenter(t, "after a rollback", v)
}

// TestAC34VSphere: what is there is refused, skipped, replaced or stands beside
// the new one, as asked.
func TestAC34VSphere(t *testing.T) {
	dir := t.TempDir()
	v, vc, trusted := vcenter(t, vctest.Options{})
	with := func(args ...string) []string { return append(args, trusted...) }
	bigPackage(t, dir, 64<<20, 1)
	id := func() string {
		if m := v.Machine(v.Inventory()[0]); m != nil {
			return m.InstanceUuid
		}
		return ""
	}
	cimimove(t, dir, 0, with("import", "machine.ovf", vc)...)
	first := id()
	cimimove(t, dir, 5, with("import", "machine.ovf", vc)...)
	cimimove(t, dir, 0, with("import", "machine.ovf", vc, "--if-exists", "skip")...)
	if len(v.Inventory()) != 1 || id() != first {
		t.Errorf("skipped, there are %v", v.Inventory())
	}
	cimimove(t, dir, 0, with("import", "machine.ovf", vc, "--if-exists", "replace")...)
	if len(v.Inventory()) != 1 || id() == first {
		t.Errorf("replaced, there are %v", v.Inventory())
	}
	cimimove(t, dir, 0, with("import", "machine.ovf", vc, "--if-exists", "rename")...)
	if len(v.Inventory()) != 2 {
		t.Errorf("renamed, there are %v", v.Inventory())
	}
}

// TestAC35VSphere: a dry run calls nothing that changes the vCenter, and names
// what does not fit with the candidates.
func TestAC35VSphere(t *testing.T) {
	dir := t.TempDir()
	v, vc, trusted := vcenter(t, vctest.Options{})
	with := func(args ...string) []string { return append(args, trusted...) }
	bigPackage(t, dir, 64<<20, 1)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	before := v.AllCalls()
	cimimove(t, dir, 0, with("migrate", "local:west", "web", vc, "--dry-run", "--net", "*=VM Network")...)
	doc := cimimove(t, dir, 5, with("migrate", "local:west", "web", vc, "--dry-run", "--net", "lan=nowhere")...)
	found := false
	for _, f := range doc["findings"].([]any) {
		f := f.(map[string]any)
		found = found || strings.Contains(f["message"].(string), "nowhere") && strings.Contains(f["hint"].(string), "VM Network")
	}
	if !found {
		t.Errorf("an unknown network is not told with the candidates: %v", doc["findings"])
	}
	harmless := []string{"Retrieve", "Login", "Logout", "CreateContainerView", "DestroyView", "CurrentTime", "SearchDatastore_Task", "QueryConfigOptionDescriptor", "FindByUuid",
		"CreateFilter", "CreatePropertyCollector", "DestroyPropertyCollector", "DestroyPropertyFilter", "WaitForUpdatesEx", "CancelWaitForUpdates", "GetDefaultKmsCluster"}
	for name, n := range v.AllCalls() {
		if n > before[name] && !slices.ContainsFunc(harmless, func(p string) bool { return strings.HasPrefix(name, p) }) {
			t.Errorf("a dry run calls %s", name)
		}
	}
	nothingInVCenter(t, "after dry runs", v)
}
