package qcow2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// tracked is a blank image of QEMU's with a bitmap "b", to which is written then by
// qemu-io's commands.
func tracked(t testing.TB, size string, create, add []string, commands ...string) (path string, image []byte) {
	t.Helper()
	img := disktest.Tool(t, "qemu-img")
	path = filepath.Join(t.TempDir(), "disk.qcow2")
	disktest.Run(t, img, slices.Concat([]string{"create", "-q", "-f", "qcow2"}, create, []string{path, size})...)
	disktest.Run(t, img, slices.Concat([]string{"bitmap", "--add"}, add, []string{path, "b"})...)
	args := []string{"-f", "qcow2"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	disktest.Run(t, disktest.Tool(t, "qemu-io"), append(args, path)...)
	return path, contentOf(t, path)
}

func contentOf(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dirty is what a bitmap of the image says.
func dirty(image []byte, name string) (out []disk.Extent, err error) {
	img, err := qcow2.Open(bytes.NewReader(image), int64(len(image)), "disk.qcow2")
	if err != nil {
		return nil, err
	}
	for e, err := range img.Dirty(context.Background(), name) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// TestOracleBitmaps: what QEMU notes in a bitmap is what was written to the
// disk, rounded to the granularity.
func TestOracleBitmaps(t *testing.T) {
	ovftest.Slow(t)
	const size = 20<<20 + 512
	rng := rand.New(rand.NewPCG(1, 26))
	for _, cluster := range []string{"512", "4k", "64k", "2M"} {
		for _, granularity := range []int64{512, 64 << 10, 1 << 20, 64 << 20} {
			t.Run(fmt.Sprintf("clusters of %s, %d bytes a bit", cluster, granularity), func(t *testing.T) {
				want := make([]bool, (size+granularity-1)/granularity)
				var commands []string
				for range 8 {
					n := rng.Int64N(200<<10) + 1
					off := rng.Int64N(size - n)
					commands = append(commands, fmt.Sprintf("write -q -P 7 %d %d", off/512*512, (n+511)/512*512))
					for i := off / 512 * 512 / granularity; i <= (off/512*512+(n+511)/512*512-1)/granularity; i++ {
						want[i] = true
					}
				}
				commands = append(commands, fmt.Sprintf("discard -q %d 512", size-512), "write -q -z 0 512")
				want[0], want[len(want)-1] = true, true
				_, image := tracked(t, fmt.Sprint(size), []string{"-o", "cluster_size=" + cluster}, []string{"-g", fmt.Sprint(granularity)}, commands...)
				got := make([]bool, len(want))
				all, err := dirty(image, "b")
				if err != nil {
					t.Fatal(err)
				}
				end := int64(-1)
				for _, e := range all {
					if e.Offset <= end || e.Length <= 0 || e.Offset+e.Length > size {
						t.Fatalf("%+v after what ends at %d", e, end)
					}
					end = e.Offset + e.Length
					for i := e.Offset / granularity; i <= (end-1)/granularity; i++ {
						got[i] = true
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v is said of %v", all, commands)
				}
				img := open(t, image)
				if list, err := img.Bitmaps(); err != nil || len(list) != 1 || list[0].Name != "b" || list[0].Granularity != granularity || !list[0].Auto || list[0].InUse {
					t.Errorf("%+v: %v", list, err)
				}
			})
		}
	}
	if list, err := open(t, made(t, make([]byte, 4096))).Bitmaps(); err != nil || list != nil {
		t.Errorf("without bitmaps: %+v: %v", list, err)
	}
}

// directory is where that of the bitmaps lies in an image.
func directory(image []byte) (extension, entry int) {
	extension = bytes.Index(image, []byte{0x23, 0x85, 0x28, 0x75}) + 8
	return extension, int(binary.BigEndian.Uint64(image[extension+16:]))
}

// TestBitmapsInDoubt: a bitmap of which anything is not as it should be says
// nothing, and is not taken for one that says that nothing was written.
func TestBitmapsInDoubt(t *testing.T) {
	path, sound := tracked(t, "4M", []string{"-o", "cluster_size=512"}, []string{"-g", "512"}, "write -q 1M 64k")
	if got, err := dirty(sound, "b"); err != nil || len(got) != 1 || got[0] != (disk.Extent{Offset: 1 << 20, Length: 64 << 10}) {
		t.Fatalf("%+v: %v", got, err)
	}
	be := binary.BigEndian
	ext, entry := directory(sound)
	table := int(be.Uint64(sound[entry:]))
	data := 0 // the entry of the table whose bits are there
	for be.Uint64(sound[table+8*data:]) == 0 {
		data++
	}
	set32 := func(at int, v uint32) func([]byte) { return func(b []byte) { be.PutUint32(b[at:], v) } }
	set64 := func(at int, v uint64) func([]byte) { return func(b []byte) { be.PutUint64(b[at:], v) } }
	for name, c := range map[string]struct {
		change func([]byte)
		class  error
	}{
		"a program that knows of no bitmaps":     {set64(88, 0), qcow2.ErrBitmap},
		"in use":                                 {set32(entry+12, 3), qcow2.ErrBitmap},
		"kept up by nobody":                      {set32(entry+12, 0), qcow2.ErrBitmap},
		"a flag that is not known":               {set32(entry+12, 2|8), qcow2.ErrBitmap},
		"another type":                           {func(b []byte) { b[entry+16] = 2 }, qcow2.ErrBitmap},
		"a granularity below QEMU's":             {func(b []byte) { b[entry+17] = 8 }, qcow2.ErrBitmap},
		"a granularity above QEMU's":             {func(b []byte) { b[entry+17] = 32 }, qcow2.ErrBitmap},
		"another granularity":                    {func(b []byte) { b[entry+17] = 10 }, qcow2.ErrBitmap},
		"another name":                           {func(b []byte) { b[entry+24] = 'c' }, qcow2.ErrBitmap},
		"extra data":                             {func(b []byte) { be.PutUint32(b[entry+20:], 1); b[entry+24], b[entry+25] = 0, 'b' }, qcow2.ErrBitmap},
		"extra data behind the directory":        {set32(entry+20, 1<<31), disk.ErrCorrupt},
		"no name":                                {func(b []byte) { be.PutUint16(b[entry+18:], 0) }, disk.ErrCorrupt},
		"a name behind the directory":            {func(b []byte) { be.PutUint16(b[entry+18:], 1000) }, disk.ErrCorrupt},
		"something behind the name":              {func(b []byte) { b[entry+25] = 1 }, disk.ErrCorrupt},
		"no bitmaps":                             {set32(ext, 0), disk.ErrCorrupt},
		"two bitmaps, one entry":                 {set32(ext, 2), disk.ErrCorrupt},
		"more bitmaps than there may be":         {set32(ext, 1<<20), disk.ErrCorrupt},
		"what is reserved in the extension":      {set32(ext+4, 1), disk.ErrCorrupt},
		"a longer directory":                     {set64(ext+8, 40), disk.ErrCorrupt},
		"an empty directory":                     {set64(ext+8, 0), disk.ErrCorrupt},
		"a huge directory":                       {set64(ext+8, 1<<62), disk.ErrUnsupported},
		"a directory nowhere":                    {set64(ext+16, 0), disk.ErrCorrupt},
		"a directory off its cluster":            {set64(ext+16, uint64(entry)+8), disk.ErrCorrupt},
		"a directory behind the end":             {set64(ext+16, 1<<40), disk.ErrCorrupt},
		"an extension of another length":         {set32(ext-4, 16), disk.ErrCorrupt},
		"an extension behind the header":         {set32(ext-4, 1<<20), disk.ErrCorrupt},
		"a table nowhere":                        {set64(entry, 0), disk.ErrCorrupt},
		"a table off its cluster":                {set64(entry, uint64(table)+8), disk.ErrCorrupt},
		"a table behind the end":                 {set64(entry, 1<<40), disk.ErrCorrupt},
		"a table in the directory":               {set64(entry, uint64(entry)), disk.ErrCorrupt},
		"a shorter table":                        {set32(entry+8, 1), qcow2.ErrBitmap},
		"a longer table":                         {set32(entry+8, 1<<31), qcow2.ErrBitmap},
		"what is reserved in the table":          {set64(table, 2), disk.ErrCorrupt},
		"what is reserved above":                 {set64(table, 1<<60), disk.ErrCorrupt},
		"bits that are ones, and somewhere":      {set64(table+8*data, be.Uint64(sound[table+8*data:])|1), disk.ErrCorrupt},
		"bits behind the end":                    {set64(table, 1<<40), disk.ErrCorrupt},
		"bits in the directory":                  {set64(table, uint64(entry)), disk.ErrCorrupt},
		"bits in the table":                      {set64(table, uint64(table)), disk.ErrCorrupt},
		"bits twice":                             {set64(table+8*(1-data), be.Uint64(sound[table+8*data:])), disk.ErrCorrupt},
		"a disk that was made smaller unnoticed": {set64(24, 2<<20), qcow2.ErrBitmap},
	} {
		t.Run(name, func(t *testing.T) {
			image := bytes.Clone(sound)
			c.change(image)
			if got, err := dirty(image, "b"); !errors.Is(err, c.class) {
				t.Errorf("%+v: %v", got, err)
			}
		})
	}
	t.Run("bits behind the disk", func(t *testing.T) {
		_, image := tracked(t, "1M", []string{"-o", "cluster_size=64k"}, nil, "write -q 0 64k")
		_, entry := directory(image)
		bits := be.Uint64(image[be.Uint64(image[entry:]):])
		image[bits+2] = 1 // of the 17th cluster
		if got, err := dirty(image, "b"); !errors.Is(err, qcow2.ErrBitmap) {
			t.Errorf("%+v: %v", got, err)
		}
	})
	t.Run("all of it", func(t *testing.T) {
		image := bytes.Clone(sound)
		be.PutUint64(image[table+8*(1-data):], 1)
		if got, err := dirty(image, "b"); err != nil || len(got) != 2 && len(got) != 1 {
			t.Errorf("%+v: %v", got, err)
		}
	})
	t.Run("disabled by QEMU", func(t *testing.T) {
		disktest.Run(t, disktest.Tool(t, "qemu-img"), "bitmap", "--disable", path, "b")
		if got, err := dirty(contentOf(t, path), "b"); !errors.Is(err, qcow2.ErrBitmap) {
			t.Errorf("%+v: %v", got, err)
		}
	})
	t.Run("an image of version 2", func(t *testing.T) {
		if got, err := dirty(made(t, make([]byte, 4096), "-o", "compat=0.10"), "b"); !errors.Is(err, qcow2.ErrBitmap) {
			t.Errorf("%+v: %v", got, err)
		}
	})
}

// FuzzBitmaps: whatever the bytes, what bitmaps say lies within the disk, ascending.
func FuzzBitmaps(f *testing.F) {
	for _, c := range [][]string{{"512", "512"}, {"4k", "64k"}} {
		_, image := tracked(f, "1M", []string{"-o", "cluster_size=" + c[0]}, []string{"-g", c[1]}, "write -q 4k 1k", "write -q 512k 8k")
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := qcow2.Open(bytes.NewReader(b), int64(len(b)), "fuzz")
		if err != nil {
			return
		}
		var list []qcow2.Bitmap
		disktest.Bounded(t, disktest.Bound, func() { list, err = img.Bitmaps() })
		if err != nil {
			return
		}
		for _, k := range list[:min(len(list), 4)] {
			end, n := int64(-1), 0
			for e, err := range img.Dirty(t.Context(), k.Name) {
				if n++; err != nil || n > 1<<16 {
					break
				}
				if e.Offset <= end || e.Length <= 0 || e.Offset+e.Length > img.Size() {
					t.Fatalf("%+v after what ends at %d, of %d", e, end, img.Size())
				}
				end = e.Offset + e.Length
			}
		}
	})
}
