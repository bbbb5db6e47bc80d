package qcow2_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestOracleReadsWhatWeWrite and finds no fault, no leaked cluster either.
func TestOracleReadsWhatWeWrite(t *testing.T) {
	ovftest.Slow(t)
	in := filepath.Join(t.TempDir(), "in.qcow2")
	for name, content := range disktest.Telling() {
		img := &disktest.Holes{Image: raw.New(bytes.NewReader(content), int64(len(content))), Content: content}
		var image bytes.Buffer
		res, err := qcow2.Encode(context.Background(), img, &image, disk.EncodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if res.StreamBytes != int64(image.Len()) || image.Len()%65536 != 0 {
			t.Errorf("%s: %d bytes, %d said", name, image.Len(), res.StreamBytes)
		}
		back := open(t, image.Bytes())
		if b, err := io.ReadAll(io.NewSectionReader(back, 0, back.Size())); err != nil || !bytes.Equal(b, disktest.Padded(content)) {
			t.Errorf("%s: we read other content (%v)", name, err)
		}
		if err := os.WriteFile(in, image.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		disktest.Judge(t, in, "qcow2", content)
	}
}

// TestLargeSparse: a size whose L1 table and reference counts take more than a
// cluster each would show here.
func TestLargeSparse(t *testing.T) {
	qemu := disktest.Tool(t, "qemu-img")
	ctx := context.Background()
	dir := t.TempDir()
	source, err := os.Create(filepath.Join(dir, "source.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	const size = 5 << 40
	if err := source.Truncate(size); err != nil {
		t.Skipf("no sparse file of that size here: %v", err)
	}
	for _, off := range []int64{0, 1 << 32, size - 512} {
		if _, err := source.WriteAt([]byte("here"), off); err != nil {
			t.Fatal(err)
		}
	}
	img, err := raw.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "disk.qcow2")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := qcow2.Encode(ctx, img, out, disk.EncodeOptions{NoDigest: true}); err != nil {
		t.Fatal(err)
	}
	disktest.Run(t, qemu, "check", "-f", "qcow2", path)
	disktest.Run(t, qemu, "compare", "-f", "raw", "-F", "qcow2", source.Name(), path)
	st, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	back, err := qcow2.Open(out, st.Size(), path)
	if err != nil {
		t.Fatal(err)
	}
	if at, equal, err := disk.Compare(ctx, img, back); err != nil || !equal {
		t.Errorf("differs at %d (%v)", at, err)
	}
}
