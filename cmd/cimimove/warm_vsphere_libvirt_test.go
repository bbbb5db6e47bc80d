package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// between is a warm migration out of a simulated vCenter into the libvirtd of
// this machine.
type between struct {
	t           *testing.T
	v           *vctest.VCenter
	dir         string
	pool, store string
	kvm         string
	// gates are files: who runs into a hook makes the first, and waits for the second.
	changed, killed [2]string
	args            []string
	content         []byte // of the disk now
}

const betweenSize = 8 << 20

// newBetween has a machine run in the vCenter; at is the hook by which the
// migration is held up.
func newBetween(t *testing.T, at string) *between {
	t.Helper()
	// The lease of a process that is dead ends by itself.
	m := &between{t: t, v: vctest.New(t, vctest.Options{LeaseTimeout: 15 * time.Second}), dir: t.TempDir()}
	m.pool, m.store = libvirtd.Pool(t)
	m.kvm = "libvirt:qemu:///system?type=qemu&pool=" + m.pool
	bigPackage(t, m.dir, betweenSize, 1)
	m.run(0, "import", "machine.ovf", m.v.Endpoint(), "--power-on")
	m.v.Guest("web", vctest.GuestObeys)
	m.write(1)
	gate := func(name string) [2]string {
		return [2]string{filepath.Join(m.dir, name+".reached"), filepath.Join(m.dir, name+".go")}
	}
	m.changed, m.killed = gate("changed"), gate("killed")
	// A hook is a command and its arguments.
	hold := filepath.Join(m.dir, "hold.sh")
	if err := os.WriteFile(hold, []byte("touch \"$1\"\nwhile [ ! -e \"$2\" ]; do sleep 0.05; done\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wait := func(g [2]string) string { return "sh " + hold + " " + g[0] + " " + g[1] }
	m.args = []string{"--tls-pin", m.v.Pin(), "--hook", "after transfer=" + wait(m.changed)}
	if at != "" {
		m.args = append(m.args, "--hook", at+"="+wait(m.killed))
	}
	return m
}

func (m *between) run(code int, args ...string) map[string]any {
	m.t.Helper()
	return cimimoveWith(m.t, m.dir, vcenterLogin(), code, append(args, "--tls-pin", m.v.Pin())...)
}

// write has the guest write anew over its disk what follows from a number, and
// leave most of it as it is.
func (m *between) write(seed uint64) {
	m.t.Helper()
	if m.content == nil {
		m.content = make([]byte, betweenSize)
	}
	part := m.content[:betweenSize/2]
	if seed > 1 {
		part = m.content[betweenSize/4:][:64<<10]
	}
	src := rand.New(rand.NewPCG(seed, 7))
	for i := range part {
		part[i] = byte(src.Uint32())
	}
	if err := m.v.SetDisk("web", 0, raw.New(bytes.NewReader(m.content), betweenSize)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *between) state() string {
	m.t.Helper()
	p := startWith(m.t, m.dir, vcenterLogin(), "ls", m.v.Endpoint(), "machines", "--tls-pin", m.v.Pin(), "--output", "json")
	if err := p.Wait(); err != nil {
		m.t.Fatalf("%v: %s", err, p.diagnostics.String())
	}
	for _, state := range []string{"STARTED", "STOPPED"} {
		if strings.Contains(p.out.String(), `"`+state+`"`) {
			return state
		}
	}
	return p.out.String()
}

// kill kills the migration when it is held up: by its hook, or where reached is
// not nil when that is closed. Its guest writes once more between the copy and the
// rest, whenever that is.
func (m *between) kill(reached chan struct{}) (run string) {
	m.t.Helper()
	p := startWith(m.t, m.dir, vcenterLogin(), append([]string{"migrate", m.v.Endpoint(), "web", m.kvm, "--warm"}, m.args...)...)
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	there := func(file string) bool { _, err := os.Stat(file); return err == nil }
	wrote := false
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if !wrote && there(m.changed[0]) {
			wrote = true
			m.write(2)
			m.open(m.changed)
		}
		if reached == nil && there(m.killed[0]) {
			break
		}
		select {
		case <-reached:
			deadline = time.Time{}
		case err := <-ended:
			m.t.Fatalf("it ends before it gets there: %v: %s", err, p.diagnostics.String())
		default:
		}
		if deadline.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			p.Process.Kill()
			<-ended
			m.t.Fatalf("it does not get there: %s", p.diagnostics.String())
		}
	}
	p.Process.Kill()
	<-ended
	m.open(m.killed)
	last := lastRun(m.t, m.dir)
	if last["state"] != "interrupted" {
		m.t.Fatalf("it was killed too late: %v: %s", last["state"], p.diagnostics.String())
	}
	m.t.Logf("killed with %d snapshots, the pool holds %v", m.v.Snapshots("web"), libvirtd.Volumes(m.t, m.pool))
	if !wrote {
		m.open(m.changed)
	}
	return last["run"].(string)
}

func (m *between) open(gate [2]string) {
	m.t.Helper()
	if err := os.WriteFile(gate[1], nil, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// nothing looks that nothing of a migration is left in the vCenter.
func (m *between) nothing(state string) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		snapshots, leases := m.v.Snapshots("web"), m.v.OpenLeases()
		if snapshots == 0 && len(leases) == 0 {
			break
		}
		if time.Now().After(deadline) {
			m.t.Errorf("%d snapshots are left, the leases %+v", snapshots, leases)
			break
		}
	}
	if now := m.state(); now != state {
		m.t.Errorf("the source is %s, want %s", now, state)
	}
}

// TestE2EWarmVSphereToLibvirtKilled kills a warm migration out of a vCenter into
// libvirt in each of its phases, and in the middle of the copy: resume ends it with
// what the guest wrote last, gc takes it back and the guest runs. No snapshot, lease
// or half volume is left either way.
func TestE2EWarmVSphereToLibvirtKilled(t *testing.T) {
	libvirtd.Need(t)
	t.Parallel()
	type point struct {
		name string
		hook string
		// at has the vCenter call f when it gets there.
		at func(v *vctest.VCenter, f func())
		by []string
	}
	both := []string{"resume", "gc"}
	on := func(method string) func(*vctest.VCenter, func()) {
		return func(v *vctest.VCenter, f func()) { v.On(method, f) }
	}
	points := []point{
		{name: "snapshot", at: on("CreateSnapshot_Task"), by: both}, {name: "snapshot removed", at: on("RemoveSnapshot_Task"), by: both}, {name: "stop", at: on("ShutdownGuest"), by: both},
		{name: "first bytes", by: both, at: func(v *vctest.VCenter, f func()) { v.NFC(func(string, string) int { f(); return 0 }) }},
		{name: "bulk", by: both, at: func(v *vctest.VCenter, f func()) { v.AtSent(betweenSize/4, f) }},
	}
	// Between the end of a step and the next one nothing happens: of these two each is
	// gone on with or taken back.
	for _, step := range []string{"export", "transfer", "quiesce", "delta", "verify", "start"} {
		points = append(points, point{name: "before " + step, hook: "before " + step, by: both[:1]}, point{name: "after " + step, hook: "after " + step, by: both[1:]})
	}
	points[len(points)-1].by = both
	for _, p := range points {
		for _, by := range p.by {
			t.Run(strings.ReplaceAll(p.name+" "+by, " ", "-"), func(t *testing.T) {
				t.Parallel()
				m := newBetween(t, p.hook)
				var reached, release chan struct{}
				if p.at != nil {
					reached, release = make(chan struct{}), make(chan struct{})
					var once sync.Once
					p.at(m.v, func() { once.Do(func() { close(reached); <-release }) })
				}
				run := m.kill(reached)
				if release != nil {
					close(release)
				}
				if m.state() == "STARTED" { // its guest goes on
					m.write(3)
				}
				if by == "gc" {
					m.takenBack(run)
				} else {
					m.goneOn(run)
				}
			})
		}
	}
}

func (m *between) takenBack(run string) {
	m.t.Helper()
	m.run(0, "gc", "--run", run)
	m.nothing("STARTED")
	if left := append(libvirtd.Volumes(m.t, m.pool), libvirtd.Domains(m.t, m.pool)...); len(left) > 0 {
		m.t.Errorf("the pool holds %v", left)
	}
}

func (m *between) goneOn(run string) {
	m.t.Helper()
	rep := m.run(0, append([]string{"resume", run}, m.args[2:]...)...)
	if rep["verified"] != true {
		m.t.Fatalf("resumed: %v", rep)
	}
	m.nothing("STOPPED")
	if d := libvirtd.Domains(m.t, m.pool); len(d) != 1 {
		m.t.Errorf("domains %v", d)
	}
	// The record of the System is a volume too.
	disk, record := "", ""
	volumes := libvirtd.Volumes(m.t, m.pool)
	for _, v := range volumes {
		if strings.HasPrefix(v, "cimimove-disk-") {
			disk = v
		} else if strings.Contains(v, ".record.") {
			record = v
		}
	}
	if len(volumes) != 2 || disk == "" || record == "" {
		m.t.Fatalf("the pool holds %v", volumes)
	}
	got, err := os.ReadFile(filepath.Join(m.store, disk))
	if err != nil || !bytes.Equal(got, m.content) {
		m.t.Errorf("%d bytes of %s are not those of the source (%v)", len(got), disk, err)
	}
}
