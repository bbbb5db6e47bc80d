package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// watched runs a command to its end and gives the largest resident set that it
// was seen with.
func watched(t *testing.T, dir string, env []string, args ...string) int64 {
	t.Helper()
	p := startWith(t, dir, env, args...)
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	var peak int64
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("cimimove %v: %v: %s", args, err, p.diagnostics.String())
			}
			return peak
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, p.peak())
		}
	}
}

// TestAC09E2E: an archive of 100 GiB, one raw disk of holes with some data, is
// imported into a cloud of raw disks, and moved on from there, where no temporary
// file can be made; no process has more than 256 MiB in memory.
func TestAC09E2E(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	const size, limit = 100 << 30, 256 << 20
	dir := t.TempDir()
	archive := filepath.Join(dir, "huge.ova")
	rawArchive(t, archive, size)
	env := []string{"TMPDIR=" + filepath.Join(dir, "is not there")}
	if f, err := os.CreateTemp(filepath.Join(dir, "is not there"), ""); err == nil {
		t.Fatal(f.Name(), "can be made")
	}
	began := time.Now()
	imported := watched(t, dir, env, "import", archive, "local:west", "--progress", "none")
	t.Logf("imported in %s, peak %d MiB", time.Since(began).Round(time.Second), imported>>20)
	began = time.Now()
	west, server := serving(t, dir, "west")
	moved := watched(t, dir, env, "migrate", west, "web", "local:north", "--via", "relay", "--progress", "none")
	t.Logf("moved in %s, peaks %d and %d MiB", time.Since(began).Round(time.Second), moved>>20, server.peak()>>20)
	for what, peak := range map[string]int64{"import": imported, "migrate": moved, "serve": server.peak()} {
		if peak == 0 || peak > limit {
			t.Errorf("%s had %d bytes in memory; %d are allowed", what, peak, int64(limit))
		}
	}
}

// rawArchive writes an archive with a raw disk that is a hole but for 64 MiB.
func rawArchive(t *testing.T, name string, size int64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	for old, now := range map[string]string{"SIZE": strconv.FormatInt(size, 10), `"2097152"`: strconv.Quote(strconv.FormatInt(size, 10)), "disk1.vmdk": "disk1.raw",
		"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized": "http://www.linux.org/raw"} {
		text = bytes.ReplaceAll(text, []byte(old), []byte(now))
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "machine.ovf", Size: int64(len(text)), Mode: 0o644}),
		second(w.Write(text)), w.Flush(),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "disk1.raw", Size: size, Mode: 0o644, Format: tar.FormatGNU}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	for i := range int64(64) {
		if _, err := f.WriteAt(testContent(fmt.Sprint("noise ", i), 1<<20), int64(b.Len())+i*(size/64)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(b.Len()) + size + 1024); err != nil {
		t.Fatal(err)
	}
}
