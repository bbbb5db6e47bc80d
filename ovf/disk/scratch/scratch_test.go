package scratch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk/scratch"
)

// TestFile: what is kept reads as what came, has no name that could stay, and
// is gone when it is closed.
func TestFile(t *testing.T) {
	folder := t.TempDir()
	content := make([]byte, 3<<20+777)
	copy(content[1<<20:], "something")
	copy(content[len(content)-1:], "x")
	f, err := scratch.Create(folder, "disk.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Fill(context.Background(), bytes.NewReader(content))
	if err != nil || n != int64(len(content)) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, n))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes come back, %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestErrors: the reader's error is the reader's, a context that ends is told,
// and a folder that is not there is named with what it was for.
func TestErrors(t *testing.T) {
	f, err := scratch.Create(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wrong := errors.New("wrong digest")
	if _, err := f.Fill(context.Background(), io.MultiReader(strings.NewReader("abc"), failing{wrong})); !errors.Is(err, wrong) {
		t.Errorf("%v, want the reader's error", err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	stop(gone)
	if _, err := f.Fill(ctx, strings.NewReader("abc")); !errors.Is(err, gone) {
		t.Errorf("%v, want the cause", err)
	}
	if _, err := scratch.Create("/no/such/folder", "disk.qcow2"); err == nil || !strings.Contains(err.Error(), "disk.qcow2") || !strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
