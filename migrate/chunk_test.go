package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// counting counts what is read of a cloud's exports in large pieces, and breaks
// them there.
type counting struct {
	read   *atomic.Int64
	broken *atomic.Int64 // no byte from here on; 0: all
}

func newCounting() counting { return counting{new(atomic.Int64), new(atomic.Int64)} }

func (c counting) of(p cimi.Provider) faulty {
	return faulty{p, func(from cimi.Content, p []byte, off int64) (int, error) {
		// Headers are looked at before the disks pass.
		if at := c.broken.Load(); at > 0 && len(p) >= 64<<10 && off+int64(len(p)) > at {
			return 0, errors.New("connection reset by peer")
		}
		n, err := from.ReadAt(p, off)
		if len(p) >= 64<<10 {
			c.read.Add(int64(n))
		}
		return n, err
	}}
}

// A disk of brokenData bytes of data passes until brokenAt of the package, and
// then the source gives no more.
const (
	brokenData = 24 << 20
	brokenAt   = 15 << 20
)

// brokenOff is a migration by relay that broke off so, on a destination in
// process or over HTTP: what had arrived is kept.
func brokenOff(t *testing.T, way string) (a, b *cloud, e *migrate.Engine, c counting, run string) {
	t.Helper()
	a, b = newCloud(t), newCloud(t)
	a.loadLarge(64<<20, brokenData)
	src, dst := a.inProcess(), b.inProcess()
	if way == "over HTTP" {
		dst = b.remote()
	}
	c = newCounting()
	src.Provider = c.of(src.Provider)
	c.broken.Store(brokenAt)
	e = newEngine(t, src, dst)
	e.StallTimeout = 2 * time.Second
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.ViaRelay})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Resume.Granularity != "chunk" || plan.Resume.ChunkBytes != 64<<10 {
		t.Errorf("the plan says %+v", plan.Resume)
	}
	rep, err := e.Start(t.Context(), plan)
	wantClass(t, err, migrate.ClassTransfer, migrate.Source)
	if got := b.systems(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
	if n := b.diskFiles(); n != 1 {
		t.Errorf("%d disks are kept", n)
	}
	e.StallTimeout = time.Minute // what goes on may be slow, on a busy machine
	return a, b, e, c, rep.Run
}

// TestResumeByChunk: when the source breaks off in the middle of a disk and the
// destination gives up, the next attempt goes on where that was: nothing is
// sent twice beyond a chunk, and the plan says so (AC-01).
func TestResumeByChunk(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"in process", "over HTTP"} {
		t.Run(way, func(t *testing.T) {
			_, _, e, c, run := brokenOff(t, way)
			first := c.read.Swap(0)
			c.broken.Store(0)
			rep, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
			if err != nil || !rep.Verified {
				t.Fatalf("%+v: %v", rep, err)
			}
			again := c.read.Load()
			t.Logf("%d KiB, then %d KiB, of %d KiB and more", first>>10, again>>10, brokenData>>10)
			// What was in flight, and the decoding that lags behind it.
			if most := int64(brokenData*66048/65536) - brokenAt + 4<<20; again > most {
				t.Errorf("%d KiB were read again, expected at most %d KiB", again>>10, most>>10)
			}
		})
	}
}

// TestResumeByChunkRefusesAnother: the source is another now; what has arrived
// is removed with the run.
func TestResumeByChunkRefusesAnother(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b, e, c, run := brokenOff(t, "over HTTP")
	c.broken.Store(0)
	a.clear()
	a.loadLarge(64<<20, 23<<20)
	_, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
	if !errors.Is(err, migrate.ErrSourceChanged) || migrate.ClassOf(err) != migrate.ClassRefused {
		t.Errorf("got %v", err)
	}
	if n, systems := b.diskFiles(), b.systems(); n != 0 || len(systems) != 0 {
		t.Errorf("%d disks are left, and %v", n, systems)
	}
}

