package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// small is an image with some grains in two tables.
func small(t testing.TB) []byte {
	content := make([]byte, 40<<20)
	rng := rand.New(rand.NewPCG(5, 6))
	for _, g := range []int{0, 1, 2, 17, 520} {
		copy(content[g*disktest.Grain:], disktest.Text(rng, disktest.Grain))
	}
	image, _ := encode(t, content, vmdk.EncodeOptions{})
	return image
}

func decode(image []byte) error {
	_, err := vmdk.Decode(context.Background(), bytes.NewReader(image), disktest.Discard{}, disk.DecodeOptions{Name: "disk.vmdk"})
	return err
}

// read opens the image and reads all of it.
func read(image []byte) error {
	img, err := vmdk.Open(bytes.NewReader(image), int64(len(image)), "disk.vmdk")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(img, 0, img.Size()))
	return err
}

func TestTruncatedAnywhere(t *testing.T) {
	ovftest.Slow(t)
	image := small(t)
	for n := 0; n < len(image); n += 512 {
		for how, f := range map[string]func([]byte) error{"decoding": decode, "reading": read} {
			if err := f(image[:n]); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s the first %d bytes of %d gives %v", how, n, len(image), err)
			}
		}
	}
	for _, n := range []int{1, 511, 513, 65536 + 100, len(image) - 1} {
		if err := decode(image[:n]); !errors.Is(err, disk.ErrCorrupt) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("decoding the first %d bytes of %d gives %v", n, len(image), err)
		}
	}
}

// markers are the places of the markers in an image we wrote.
func markers(image []byte) (grains, tables []int, footer int) {
	le := binary.LittleEndian
	for at := 128 * 512; at < len(image); {
		size, kind := int(le.Uint32(image[at+8:])), le.Uint32(image[at+12:])
		switch {
		case size > 0:
			grains = append(grains, at)
			at += (12 + size + 511) &^ 511
			continue
		case kind == 1:
			tables = append(tables, at)
		case kind == 3:
			footer = at
		}
		at += 512 + int(le.Uint64(image[at:]))*512
	}
	return grains, tables, footer
}

