package ova

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/ovf/beside"
)

// fileSink is a temporary file beside its target.
type fileSink struct {
	*os.File
	target string
	done   bool
}

func createFile(target string) (*fileSink, error) {
	target, err := beside.Place(target)
	if err != nil {
		return nil, err
	}
	f, err := beside.File(filepath.Dir(target), filepath.Base(target))
	if err != nil {
		return nil, err
	}
	return &fileSink{File: f, target: target}, nil
}

// Commit makes the archive durable under its name.
func (s *fileSink) Commit(context.Context) error {
	if err := errors.Join(s.Sync(), s.Close()); err != nil {
		return err
	}
	if err := os.Rename(s.Name(), s.target); err != nil {
		return err
	}
	s.done = true
	return syncFolder(filepath.Dir(s.target))
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a folder, and say so in as many ways.
	_ = d.Sync()
	return nil
}

func (s *fileSink) Abort() error {
	if s.done {
		return nil
	}
	s.done = true
	s.Close()
	return os.Remove(s.Name())
}
