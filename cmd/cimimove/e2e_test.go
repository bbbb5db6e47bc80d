package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// endToEnd skips a test that takes long, unless CIMIMOVE_E2E asks for those.
func endToEnd(t *testing.T) {
	t.Helper()
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
}

// program finds a program that a test needs. In CI it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CIMIMOVE_CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// process is a running cimimove, the real program.
type process struct {
	*exec.Cmd
	out, diagnostics bytes.Buffer
}

func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("cimimove", args...)}
	p.Dir = dir
	p.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	p.Stdout, p.Stderr = &p.out, &p.diagnostics
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// cimimove runs a command to its end and gives its document; code is the exit
// code that it must have.
func cimimove(t *testing.T, dir string, code int, args ...string) map[string]any {
	t.Helper()
	p := start(t, dir, append(args, "--output", "json")...)
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := p.ProcessState.ExitCode(); got != code {
		t.Fatalf("cimimove %s: exit code %d, want %d: %s", strings.Join(args, " "), got, code, p.diagnostics.String())
	}
	var doc map[string]any
	if err := json.Unmarshal(p.out.Bytes(), &doc); err != nil {
		return nil
	}
	return doc
}

// serving serves a cloud until the test ends, and gives its URL; name without a
// colon is a local one's.
func serving(t *testing.T, dir, name string) (string, *process) {
	t.Helper()
	if !strings.Contains(name, ":") {
		name = "local:" + name
	}
	p := &process{Cmd: exec.Command("cimimove", "serve", name, "--listen", "127.0.0.1:0", "--output", "json")}
	p.Dir = dir
	p.Stderr = &p.diagnostics
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	var doc served
	if err := json.NewDecoder(out).Decode(&doc); err != nil {
		t.Fatalf("serve %s: %v: %s", name, err, p.diagnostics.String())
	}
	return doc.URL, p
}

// peak is the largest resident set of a process so far, in bytes.
func (p *process) peak() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), "VmHWM:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}