// TestRollbackForgets: rollback of a run that broke off leaves nothing of what
// had arrived.
func TestRollbackForgets(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, by := range []string{"rollback", "gc"} {
		_, b, e, _, run := brokenOff(t, "over HTTP")
		var err error
		if by == "gc" {
			if removed, err := e.GC(t.Context(), migrate.GCOptions{}); err != nil || len(removed) != 0 {
				t.Errorf("gc of everything took %v: %v", removed, err) // it can be resumed
			}
			_, err = e.GC(t.Context(), migrate.GCOptions{Run: run})
		} else {
			_, err = e.Rollback(t.Context(), run)
		}
		if n := b.diskFiles(); err != nil || n != 0 {
			t.Errorf("%s: %d disks are left: %v", by, n, err)
		}
	}
}

// diskFiles counts the files of disks in the cloud's folder.
func (c *cloud) diskFiles() int {
	files, err := filepath.Glob(filepath.Join(c.dir, "disks", "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	return len(files)
}

// TestKilledByChunk kills the process that holds both clouds while a disk
// passes, and goes on where it was (AC-01).
func TestKilledByChunk(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	const data = 40 << 20
	a, b := t.TempDir(), t.TempDir()
	c := openCloud(t, a)
	c.loadLarge(64<<20, data)
	c.close()
	state := t.TempDir()
	if dead, _ := runChild(t, state, "local:"+a, "local:"+b, killed{via: migrate.ViaRelay, marked: b}, "blocks#2"); !dead {
		t.Fatal("the migration ended before any digest of a block was journaled")
	}
	src, dst := openCloud(t, a), openCloud(t, b)
	from, to := src.inProcess(), dst.inProcess()
	count := newCounting()
	from.Provider = count.of(from.Provider)
	e, run := interrupted(t, state, from, to)
	kept := dst.diskFiles()
	rep, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
	if err != nil || !rep.Verified || rep.State != string(journal.Verified) {
		t.Fatalf("%+v: %v", rep, err)
	}
	t.Logf("%d disk kept, %d KiB read again of %d KiB and more", kept, count.read.Load()>>10, data>>10)
	if again := count.read.Load(); kept != 1 || again > data-(marked-2)<<20 {
		t.Errorf("%d KiB were read again", again>>10)
	}
}

// TestParallelDisks: the disks of one System move at the same time, as many as
// were asked for and the endpoints allow, each with progress of its own
// (AC-10).
func TestParallelDisks(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.loadDisks(3, 8<<20)
	for _, c := range []struct {
		name        string
		asked, most int // most: what the source's endpoint allows, 0 any
		want        int64
		remote      bool
	}{
		{"one", 1, 0, 1, false}, {"two", 2, 0, 2, false}, {"three over HTTP", 3, 0, 3, true}, {"three but two", 3, 2, 2, true}, {"as many as there are", 9, 0, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := a.inProcess(), b.inProcess()
			if c.remote {
				dst = b.remote()
			}
			src.Limits.Disks = c.most
			g := newGauge(c.want)
			src.Provider = g.of(src.Provider)
			e := newEngine(t, src, dst)
			var mu sync.Mutex
			disks := map[string]bool{}
			e.Events = func(ev migrate.Event) {
				mu.Lock()
				defer mu.Unlock()
				if ev.Phase == string(migrate.StepTransfer) && ev.Disk != "" {
					disks[ev.Disk] = true
				}
			}
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Name: c.name, ParallelDisks: c.asked, Via: migrate.ViaRelay})
			if err != nil {
				t.Fatal(err)
			}
			if int64(plan.ParallelDisks) != c.want {
				t.Errorf("the plan says %d at a time, expected %d", plan.ParallelDisks, c.want)
			}
			rep, err := e.Start(t.Context(), plan)
			if err != nil || !rep.Verified || len(rep.Disks) != 3 {
				t.Fatalf("%+v: %v", rep, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(disks) != 3 {
				t.Errorf("progress of %v", disks)
			}
			if most := int64(g.most.Load()); most > c.want || c.want > 1 && most < 2 {
				t.Errorf("%d disks passed at a time, expected %d", most, c.want)
			}
		})
	}
}

// gauge tells how many disks are read at a time. Where two are expected, each read
// of the first waits a while for one of a second: on a busy machine one may be
// through before the next is begun.
type gauge struct {
	mu     sync.Mutex
	inside map[int64]int // by disk
	most   atomic.Int64
	second chan struct{} // closed once a second is read, or none is expected
	met    sync.Once
}

func newGauge(disks int64) *gauge {
	g := &gauge{inside: map[int64]int{}, second: make(chan struct{})}
	if disks < 2 {
		g.goOn()
	}
	return g
}

func (g *gauge) goOn() { g.met.Do(func() { close(g.second) }) }

func (g *gauge) of(p cimi.Provider) faulty {
	return faulty{p, func(from cimi.Content, p []byte, off int64) (int, error) {
		if len(p) < 64<<10 {
			return from.ReadAt(p, off)
		}
		// The disks lie one after the other, 8 MiB and a little each; their ends
		// are in nobody's favour.
		disk := off / (8<<20 + 256<<10)
		g.mu.Lock()
		g.inside[disk]++
		n := int64(0)
		for _, k := range g.inside {
			if k > 0 {
				n++
			}
		}
		g.most.Store(max(g.most.Load(), n))
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			g.inside[disk]--
			g.mu.Unlock()
		}()
		if n > 1 {
			g.goOn()
		}
		select {
		case <-g.second:
		case <-time.After(300 * time.Millisecond): // this may be a look at what is before the disks
		}
		sleepFor(5)
		return from.ReadAt(p, off)
	}}
}

