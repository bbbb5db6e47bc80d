package bootdisk_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// everyWay is a chain of formats in which each follows each other one, from raw
// to raw.
func everyWay() []disk.Format {
	all := []disk.Format{disk.Raw, disk.VMDK, disk.VMDKSparse, disk.QCOW2, disk.VHD, disk.VHDX, disk.VDI}
	var chain []disk.Format
	for i, a := range all {
		chain = append(chain, a)
		for _, b := range all[i+1:] {
			chain = append(chain, b, a)
		}
	}
	return append(chain, disk.Raw)
}

// TestBootsThroughEveryFormat: a disk that was taken from every format to every
// other has the content it had, says its digest, and boots.
func TestBootsThroughEveryFormat(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal("qemu-system-x86_64 is not installed")
		}
		t.Skip("qemu-system-x86_64 is not installed")
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "0")
	bootdisk.Build(t, at, "wl-0008", bootdisk.Options{})
	var want disk.Digest
	chain := everyWay()
	for i, to := range chain[1:] {
		next := filepath.Join(dir, strconv.Itoa(i+1))
		res := converted(t, at, chain[i], next, to)
		if want.IsZero() {
			want = res.Digest
		}
		if res.Digest != want {
			t.Fatalf("%s to %s, step %d: digest %v, it was %v", chain[i], to, i, res.Digest, want)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		at = next
	}
	out, err := exec.Command("timeout", "300", qemu, "-accel", "tcg", "-m", "256", "-nographic", "-no-reboot",
		"-drive", "file="+at+",format=raw,if=virtio").CombinedOutput()
	if !bytes.Contains(out, []byte(bootdisk.Marker+"wl-0008 cpus=1 ")) {
		t.Errorf("it does not come up: %v: %s", err, out)
	}
}

func converted(t *testing.T, from string, is disk.Format, into string, to disk.Format) disk.Result {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	img, err := formats.Open(in, st.Size(), formats.Source{Name: from, Declared: is})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	out, err := os.Create(into)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	res, err := formats.Convert(t.Context(), img, out, to, disk.EncodeOptions{Level: level(to)})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// level is the compression level of a format: of qcow2 it would compress.
func level(to disk.Format) int {
	if to == disk.VMDK {
		return 1
	}
	return 0
}
