package vmdk_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

func encode(t testing.TB, content []byte, opts vmdk.EncodeOptions) ([]byte, disk.Result) {
	t.Helper()
	var out bytes.Buffer
	res, err := vmdk.Encode(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), &out, opts)
	if err != nil {
		t.Fatal(err)
	}
	if res.StreamBytes != int64(out.Len()) {
		t.Errorf("StreamBytes is %d of %d", res.StreamBytes, out.Len())
	}
	return out.Bytes(), res
}

func TestRoundTrip(t *testing.T) {
	for name, content := range disktest.Patterns() {
		t.Run(name, func(t *testing.T) {
			image, enc := encode(t, content, vmdk.EncodeOptions{})
			var got disktest.Memory
			dec, err := vmdk.Decode(context.Background(), bytes.NewReader(image), &got, disk.DecodeOptions{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Data, disktest.Padded(content)) {
				t.Error("the one-pass decoder reads other content")
			}
			if !dec.HasDigest || dec.DataBytes < enc.DataBytes {
				t.Errorf("decoded %+v of %+v", dec, enc)
			}
			if dec.Digest.Sum != enc.Digest.Sum {
				t.Errorf("digest %v, encoder says %v", dec.Digest, enc.Digest)
			}
			img, err := vmdk.Open(bytes.NewReader(image), int64(len(image)), name)
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(all, disktest.Padded(content)) {
				t.Error("the random-access reader reads other content")
			}
		})
	}
}