// bigPackage is a package around a sparse disk of that size with data in it.
func bigPackage(t *testing.T, dir string, size int64, data int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	step := size / int64(data)
	for i := range data {
		if _, err := f.WriteAt(ovftest.Noise(uint64(i), 1<<20), int64(i)*step/disk.BlockSize*disk.BlockSize); err != nil {
			t.Fatal(err)
		}
	}
	cimimove(t, dir, 0, "disk", "convert", "disk.raw", "disk1.vmdk", "--to", "vmdk", "--compress", "1")
	info, err := os.Stat(filepath.Join(dir, "disk1.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("SIZE"), []byte(strconv.FormatInt(info.Size(), 10)))
	text = bytes.ReplaceAll(text, []byte(`"2097152"`), []byte(strconv.Quote(strconv.FormatInt(size, 10))))
	if err := os.WriteFile(filepath.Join(dir, "machine.ovf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestE2EMemory: what migrate needs does not grow with the disk, when every byte
// passes through it. An eighth is what the garbage collector's timing makes.
func TestE2EMemory(t *testing.T) {
	endToEnd(t)
	peaks := map[int64]int64{}
	for _, gib := range []int64{4, 16} {
		dir := t.TempDir()
		bigPackage(t, dir, gib<<30, int(gib)*64)
		east, _ := serving(t, dir, "east")
		west, _ := serving(t, dir, "west")
		cimimove(t, dir, 0, "import", "machine.ovf", east)
		p := start(t, dir, "migrate", east, "web", west, "--via", "relay", "--output", "json")
		done := make(chan error, 1)
		go func() { done <- p.Wait() }()
		for running := true; running; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatalf("migrate: %v: %s", err, p.diagnostics.String())
				}
				running = false
			case <-time.After(20 * time.Millisecond):
				peaks[gib] = max(peaks[gib], p.peak())
			}
		}
		os.RemoveAll(dir)
	}
	t.Logf("peak memory: 4 GiB disk %d MiB, 16 GiB disk %d MiB", peaks[4]>>20, peaks[16]>>20)
	if peaks[4] == 0 || peaks[4] > 256<<20 || peaks[16] > 256<<20 {
		t.Errorf("peaks of %d and %d bytes; 256 MiB is allowed", peaks[4], peaks[16])
	}
	if peaks[16] > peaks[4]+peaks[4]/8 {
		t.Errorf("memory grows with the disk: %d bytes for 4 GiB, %d for 16 GiB", peaks[4], peaks[16])
	}
}

// TestE2EKill: the real process is killed in the middle of a transfer; resume
// ends verified, with exactly one System.
func TestE2EKill(t *testing.T) {
	endToEnd(t)
	dir := t.TempDir()
	bigPackage(t, dir, 2<<30, 768)
	east, _ := serving(t, dir, "east")
	west, server := serving(t, dir, "west")
	cimimove(t, dir, 0, "import", "machine.ovf", east)
	for i, wait := range []time.Duration{100, 600, 1200, 2000} {
		name := fmt.Sprintf("moved-%d", i)
		p := start(t, dir, "migrate", east, "web", west, "--name", name)
		time.Sleep(wait * time.Millisecond)
		p.Process.Kill()
		p.Wait()
		list := cimimove(t, dir, 0, "status")
		runs := list["runs"].([]any)
		if len(runs) <= i {
			// Killed before there was a run: nothing can be there.
			cimimove(t, dir, 0, "migrate", east, "web", west, "--name", name)
			continue
		}
		last := runs[len(runs)-1].(map[string]any)
		t.Logf("killed after %d ms: %v, step %v", wait, last["state"], last["step"])
		rep := cimimove(t, dir, 0, "resume", last["run"].(string))
		if rep["verified"] != true {
			t.Errorf("resumed run is not verified: %v", rep)
		}
		if n := count(t, dir, west, name); n != 1 {
			t.Errorf("%d Systems called %s", n, name)
		}
	}
	// The destination is killed too: what it promised is there, nothing else.
	server.Process.Kill()
	server.Wait()
	if n := count(t, dir, "local:west", ""); n != 4 {
		t.Errorf("%d Systems after the destination's death, want 4", n)
	}
	disks, err := filepath.Glob(filepath.Join(dir, "west", "disks", "*"))
	if err != nil || len(disks) != 4 {
		t.Errorf("%d disk files, want 4 (%v)", len(disks), err)
	}
}

func count(t *testing.T, dir, endpoint, name string) int {
	t.Helper()
	p := start(t, dir, "ls", endpoint, "systems", "--output", "json")
	if err := p.Wait(); err != nil {
		t.Fatalf("ls: %v: %s", err, p.diagnostics.String())
	}
	var entries []entry
	if err := json.Unmarshal(p.out.Bytes(), &entries); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if name == "" || e.Name == name {
			n++
		}
	}
	return n
}

// TestInspectReadsLittle: inspect of a 100 GiB archive reads its headers only.
func TestInspectReadsLittle(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "huge.ova")
	writeHuge(t, name, 100<<30)
	p := start(t, dir, "inspect", name, "--output", "json")
	var read int64
	begin := time.Now()
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("inspect: %v: %s", err, p.diagnostics.String())
			}
			running = false
		case <-time.After(time.Millisecond):
			read = max(read, p.read())
		}
	}
	t.Logf("read %d bytes in %v", read, time.Since(begin))
	if read > 1<<20 {
		t.Errorf("inspect read %d bytes", read)
	}
	var doc inspection
	if err := json.Unmarshal(p.out.Bytes(), &doc); err != nil || len(doc.Disks) == 0 {
		t.Errorf("%v: %s", err, p.out.String())
	}
}

// writeHuge writes an archive whose disk is one hole of that size.
func writeHuge(t *testing.T, name string, size int64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("SIZE"), []byte(strconv.FormatInt(size, 10)))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "machine.ovf", Size: int64(len(text)), Mode: 0o644}),
		second(w.Write(text)), w.Flush(),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "disk1.vmdk", Size: size, Mode: 0o644, Format: tar.FormatGNU}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, int64(b.Len())+size+1024); err != nil {
		t.Fatal(err)
	}
}

func second[A any](_ A, err error) error { return err }

// read is how many bytes a process has read so far, from files and pipes.
func (p *process) read() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), "rchar: ")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return n
}

// corpus is a folder of real files beside the repository; tests pass without it.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s beside the repository", name)
	}
	return dir
}

// unsound are the archives of the corpus that must be refused, with their codes.
var unsound = map[string]int{
	"Awingu-open-ovf__py_tests_test_files_ourOVF.ova": 4,
	"ganeti-ganeti__test_data_ovfdata_no_ovf.ova":     3,
	"ganeti-ganeti__test_data_ovfdata_wrong_ova.ova":  3,
}

