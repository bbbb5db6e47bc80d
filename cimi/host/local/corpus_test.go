package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestCorpus imports every archive of the corpus, exports what could be
// imported, imports that, and compares the disks. A refusal must be one of the
// classes that a caller can tell.
func TestCorpus(t *testing.T) {
	archives, err := filepath.Glob(filepath.Join(ovftest.Corpus(t, "ova"), "*.ova"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("%d archives: %v", len(archives), err)
	}
	h, sound := open(t, t.TempDir()), 0
	for _, name := range archives {
		pkg, err := files.Open(context.Background(), name, files.OpenOptions{Manifest: manifest.Verify})
		if err == nil {
			var s *host.System
			s, err = h.Import(context.Background(), pkg, host.ImportOptions{})
			pkg.Close()
			if err == nil {
				sound++
				t.Logf("%s: %d machines, %d disks", filepath.Base(name), len(s.Machines), len(s.Disks))
				again(t, h, s)
				continue
			}
		}
		t.Logf("%s: %v", filepath.Base(name), err)
		var de *ovf.DescriptorError
		var missing *ovf.MissingFileError
		var integrity *ovf.IntegrityError
		if !errors.As(err, &de) && !errors.As(err, &missing) && !errors.As(err, &integrity) && !errors.Is(err, ovf.ErrNoDescriptor) &&
			!errors.Is(err, disk.ErrUnsupported) && !errors.Is(err, disk.ErrWrongFormat) && !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: of no known class: %v", name, err)
		}
	}
	t.Logf("%d of %d archives imported", sound, len(archives))
	if sound == 0 {
		t.Error("no archive could be imported")
	}
}

func again(t testing.TB, h host.Host, s *host.System) {
	t.Helper()
	x, err := h.Export(context.Background(), s.ID, host.ExportOptions{})
	if err != nil {
		t.Errorf("%s: export: %v", s.Name, err)
		return
	}
	defer x.Close()
	b, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil {
		t.Errorf("%s: export: %v", s.Name, err)
		return
	}
	pkg, err := ova.Open(context.Background(), bytes.NewReader(b), int64(len(b)), s.Name, ova.Options{})
	if err != nil {
		t.Errorf("%s: the export: %v", s.Name, err)
		return
	}
	defer pkg.Close()
	second, err := h.Import(context.Background(), pkg, host.ImportOptions{})
	if err != nil {
		t.Errorf("%s: importing the export: %v", s.Name, err)
		return
	}
	for i, d := range s.Disks {
		if e := second.Disks[i]; d.ContentDigest != e.ContentDigest && d.ContentBytes == e.ContentBytes || d.CapacityBytes != e.CapacityBytes {
			t.Errorf("%s: disk %s was %+v, came back as %+v", s.Name, d.OVFID, d, e)
		}
	}
}
