package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	return startWith(t, dir, nil, args...)
}

// startWith begins a command with more in its environment.
func startWith(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("cimimove", args...)}
	p.Dir = dir
	p.Env = slices.Concat(os.Environ(), []string{"XDG_STATE_HOME=" + filepath.Join(dir, "state")}, env)
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
	return cimimoveWith(t, dir, nil, code, args...)
}

// cimimoveWith runs a command with more in its environment.
func cimimoveWith(t *testing.T, dir string, env []string, code int, args ...string) map[string]any {
	t.Helper()
	p := startWith(t, dir, env, append(args, "--output", "json")...)
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
func serving(t *testing.T, dir, name string, args ...string) (string, *process) {
	t.Helper()
	if !strings.Contains(name, ":") {
		name = "local:" + name
	}
	p := &process{Cmd: exec.Command("cimimove", append([]string{"serve", name, "--listen", "127.0.0.1:0", "--output", "json"}, args...)...)}
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

// bigPackage is a package around a sparse disk of that size with MiBs of data in it.
func bigPackage(t *testing.T, dir string, size int64, data int) { bigPackageOf(t, dir, 1, size, data) }

// perDisk are the elements of the descriptor that stand there once for each disk.
var perDisk = regexp.MustCompile(`(?m)^.*(<File |<Disk |ovf:/disk/disk1).*\n`)

// bigPackageOf has several such disks.
func bigPackageOf(t *testing.T, dir string, disks int, size int64, data int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "descriptor", "machine.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"2097152"`), []byte(strconv.Quote(strconv.FormatInt(size, 10))))
	sizes := make([]string, disks)
	for n := range disks {
		f, err := os.Create(filepath.Join(dir, "disk.raw"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		step := size / int64(data)
		for i := range data {
			if _, err := f.WriteAt(ovftest.Noise(uint64(n*data+i), 1<<20), int64(i)*step/disk.BlockSize*disk.BlockSize); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		name := fmt.Sprintf("disk%d.vmdk", n+1)
		cimimove(t, dir, 0, "disk", "convert", "disk.raw", name, "--to", "vmdk", "--compress", "1")
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sizes[n] = strconv.FormatInt(info.Size(), 10)
	}
	text = perDisk.ReplaceAllFunc(text, func(line []byte) []byte {
		var out []byte
		for n := range disks {
			id := strconv.Itoa(n + 1)
			out = append(out, strings.NewReplacer("SIZE", sizes[n], "file1", "file"+id, "disk1", "disk"+id, "<rasd:AddressOnParent>0", "<rasd:AddressOnParent>"+strconv.Itoa(n),
				"<rasd:InstanceID>4<", "<rasd:InstanceID>4"+strings.Repeat("0", n)+"<").Replace(string(line))...)
		}
		return out
	})
	if err := os.WriteFile(filepath.Join(dir, "machine.ovf"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestE2EMemory: what migrate needs does not grow with the disk, when every byte
// passes through it. An eighth is what the garbage collector's timing makes.
func TestE2EMemory(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	peaks := map[int64]int64{}
	for _, gib := range []int64{4, 16} {
		dir := t.TempDir()
		bigPackage(t, dir, gib<<30, int(gib)*64)
		east, _ := serving(t, dir, "east")
		west, _ := serving(t, dir, "west")
		cimimove(t, dir, 0, "import", "machine.ovf", east)
		peaks[gib] = watched(t, dir, nil, "migrate", east, "web", west, "--via", "relay", "--output", "json")
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

// TestE2EMemoryOfParallelDisks: four disks at a time take less than 128 MiB in
// each of the three processes, verification included.
func TestE2EMemoryOfParallelDisks(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	const limit = 128 << 20
	dir := t.TempDir()
	bigPackageOf(t, dir, 4, 4<<30, 192)
	east, source := serving(t, dir, "east")
	west, destination := serving(t, dir, "west")
	cimimove(t, dir, 0, "import", "machine.ovf", east, "--parallel-disks", "4")
	moved := watched(t, dir, nil, "migrate", east, "web", west, "--via", "relay", "--parallel-disks", "4", "--verify", "full", "--output", "json")
	peaks := map[string]int64{"migrate": moved, "source": source.peak(), "destination": destination.peak()}
	t.Logf("peak memory with 4 disks at a time: migrate %d MiB, source %d MiB, destination %d MiB", moved>>20, peaks["source"]>>20, peaks["destination"]>>20)
	for what, peak := range peaks {
		if peak == 0 || peak > limit {
			t.Errorf("%s: peak of %d bytes; %d are allowed", what, peak, limit)
		}
	}
}

// TestE2EKill: the real process is killed in the middle of a transfer; resume
// ends verified, with exactly one System.
func TestE2EKill(t *testing.T) {
	endToEnd(t)
	t.Parallel()
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

// resources are what a collection of a cloud holds.
func resources(t *testing.T, dir, endpoint, collection string) []entry {
	t.Helper()
	p := start(t, dir, "ls", endpoint, collection, "--output", "json")
	if err := p.Wait(); err != nil {
		t.Fatalf("ls: %v: %s", err, p.diagnostics.String())
	}
	var entries []entry
	if err := json.Unmarshal(p.out.Bytes(), &entries); err != nil {
		t.Fatal(err)
	}
	return entries
}

func count(t *testing.T, dir, endpoint, name string) int {
	t.Helper()
	n := 0
	for _, e := range resources(t, dir, endpoint, "systems") {
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
