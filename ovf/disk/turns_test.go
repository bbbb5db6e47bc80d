package disk_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// alone is a file that notices two writers at once.
type alone struct {
	writers, most atomic.Int32
}

func (a *alone) WriteAt(p []byte, _ int64) (int, error) {
	if n := a.writers.Add(1); n > a.most.Load() {
		a.most.Store(n)
	}
	time.Sleep(time.Millisecond)
	a.writers.Add(-1)
	return len(p), nil
}

// TestScatterWritesInTurn: however many workers read, one writes at a time.
func TestScatterWritesInTurn(t *testing.T) {
	const size = 16 << 20
	img := raw.New(bytes.NewReader(bytes.Repeat([]byte{1}, size)), size)
	var w alone
	place := func(off int64) (int64, error) { return off, nil }
	if _, err := disk.Scatter(context.Background(), img, &w, 1<<16, place, disk.EncodeOptions{Workers: 8}); err != nil {
		t.Fatal(err)
	}
	if n := w.most.Load(); n != 1 {
		t.Errorf("%d writers at once", n)
	}
}
