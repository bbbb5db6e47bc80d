package qcow2_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestSink writes pieces in any order; what comes out is the disk, here and for
// qemu-img.
func TestSink(t *testing.T) {
	ovftest.Slow(t)
	for _, size := range []int64{0, 512, 65536, 1 << 20, 70<<20 + 512} {
		path := filepath.Join(t.TempDir(), "disk.qcow2")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := qcow2.NewSink(f)
		if err := s.Begin(disk.Info{Size: size}); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		r := rand.New(rand.NewPCG(1, uint64(size)))
		for range 40 {
			if size == 0 {
				break
			}
			off := r.Int64N(size)
			n := min(size-off, r.Int64N(200<<10)+1)
			for i := range n {
				want[off+i] = byte(r.Uint32())
			}
			if _, err := s.WriteAt(want[off:off+n], off); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.WriteAt([]byte{1}, size); err == nil {
			t.Error("a write beyond the end is no error")
		}
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := qcow2.SinkSize(size); err != nil || n != st.Size() {
			t.Errorf("the file has %d bytes, SinkSize says %d: %v", st.Size(), n, err)
		}
		img, err := qcow2.Open(f, st.Size(), "sink")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if err := disk.ReadFull(img, got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: another content came out", size)
		}
		if _, err := disk.ContentDigest(context.Background(), img, size, nil); err != nil {
			t.Error(err)
		}
		if qemu, err := exec.LookPath("qemu-img"); err == nil && size > 0 {
			if b, err := exec.Command(qemu, "check", "-f", "qcow2", path).CombinedOutput(); err != nil {
				t.Errorf("%d bytes: qemu-img check: %v: %s", size, err, b)
			}
			raw := path + ".raw"
			if b, err := exec.Command(qemu, "convert", "-f", "qcow2", "-O", "raw", path, raw).CombinedOutput(); err != nil {
				t.Fatalf("qemu-img convert: %v: %s", err, b)
			}
			if b, err := os.ReadFile(raw); err != nil || !bytes.Equal(b, want) {
				t.Errorf("%d bytes: qemu-img reads another content: %v", size, err)
			}
		}
	}
	if _, err := qcow2.SinkSize(65 << 40); err == nil {
		t.Error("65 TiB are no error")
	}
}
