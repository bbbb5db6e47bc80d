//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReplaceFile: pages and reports are read by those who may read what the user
// creates, plans by the user alone; links stay links, and pipes stay pipes.
func TestReplaceFile(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{os.Symlink("page.html", at("link")), syscall.Mkfifo(at("pipe"), 0o644), replaceFile(at("link"), []byte("page")), replacePrivate(at("plan.json"), []byte("plan"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan string)
	go func() {
		b, _ := os.ReadFile(at("pipe"))
		read <- string(b)
	}()
	if err := replaceFile(at("pipe"), []byte("page")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"page.html": 0o640, "link": fs.ModeSymlink, "plan.json": 0o600, "pipe": fs.ModeNamedPipe} {
		info, err := os.Lstat(at(name))
		if err != nil || info.Mode().Type() != want.Type() || want.IsRegular() && info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info, err, want)
		}
	}
	if t.Failed() {
		return // nobody writes into the pipe
	}
	if got := <-read; got != "page" {
		t.Errorf("the pipe gave %q", got)
	}
}
