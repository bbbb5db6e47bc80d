package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// hypervisor is a destination of commands whose hypervisor tells itself what
// stands in it, for the acceptance cases AC-32 to AC-35.
type hypervisor struct {
	endpoint string
	trusted  []string // arguments by which it is trusted
	// capacity in bytes and data in MiB of the disk that is moved.
	capacity int64
	data     int
	// halfway starts a command and gives it back when a part of its disk has
	// arrived; release lets the rest come, after which late tells that all was
	// there before.
	halfway func(t *testing.T, dir string, args ...string) (p *process, release func())
	late    func() bool
	// machines are the ids of those there, things all that stands there.
	machines, things func() []string
	// nothing wants it to be empty, whole to hold one machine and no more.
	nothing, whole func(when string)
	// sent is how many bytes were sent to it; may be nil.
	sent func() int64
	// keeps: what has arrived of an import that broke off stays for who goes on.
	keeps bool
	// network is one that is there.
	network string
}

// with adds to a command what this hypervisor is trusted by.
func (k *hypervisor) with(args ...string) []string { return append(args, k.trusted...) }

// packaged makes the package, and the same as a System of local:west.
func (k *hypervisor) packaged(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	bigPackage(t, dir, k.capacity, k.data)
	cimimove(t, dir, 0, "import", "machine.ovf", "local:west")
	return dir
}

// killed is a migration whose process was killed halfway.
func (k *hypervisor) killed(t *testing.T, dir string) (run string) {
	t.Helper()
	p, release := k.halfway(t, dir, k.with("migrate", "local:west", "web", k.endpoint)...)
	p.Process.Kill()
	p.Wait()
	if k.late() {
		t.Fatal("it was killed too late")
	}
	release()
	if len(k.things()) == 0 {
		t.Fatal("nothing was made that must go")
	}
	return lastRun(t, dir)["run"].(string)
}

func lastRun(t *testing.T, dir string) map[string]any {
	t.Helper()
	runs := cimimove(t, dir, 0, "status")["runs"].([]any)
	return runs[len(runs)-1].(map[string]any)
}

// ac32Interrupt: an interrupt in the middle of an upload takes back what was
// made, exits 130 and says how to go on and back; rollback works from the
// journal alone.
func ac32Interrupt(t *testing.T, k *hypervisor) {
	dir := k.packaged(t)
	p, release := k.halfway(t, dir, k.with("migrate", "local:west", "web", k.endpoint)...)
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
	if !k.keeps {
		k.nothing("after an interrupt")
	}
	cimimove(t, dir, 0, k.with("rollback", lastRun(t, dir)["run"].(string))...)
	k.nothing("after a rollback")
}

// ac33Resume: a process that is killed in the middle of an upload leaves no half
// machine: resume ends well, with one.
func ac33Resume(t *testing.T, k *hypervisor) {
	dir := k.packaged(t)
	run := k.killed(t, dir)
	rep := cimimove(t, dir, 0, k.with("resume", run)...)
	if rep["verified"] != true {
		t.Errorf("resumed: %v", rep)
	}
	k.whole("after resume")
}

// ac33Collect: where nobody resumes, gc takes everything back, and the same
// migration ends well afterwards.
func ac33Collect(t *testing.T, k *hypervisor) {
	dir := k.packaged(t)
	run := k.killed(t, dir)
	cimimove(t, dir, 0, k.with("gc", "--run", run)...)
	k.nothing("after gc")
	if got := cimimove(t, dir, 0, k.with("migrate", "local:west", "web", k.endpoint)...); got["verified"] != true {
		t.Errorf("the same again: %v", got)
	}
	k.whole("the same again")
}

// ac34Exists: what is there is refused, skipped, replaced or stands beside the
// new one, as asked.
func ac34Exists(t *testing.T, k *hypervisor) {
	dir := t.TempDir()
	bigPackage(t, dir, 64<<20, 1)
	cimimove(t, dir, 0, k.with("import", "machine.ovf", k.endpoint)...)
	first := k.machines()
	if len(first) != 1 {
		t.Fatalf("imported, there are %v", first)
	}
	cimimove(t, dir, 5, k.with("import", "machine.ovf", k.endpoint)...)
	cimimove(t, dir, 0, k.with("import", "machine.ovf", k.endpoint, "--if-exists", "skip")...)
	if now := k.machines(); !slices.Equal(now, first) {
		t.Errorf("skipped, there are %v instead of %v", now, first)
	}
	cimimove(t, dir, 0, k.with("import", "machine.ovf", k.endpoint, "--if-exists", "replace")...)
	second := k.machines()
	if len(second) != 1 || second[0] == first[0] {
		t.Errorf("replaced, there are %v, before %v", second, first)
	}
	cimimove(t, dir, 0, k.with("import", "machine.ovf", k.endpoint, "--if-exists", "rename")...)
	if now := k.machines(); len(now) != 2 || !slices.Contains(now, second[0]) {
		t.Errorf("renamed, there are %v", now)
	}
}

// ac35DryRun: a dry run makes nothing, and names what does not fit with the
// candidates.
func ac35DryRun(t *testing.T, k *hypervisor) {
	dir := k.packaged(t)
	cimimove(t, dir, 0, k.with("migrate", "local:west", "web", k.endpoint, "--dry-run", "--net", "*="+k.network)...)
	doc := cimimove(t, dir, 5, k.with("migrate", "local:west", "web", k.endpoint, "--dry-run", "--net", "lan=nowhere")...)
	if !slices.ContainsFunc(doc["findings"].([]any), func(f any) bool {
		g := f.(map[string]any)
		message, _ := g["message"].(string)
		hint, _ := g["hint"].(string)
		return strings.Contains(message, "nowhere") && strings.Contains(hint, k.network)
	}) {
		t.Errorf("an unknown network is not told with the candidates: %v", doc["findings"])
	}
	k.nothing("after dry runs")
}
