package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

type syncs struct{ err error }

func (s syncs) Sync() error { return s.err }

// TestSettled: a device that fails to keep what was written to it is an error; what
// cannot be waited for is none.
func TestSettled(t *testing.T) {
	if err := settled(syncs{&os.PathError{Op: "sync", Path: "/dev/sdb", Err: syscall.EIO}}); !errors.Is(err, syscall.EIO) {
		t.Errorf("of a device: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	go io.Copy(io.Discard, r)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, f := range []*os.File{w, null} {
		if err := settled(f); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}
