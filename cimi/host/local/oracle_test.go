package local_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestExportReadByQEMU: another implementation reads in an export what was
// imported, and xmllint finds the descriptor valid.
func TestExportReadByQEMU(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		ovftest.Missing(t, "qemu-img")
	}
	h, sample, dir := open(t, t.TempDir()), hosttest.NewSample(t, "app", 3), t.TempDir()
	s, err := h.Import(context.Background(), hosttest.Package(t, sample.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Machines[0].CPUs, s.Machines[1].Name = 7, "käse & <brot>"
	if err := h.Update(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	x, err := h.Export(context.Background(), s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	b, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := ova.Open(context.Background(), bytes.NewReader(b), int64(len(b)), "export", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pkg.Close()
	for _, m := range pkg.Members() {
		f, err := pkg.Open(context.Background(), m.Name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, m.Name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	hosttest.ValidDescriptor(t, b)
	for _, id := range []string{"disk1", "disk2"} {
		run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", id+".vmdk", id+".raw")
		got, err := os.ReadFile(filepath.Join(dir, id+".raw"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sample.Disks[id]) {
			t.Errorf("%s: qemu-img reads another content (%d bytes, want %d)", id, len(got), len(sample.Disks[id]))
		}
	}
}