// loadDisks puts a System of n disks into the cloud, all of data.
func (c *cloud) loadDisks(n int, size int64) {
	c.t.Helper()
	var files, disks, items strings.Builder
	for i := range n {
		fmt.Fprintf(&files, `<File ovf:id="f%[1]d" ovf:href="d%[1]d.img" ovf:size="%[2]d"/>`, i, size)
		fmt.Fprintf(&disks, `<Disk ovf:diskId="d%[1]d" ovf:fileRef="f%[1]d" ovf:capacity="%[2]d"/>`, i, size)
		fmt.Fprintf(&items, `<Item><rasd:AddressOnParent>%[1]d</rasd:AddressOnParent><rasd:ElementName>disk %[1]d</rasd:ElementName><rasd:HostResource>ovf:/disk/d%[1]d</rasd:HostResource><rasd:InstanceID>%[2]d</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`, i, 10+i)
	}
	head, rest, _ := strings.Cut(largeDescriptor, "<References>")
	_, hardware, _ := strings.Cut(rest, "<VirtualSystem ")
	i := strings.LastIndex(hardware, "<Item>")
	j := strings.Index(hardware, "</VirtualHardwareSection>")
	text := head + "<References>" + files.String() + "</References><DiskSection><Info>disks</Info>" + disks.String() + "</DiskSection><VirtualSystem " + hardware[:i] + items.String() + hardware[j:]
	folder := c.t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "shop.ovf"), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for i := range n {
		b := make([]byte, size)
		if _, err := (pattern{size, size}).ReadAt(b, 0); err != nil {
			c.t.Fatal(err)
		}
		b[0] = byte(i)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("d%d.img", i)), b, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	pkg := openDir(c.t, filepath.Join(folder, "shop.ovf"))
	if _, err := migrate.ImportPackage(context.Background(), pkg, c.inProcess(), migrate.ImportOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func sleepFor(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }

func openDir(t testing.TB, descriptor string) ovf.Package {
	t.Helper()
	pkg, err := dir.Open(context.Background(), descriptor, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}
