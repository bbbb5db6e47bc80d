package qemu

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestCopyDisks: the copies are the disks as they were when copying began,
// whatever the machine writes meanwhile; a copy that is broken off leaves
// nothing in the machine.
func TestCopyDisks(t *testing.T) {
	t.Parallel()
	program, err := Program()
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	const size = 8 << 20
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	content := make([]byte, size)
	for i := range content[:3<<20] {
		content[i] = byte(i >> 9)
	}
	for _, name := range []string{"a.raw", "b.raw"} {
		if err := os.WriteFile(path(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	empty := func(name string) Copy {
		f, err := os.Create(path("copy-" + name))
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return Copy{From: path(name), To: path("copy-" + name)}
	}
	m, err := Start(t.Context(), program, path("run"), Config{Name: "writes", MemoryBytes: 64 << 20,
		Disks: []Disk{{Path: path("a.raw"), Bus: "virtio"}, {Path: path("b.raw"), Bus: "ide"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Quit(context.Background()) })
	write := func(what string) {
		t.Helper()
		if err := m.execute(t.Context(), "human-monitor-command", map[string]any{"command-line": `qemu-io disk0 "` + what + `"`}, nil); err != nil {
			t.Fatal(err)
		}
	}
	write("write -P 0x55 1M 64k") // as the guest does
	copy(content[1<<20:], bytes.Repeat([]byte{0x55}, 64<<10))
	if err := m.CopyDisks(t.Context(), []Copy{empty("a.raw"), empty("b.raw")}); err != nil {
		t.Fatal(err)
	}
	write("write -P 0x66 1M 64k")
	got, err := os.ReadFile(path("copy-a.raw"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the copy is not what the disk was: %v", err)
	}
	clean := func() {
		t.Helper()
		jobs, err := m.copyJobs(t.Context())
		if err != nil || len(jobs) > 0 {
			t.Errorf("jobs are left: %v: %v", jobs, err)
		}
	}
	clean()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.CopyDisks(ctx, []Copy{empty("b.raw")}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	clean()
	if err := m.CopyDisks(t.Context(), []Copy{{From: path("c.raw"), To: path("copy-a.raw")}}); err == nil {
		t.Error("a disk that the machine does not have was copied")
	}
	if err := m.CopyDisks(t.Context(), []Copy{{From: path("a.raw"), To: path("nowhere.raw")}}); err == nil {
		t.Error("a disk was copied to nowhere")
	}
	clean()
	if err := m.CopyDisks(t.Context(), []Copy{empty("a.raw")}); err != nil {
		t.Errorf("after all that: %v", err)
	}
}