// TestE2ECorpus moves every sound archive of the corpus through two clouds and
// out again; qemu-img judges the disks.
func TestE2ECorpus(t *testing.T) {
	endToEnd(t)
	archives, err := filepath.Glob(filepath.Join(corpus(t, "corpus/ova"), "*.ova"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives (%v)", err)
	}
	qemu := program(t, "qemu-img")
	dir := t.TempDir()
	east, _ := serving(t, dir, "east")
	west, _ := serving(t, dir, "west")
	for _, archive := range archives {
		base := filepath.Base(archive)
		t.Run(base, func(t *testing.T) {
			if code := unsound[base]; code != 0 {
				doc := cimimove(t, dir, code, "import", archive, east, "--name", base, "--accept-eulas")
				if failure, ok := doc["error"].(map[string]any); !ok || !strings.Contains(fmt.Sprint(failure["message"]), base) {
					t.Errorf("the message does not name the file: %v", doc)
				}
				if count(t, dir, east, base) != 0 {
					t.Error("something of it is in the cloud")
				}
				return
			}
			roundTrip(t, qemu, dir, archive, base, east, west)
		})
	}
}

// roundTrip imports, migrates, exports and compares.
func roundTrip(t *testing.T, qemu, dir, archive, name, east, west string) string {
	t.Helper()
	cimimove(t, dir, 0, "import", archive, east, "--name", name, "--accept-eulas")
	if rep := cimimove(t, dir, 0, "migrate", east, name, west, "--verify", "full"); rep["verified"] != true {
		t.Errorf("not verified: %v", rep)
	}
	out := filepath.Join(t.TempDir(), "out.ova")
	cimimove(t, dir, 0, "export", west, name, out)
	before, after := t.TempDir(), t.TempDir()
	cimimove(t, dir, 0, "convert", archive, before+"/in")
	unpack := exec.Command("tar", "xf", out, "-C", after)
	if b, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	disks, _ := filepath.Glob(filepath.Join(before, "in", "*.vmdk*"))
	for _, original := range disks {
		moved := filepath.Join(after, strings.TrimSuffix(filepath.Base(original), ".gz"))
		if strings.HasSuffix(original, ".gz") {
			original = gunzipped(t, original)
		}
		a, b := rawOf(t, qemu, original), rawOf(t, qemu, moved)
		if !sameFile(t, a, b) {
			t.Errorf("%s differs after the move", filepath.Base(moved))
		}
	}
	return out
}

func rawOf(t *testing.T, qemu, image string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.raw")
	if b, err := exec.Command(qemu, "convert", "-f", "vmdk", "-O", "raw", image, out).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, b)
	}
	return out
}

func gunzipped(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.vmdk")
	b, err := exec.Command("gzip", "-dc", name).Output()
	if err != nil {
		t.Fatalf("gzip: %v", err)
	}
	if err := os.WriteFile(out, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errX := io.ReadFull(x, p)
		m, errY := io.ReadFull(y, q)
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false
		}
		if errX != nil || errY != nil {
			return errX == errY
		}
	}
}

// TestE2EApplianceBoots: a disk that boots still boots when it has moved
// through two clouds and out again.
func TestE2EApplianceBoots(t *testing.T) {
	endToEnd(t)
	tool := filepath.Join(corpus(t, "tools"), "bootable-disk")
	qemu, system := program(t, "qemu-img"), program(t, "qemu-system-x86_64")
	program(t, "syslinux")
	dir := t.TempDir()
	if b, err := exec.Command(tool, filepath.Join(dir, "disk.raw"), "wl-moved").CombinedOutput(); err != nil {
		t.Fatalf("bootable-disk: %v: %s", err, b)
	}
	info, err := os.Stat(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "disk", "convert", "disk.raw", "disk1.vmdk", "--to", "vmdk")
	packed, err := os.Stat(filepath.Join(dir, "disk1.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("SIZE"), []byte(strconv.FormatInt(packed.Size(), 10)))
	text = bytes.ReplaceAll(text, []byte(`"2097152"`), []byte(strconv.Quote(strconv.FormatInt(info.Size(), 10))))
	if err := os.WriteFile(filepath.Join(dir, "machine.ovf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "convert", "machine.ovf", "boot.ova")
	east, _ := serving(t, dir, "east")
	west, _ := serving(t, dir, "west")
	out := roundTrip(t, qemu, dir, filepath.Join(dir, "boot.ova"), "boot", east, west)
	if b, err := exec.Command("tar", "xf", out, "-C", dir, "disk1.vmdk").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, b)
	}
	vm := exec.Command("timeout", "120", system, "-m", "256", "-nographic", "-no-reboot", "-snapshot",
		"-drive", "file="+filepath.Join(dir, "disk1.vmdk")+",format=vmdk,if=virtio")
	b, err := vm.CombinedOutput()
	if !bytes.Contains(b, []byte("CIMIMOVE-BOOT-OK id=wl-moved")) {
		t.Errorf("it does not boot (%v): %s", err, b)
	}
}