func TestDecodeRefuses(t *testing.T) {
	le := binary.LittleEndian
	sound := small(t)
	grains, tables, footer := markers(sound)
	if len(grains) != 5 || len(tables) != 2 || decode(sound) != nil {
		t.Fatalf("the image to damage has grains at %v and tables at %v: %v", grains, tables, decode(sound))
	}
	// inflating replaces the first grain by a zlib stream of n bytes.
	inflating := func(n int) func([]byte) []byte {
		return func(b []byte) []byte {
			z := deflated(t, n)
			first := bytes.Clone(b[:grains[0]])
			first = binary.LittleEndian.AppendUint64(first, 0)
			first = binary.LittleEndian.AppendUint32(first, uint32(len(z)))
			first = append(first, z...)
			first = append(first, make([]byte, -len(first)&511)...)
			return append(first, b[grains[1]:]...)
		}
	}
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		is     error
		says   string
	}{
		"bad magic":              {func(b []byte) []byte { b[0] = 'X'; return b }, disk.ErrWrongFormat, "expected vmdk"},
		"another format's magic": {func(b []byte) []byte { copy(b, "QFI\xfb\x00\x00\x00\x03"); return b }, disk.ErrWrongFormat, "content is qcow2"},
		"version 4":              {func(b []byte) []byte { b[4] = 4; return b }, disk.ErrUnsupported, "version 4"},
		"text transfer":          {func(b []byte) []byte { b[75] = '\n'; return b }, disk.ErrCorrupt, "offset 73"},
		"odd grain size":         {func(b []byte) []byte { b[20] = 127; return b }, disk.ErrCorrupt, "power of two"},
		"huge grain":             {func(b []byte) []byte { le.PutUint64(b[20:], 1<<40); return b }, disk.ErrUnsupported, "above 1 MiB"},
		"huge capacity":          {func(b []byte) []byte { le.PutUint64(b[12:], 1<<60); return b }, disk.ErrUnsupported, "64 TiB"},
		"other compression":      {func(b []byte) []byte { b[77] = 2; return b }, disk.ErrUnsupported, "compression method 2"},
		"descriptor elsewhere":   {func(b []byte) []byte { b[28] = 200; return b }, disk.ErrCorrupt, "descriptor before the grains"},
		"delta link": {func(b []byte) []byte {
			return bytes.Replace(b, []byte("parentCID=ffffffff"), []byte("parentCID=12345678"), 1)
		}, disk.ErrUnsupported, "delta link"},
		"delta link before it was flattened": {func(b []byte) []byte {
			end := bytes.Index(b, []byte("ddb.virtualHWVersion = \"4\"\n\x00"))
			copy(b[end+40:], "\nparentCID=12345678\n") // behind the text's end
			return b
		}, nil, ""},
		"other createType": {func(b []byte) []byte {
			return bytes.Replace(b, []byte("\"streamOptimized\""), []byte("\"vmfsSparse\"     "), 1)
		}, disk.ErrUnsupported, "vmfssparse"},
		"repeated grain": {func(b []byte) []byte {
			le.PutUint64(b[grains[1]:], 0)
			return b
		}, disk.ErrCorrupt, "each grain once"},
		"grain beyond capacity": {func(b []byte) []byte {
			le.PutUint64(b[grains[4]:], 40<<20/512)
			return b
		}, disk.ErrCorrupt, "below the capacity"},
		"grain between grains": {func(b []byte) []byte {
			le.PutUint64(b[grains[4]:], 639*128+1)
			return b
		}, disk.ErrCorrupt, "multiple of 128"},
		"grain of 4 GiB": {func(b []byte) []byte {
			le.PutUint32(b[grains[0]+8:], 1<<32-1)
			return b
		}, disk.ErrCorrupt, "at most"},
		"flipped bit in a grain": {func(b []byte) []byte {
			b[grains[2]+300] ^= 4
			return b
		}, disk.ErrCorrupt, "a grain of 65536 bytes"},
		"grain one byte too long":  {inflating(disktest.Grain + 1), disk.ErrCorrupt, "beyond"},
		"grain bomb":               {inflating(10 << 20), disk.ErrCorrupt, "corrupt vmdk at offset 65536"},
		"grain one byte too short": {inflating(disktest.Grain - 1), disk.ErrCorrupt, "inflates to 65535"},
		"unknown marker":           {func(b []byte) []byte { b[tables[0]+12] = 9; return b }, disk.ErrCorrupt, "type 9"},
		"grains from a later one on": {func(b []byte) []byte {
			le.PutUint64(b[64:], uint64(grains[1]/512)) // the first would be passed over
			return b
		}, disk.ErrCorrupt, "repeats the header"},
		"other disk's footer":      {func(b []byte) []byte { b[footer+512+12]++; return b }, disk.ErrCorrupt, "repeats the header"},
		"zeros from a grain on":    {func(b []byte) []byte { clear(b[grains[3]:]); return b }, disk.ErrCorrupt, "end-of-stream"},
		"bytes behind the end":     {func(b []byte) []byte { return append(b, make([]byte, 1000)...) }, nil, ""},
		"text behind the end":      {func(b []byte) []byte { return append(b, "more"...) }, disk.ErrCorrupt, "nothing after"},
		"zeros without end behind": {func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }, disk.ErrCorrupt, "nothing after"},
	} {
		t.Run(name, func(t *testing.T) {
			err := decode(c.damage(bytes.Clone(sound)))
			if !errors.Is(err, c.is) {
				t.Fatalf("got %v, want %v", err, c.is)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "disk.vmdk: ")) {
				t.Errorf("%q does not say %q of disk.vmdk", err, c.says)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	le := binary.LittleEndian
	sound := small(t)
	grains, tables, footer := markers(sound)
	if err := read(sound); err != nil {
		t.Fatal(err)
	}
	directory := int(le.Uint64(sound[footer+512+56:])) * 512
	for name, damage := range map[string]func(b []byte){
		"directory outside":          func(b []byte) { le.PutUint64(b[footer+512+56:], 1<<40) },
		"directory at the very end":  func(b []byte) { le.PutUint64(b[footer+512+56:], uint64(len(b)/512)) },
		"table outside":              func(b []byte) { le.PutUint32(b[directory:], 1<<30) },
		"grain outside":              func(b []byte) { le.PutUint32(b[tables[0]+512:], 1<<30) },
		"grain in the header":        func(b []byte) { le.PutUint32(b[tables[0]+512:], 3) },
		"entry of another grain":     func(b []byte) { copy(b[tables[0]+512:], b[tables[0]+516:tables[0]+520]) },
		"grain beyond the capacity":  func(b []byte) { le.PutUint32(b[tables[1]+512+4*200:], 128) },
		"flipped bit in a grain":     func(b []byte) { b[grains[2]+300] ^= 4 },
		"grain of 4 GiB":             func(b []byte) { le.PutUint32(b[grains[0]+8:], 1<<32-1) },
		"footer without its marker":  func(b []byte) { clear(b[footer : footer+512]) },
		"footer of another capacity": func(b []byte) { b[footer+512+12]++ },
	} {
		bad := bytes.Clone(sound)
		damage(bad)
		err := read(bad)
		if !errors.Is(err, disk.ErrCorrupt) || !strings.HasPrefix(err.Error(), "disk.vmdk: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadErrorIsNotCorruption: that the bytes could not be had says nothing
// about the image.
func TestReadErrorIsNotCorruption(t *testing.T) {
	image := small(t)
	broken := errors.New("connection reset")
	for n := 0; n < len(image); n += 16 << 10 {
		r := io.MultiReader(bytes.NewReader(image[:n]), iotest.ErrReader(broken))
		_, err := vmdk.Decode(context.Background(), r, disktest.Discard{}, disk.DecodeOptions{})
		if !errors.Is(err, broken) || errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("an error after %d bytes gives %v", n, err)
		}
	}
}

// once tells its error once, with the last bytes before it, and that it ends then.
type once struct {
	r   io.Reader
	err error
}

func (o *once) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err == nil && n < len(p) {
		err, o.err = o.err, nil
	}
	return n, err
}

// TestReadErrorToldOnce: nor does it say so where the reader that failed says that
// it ends when it is asked again.
func TestReadErrorToldOnce(t *testing.T) {
	image := small(t)
	broken := errors.New("connection reset")
	for n := 1; n < len(image); n += 4 << 10 {
		for _, together := range []bool{false, true} {
			r := &once{bytes.NewReader(image[:n]), broken}
			_, err := vmdk.Decode(context.Background(), r, disktest.Discard{}, disk.DecodeOptions{Together: together})
			if !errors.Is(err, broken) || errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("an error after %d bytes, together %v, gives %v", n, together, err)
			}
		}
	}
}

type fullDisk struct{ disktest.Discard }

var errFull = errors.New("no space left")

func (fullDisk) WriteAt([]byte, int64) (int, error) { return 0, errFull }

func TestSinkErrorEnds(t *testing.T) {
	_, err := vmdk.Decode(context.Background(), bytes.NewReader(small(t)), fullDisk{}, disk.DecodeOptions{})
	if !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := vmdk.Decode(ctx, bytes.NewReader(small(t)), disktest.Discard{}, disk.DecodeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
