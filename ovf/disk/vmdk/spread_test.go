package vmdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// kept are files by name, as those beside a descriptor.
type kept map[string][]byte

func (k kept) open(name string) (disk.OpenedFile, error) {
	b, ok := k[name]
	if !ok {
		return disk.OpenedFile{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return disk.OpenedFile{ReaderAt: bytes.NewReader(b), Closer: io.NopCloser(nil), Size: int64(len(b))}, nil
}

func spread(text string, files kept) ([]byte, error) {
	img, err := vmdk.OpenSpread(strings.NewReader(text), int64(len(text)), "disk.vmdk", files.open)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
}

// TestDescriptorsAsWritten: what different programs write as a descriptor means
// the same.
func TestDescriptorsAsWritten(t *testing.T) {
	a, b := bytes.Repeat([]byte{1}, 1024), bytes.Repeat([]byte{2}, 512)
	const head = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
	for name, c := range map[string]struct {
		text  string
		files kept
		want  []byte
	}{
		"one flat":       {head + "createType=\"monolithicFlat\"\nRW 2 FLAT \"a b.vmdk\" 0\n", kept{"a b.vmdk": a}, a},
		"as old manuals": {head + "createType=\"2GbMaxExtentFlat\"\nRW 2 FLAT \"a\" 0\nRW 1 FLAT \"b\" 0\n", kept{"a": a, "b": b}, append(bytes.Clone(a), b...)},
		"custom":         {head + "createType=\"custom\"\nRW 2 FLAT \"a\"\nRW 1 ZERO\n", kept{"a": a}, append(bytes.Clone(a), make([]byte, 512)...)},
		"zeros between":  {head + "createType=\"monolithicFlat\"\nRW 1 FLAT \"b\" 0\nRW 1 ZERO\nRW 1 FLAT \"a\" 1\n", kept{"a": a, "b": b}, append(append(bytes.Clone(b), make([]byte, 512)...), a[:512]...)},
		"CR LF":          {strings.ReplaceAll(head+"createType=\"monolithicFlat\"\nRW 2 FLAT \"a\" 0\n", "\n", "\r\n"), kept{"a": a}, a},
		"a tail of what was there before": {head + "createType=\"monolithicFlat\"\nRW 2 FLAT \"a\" 0\n\x00\x00\nRW 1 FLAT \"old\" 0\nparentCID=1234",
			kept{"a": a}, a},
		"a name of Windows":             {head + "encoding=\"windows-1252\"\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"Z\xfcrich\x96flat.vmdk\" 0\n", kept{"Zürich–flat.vmdk": a}, a},
		"a name of Windows, kept as is": {head + "encoding=\"windows-1252\"\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"Z\xfcrich.vmdk\" 0\n", kept{"Z\xfcrich.vmdk": a}, a},
		"a name in GBK":                 {head + "encoding=\"GBK\"\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"\xd6\xd0.vmdk\" 0\n", kept{"中.vmdk": a}, a},
		"a name in UTF-8":               {head + "encoding=\"UTF-8\"\ncreateType=\"monolithicFlat\"\nRW 2 FLAT \"中.vmdk\" 0\n", kept{"中.vmdk": a}, a},
	} {
		if got, err := spread(c.text, c.files); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes (%v)", name, len(got), err)
		}
	}
}

// TestDescriptorsRefused: an extent that cannot be understood or is not there is
// never passed over, which would be a smaller disk.
func TestDescriptorsRefused(t *testing.T) {
	const head = "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"a\" 0\n"
	for line, is := range map[string]error{
		"RW 1 FLAT \"gone\" 0":        disk.ErrCorrupt,
		"RW one FLAT \"a\" 0":         disk.ErrCorrupt,
		"RW 1 FLAT a 0":               disk.ErrCorrupt,
		"RW 1 FLAT \"a 0":             disk.ErrCorrupt,
		"RW 1 FLAT":                   disk.ErrCorrupt,
		"rw 1 FLAT \"a\" 0":           disk.ErrCorrupt,
		"RW -1 ZERO":                  disk.ErrCorrupt,
		"RW 1 FLAT \"a\" 1":           disk.ErrCorrupt,
		"RW 1 SESPARSE \"a\"":         disk.ErrUnsupported,
		"NOACCESS 1 FLAT \"a\" 0":     disk.ErrUnsupported,
		"parentCID=12345678":          disk.ErrUnsupported,
		"createType=\"vmfsSparse\"":   disk.ErrUnsupported,
		"# RW 1 FLAT \"a comment\" 0": nil,
	} {
		if _, err := spread(head+line+"\n", kept{"a": make([]byte, 512)}); !errors.Is(err, is) {
			t.Errorf("%s: %v, want %v", line, err, is)
		}
	}
}

// TestExtentAlone: a file of a disk of several is not taken for a smaller disk; of
// its descriptor it is.
func TestExtentAlone(t *testing.T) {
	content := disktest.Patterns()["full of text"]
	image := sparseImage(content)
	open := func(name string) error {
		_, err := vmdk.Open(bytes.NewReader(image), int64(len(image)), name)
		return err
	}
	if err := open("a/disk-s001.vmdk"); !errors.Is(err, disk.ErrUnsupported) || !strings.Contains(err.Error(), "as a/disk.vmdk") {
		t.Error(err)
	}
	if err := open("disk.vmdk"); err != nil {
		t.Error(err)
	}
	_, err := vmdk.Decode(t.Context(), bytes.NewReader(image), disktest.Discard{}, disk.DecodeOptions{Name: "disk-s002.vmdk"})
	if !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("as a stream: %v", err)
	}
	text := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"twoGbMaxExtentSparse\"\nRW %d SPARSE \"disk-s001.vmdk\"\n", len(content)/512)
	if got, err := spread(text, kept{"disk-s001.vmdk": image}); err != nil || !bytes.Equal(got, content) {
		t.Errorf("by its descriptor: %d bytes (%v)", len(got), err)
	}
}
