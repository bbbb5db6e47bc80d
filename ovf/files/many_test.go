package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// listing opens an archive whose References name files, and which holds
// others; each is empty.
func listing(t *testing.T, names, held []string) ovf.Opener {
	t.Helper()
	var s ovftest.Spec
	for _, n := range names {
		s.Files = append(s.Files, ovftest.File{Href: n, Size: -1, Disk: true, Capacity: 1})
	}
	l := ova.LayoutSpec{Name: "app.ova", Descriptor: "app.ovf", Envelope: s.Descriptor(t)}
	for _, n := range held {
		l.Files = append(l.Files, ova.LayoutFile{Name: n, Content: bytes.NewReader(nil)})
	}
	x, err := ova.NewLayout(l)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ova.Open(t.Context(), x, x.Size(), "app.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func numbered(what string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d.vmdk", what, i)
	}
	return out
}

// TestManyMissing: 20,000 files that a package of 20,000 others does not hold are
// all listed, by File; what was most likely meant is looked for of the first ones
// alone, since each look goes over all that the package holds.
func TestManyMissing(t *testing.T) {
	ovftest.Slow(t)
	each := func(n int) time.Duration {
		pkg := listing(t, numbered("disk", n), numbered("Disk", n))
		start := time.Now()
		missing := files.Missing(pkg)
		took := time.Since(start)
		if len(missing) != n {
			t.Fatalf("%d files are missing, want %d", len(missing), n)
		}
		for i, m := range missing {
			if m.Href != fmt.Sprintf("disk%d.vmdk", i) || m.FileID != fmt.Sprintf("file%d", i+1) || m.Package != "app.ova" {
				t.Fatalf("missing file %d is %+v", i, m)
			}
		}
		if m := missing[0]; m.Nearest != "Disk0.vmdk" || len(m.Disks) != 1 || m.Disks[0] != "disk1" {
			t.Errorf("of the first is told %+v", m)
		}
		return took / time.Duration(n)
	}
	// The first hundred are explained with ten times as many names. What else runs
	// may slow one of them: the best of a few rounds counts.
	few, many := each(2_000), each(20_000)
	for round := 0; round < 4 && many > 4*few; round++ {
		few, many = min(few, each(2_000)), min(many, each(20_000))
	}
	t.Logf("%v for each of 2,000, %v for each of 20,000", few, many)
	if many > 4*few {
		t.Errorf("one of 20,000 missing files costs %v, one of 2,000 costs %v", many, few)
	}
	var m *ovf.MissingFileError
	for _, err := range files.Contents(t.Context(), listing(t, numbered("disk", 20_000), nil), files.Options{}) {
		if !errors.As(err, &m) || m.Href != "disk0.vmdk" || !strings.Contains(err.Error(), "File file1, disk disk1") {
			t.Errorf("%v", err)
		}
		break
	}
}
