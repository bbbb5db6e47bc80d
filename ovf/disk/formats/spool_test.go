package formats_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestDecodeAnyFormat: what comes as a stream is read in every format. One that
// cannot be read as it passes is kept meanwhile, or read where it lies; nothing
// of it stays, and the stream is read to its end.
func TestDecodeAnyFormat(t *testing.T) {
	ctx := context.Background()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	content := make([]byte, 5<<20)
	copy(content[1<<20:], disktest.Noise(rand.New(rand.NewPCG(7, 8)), 70_000))
	img := raw.New(bytes.NewReader(content), int64(len(content)))
	want, err := disk.ContentDigest(ctx, img, img.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format  disk.Format
		variant string
		kept    bool
	}{
		{disk.Raw, "", false}, {disk.VMDK, "", false}, {disk.VMDKSparse, "", false},
		{disk.QCOW2, "", true}, {disk.VHD, "dynamic", true}, {disk.VHD, "fixed", true}, {disk.VHDX, "", true}, {disk.VDI, "", true},
	} {
		name := filepath.Join(t.TempDir(), "image")
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := formats.Convert(ctx, img, out, c.format, disk.EncodeOptions{Variant: c.variant}); err != nil {
			t.Fatalf("%s: %v", c.format, err)
		}
		out.Close()
		stored, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		src := formats.Source{Name: "disk", Declared: c.format}
		r := bytes.NewReader(stored)
		res, err := formats.Decode(ctx, r, src, int64(len(content)), discarded{}, disk.DecodeOptions{})
		if err != nil || res.Digest != want || r.Len() > 0 || (res.Kept == int64(len(stored))) != c.kept {
			t.Errorf("%s %s: digest %v, %d bytes left, %d kept, %v", c.format, c.variant, res.Digest, r.Len(), res.Kept, err)
		}

		// The same where it lies.
		released := false
		src.At = func(context.Context) (io.ReaderAt, int64, func(), error) {
			return bytes.NewReader(stored), int64(len(stored)), func() { released = true }, nil
		}
		r = bytes.NewReader(stored)
		res, err = formats.Decode(ctx, r, src, int64(len(content)), discarded{}, disk.DecodeOptions{})
		if err != nil || res.Digest != want || r.Len() > 0 || res.Kept != 0 || released != c.kept {
			t.Errorf("%s %s, where it lies: digest %v, %d bytes left, released %v, %v", c.format, c.variant, res.Digest, r.Len(), released, err)
		}

		// Re-encoded as a stream, and what the stream says of itself counts.
		var vmdk bytes.Buffer
		res, err = formats.Transcode(ctx, bytes.NewReader(stored), formats.Source{Name: "disk", Declared: c.format}, int64(len(content)), &vmdk, disk.VMDK, disk.EncodeOptions{})
		if err != nil || res.Digest != want {
			t.Errorf("%s %s re-encoded: digest %v, %v", c.format, c.variant, res.Digest, err)
		}
		wrong := errors.New("wrong digest")
		if _, err := formats.Decode(ctx, &untrue{bytes.NewReader(stored), wrong}, src, int64(len(content)), discarded{}, disk.DecodeOptions{}); !errors.Is(err, wrong) {
			t.Errorf("%s %s: %v, want what the stream says at its end", c.format, c.variant, err)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%s: %v is left", c.format, left)
		}
	}
	// Cut, it is an error, not a shorter disk.
	var whole bytes.Buffer
	if _, err := formats.Encode(ctx, img, &whole, disk.QCOW2, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := formats.Decode(ctx, bytes.NewReader(whole.Bytes()[:whole.Len()/2]), formats.Source{Name: "disk.qcow2"}, -1, discarded{}, disk.DecodeOptions{}); err == nil {
		t.Error("half a qcow2 is read")
	}
}

// untrue ends with an error where a stream ends.
type untrue struct {
	r   io.Reader
	err error
}

func (u *untrue) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err == io.EOF {
		err = u.err
	}
	return n, err
}

type discarded struct{}

func (discarded) Begin(disk.Info) error                  { return nil }
func (discarded) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
