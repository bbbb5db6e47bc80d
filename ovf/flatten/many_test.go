//go:build unix

package flatten_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/flatten"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// linked has n blank disks, each with the parent that parent says; 0: none.
func linked(t testing.TB, n int, parent func(i int) int) ovf.Package {
	t.Helper()
	var disks strings.Builder
	for i := 1; i <= n; i++ {
		of := ""
		if p := parent(i); p > 0 {
			of = fmt.Sprintf(` ovf:parentRef="p%d"`, p)
		}
		fmt.Fprintf(&disks, `<Disk ovf:diskId="p%d" ovf:capacity="1572864"%s/>`, i, of)
	}
	p, err := ova.Read(t.Context(), strings.NewReader(string(described(t, disks.String(), []string{fmt.Sprintf("p%d", n)}))), "app.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestManyParents: a chain of 20,000 disks, each the parent of the next, ends with
// an error of the descriptor, and costs no more than a few times what reading its
// descriptor does: every chain is followed for 256 disks at most.
func TestManyParents(t *testing.T) {
	pkg := linked(t, 20_000, func(i int) int { return i - 1 })
	text := pkg.Envelope().Bytes()
	start := worked(t)
	e, err := ovf.Parse(text)
	if err != nil || len(e.Disks()) != 20_000 {
		t.Fatal(err)
	}
	parse := worked(t) - start
	start = worked(t)
	_, err = flatten.Package(context.Background(), pkg, flatten.Options{})
	took := worked(t) - start
	var de *ovf.DescriptorError
	if !errors.As(err, &de) || !strings.Contains(err.Error(), "does not end within 256 disks") || !strings.HasPrefix(de.Object, "disk p") {
		t.Errorf("%v", err)
	}
	t.Logf("read in %v, refused in %v", parse, took)
	if took > 20*parse {
		t.Errorf("the chain is refused in %v; its descriptor is read in %v", took, parse)
	}
}

// worked is the processor time that this process has taken: by the clock, what
// else runs and what the disk has to write would count.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManyChildren: the cost of a disk that is made whole does not grow with the
// number of others; that of reading the descriptor anew for each did.
func TestManyChildren(t *testing.T) {
	ovftest.Slow(t)
	each := func(n int) time.Duration {
		best := time.Duration(1<<63 - 1)
		for range 2 {
			pkg := linked(t, n, func(i int) int { return min(i-1, 100) })
			start := worked(t)
			w, err := flatten.Package(context.Background(), pkg, flatten.Options{Spool: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			best = min(best, worked(t)-start)
			if got := len(w.Envelope().Files()); got != n-1 {
				t.Fatalf("%d files, want one for each child", got)
			}
			w.Close()
		}
		return best / time.Duration(n)
	}
	few, many := each(200), each(1600)
	for round := 0; round < 4 && many > 4*few; round++ { // what else runs may slow one
		few, many = min(few, each(200)), min(many, each(1600))
	}
	t.Logf("%v for each of 200, %v for each of 1600", few, many)
	if many > 4*few {
		t.Errorf("one of 1600 disks costs %v, one of 200 costs %v", many, few)
	}
}
