package vmdk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// TestDecodeStored: grains that are stored as they are go from the stream to
// their place without being passed on, however the stream comes; a wrong byte in
// one is told as in any other grain.
func TestDecodeStored(t *testing.T) {
	content := make([]byte, 5<<20+100<<10+512)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(content)
	clear(content[1<<20 : 3<<20+200<<10])
	img := raw.New(bytes.NewReader(content), int64(len(content)))
	want, err := disk.ContentDigest(context.Background(), img, img.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := vmdk.NewLayout(context.Background(), img, vmdk.StoredOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(io.NewSectionReader(r, 0, l.Size()))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(r io.Reader, together bool) ([]byte, disk.Result, error) {
		out := &memory{b: make([]byte, len(content))}
		res, err := vmdk.Decode(context.Background(), r, out, disk.DecodeOptions{Name: "d.vmdk", Together: together})
		return out.b, res, err
	}
	for name, from := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader} {
		for _, together := range []bool{false, true} {
			got, res, err := decode(from(bytes.NewReader(file)), together)
			if err != nil || !res.HasDigest || res.Digest != want || !bytes.Equal(got, content) {
				t.Errorf("%s, together %v: digest %v, want %v, the same content %v: %v", name, together, res.Digest, want, bytes.Equal(got, content), err)
			}
		}
	}
	at := bytes.Index(file, content[4<<20:4<<20+64])
	wrong := bytes.Clone(file)
	wrong[at] ^= 1
	var corrupt *disk.CorruptError
	if _, _, err := decode(bytes.NewReader(wrong), true); !errors.As(err, &corrupt) || corrupt.Offset <= 0 || corrupt.Offset > int64(at) || int64(at)-corrupt.Offset > 64<<10 {
		t.Errorf("with a wrong byte at %d: %v", at, err)
	}
	if _, _, err := decode(bytes.NewReader(file[:at]), true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off at %d: %v", at, err)
	}
}

// memory is a sink.
type memory struct{ b []byte }

func (*memory) Begin(disk.Info) error                      { return nil }
func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.b[off:], p), nil }
