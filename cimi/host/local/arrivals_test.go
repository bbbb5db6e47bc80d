package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

const (
	mib   = 1 << 20
	chunk = 1 * mib
)

const twoDisks = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f1" ovf:href="one.vmdk"/><File ovf:id="f2" ovf:href="two.vmdk"/></References>
<DiskSection><Info>disks</Info><Disk ovf:diskId="one" ovf:fileRef="f1" ovf:capacity="%[1]d"/><Disk ovf:diskId="two" ovf:fileRef="f2" ovf:capacity="%[1]d"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>vm</Info><VirtualHardwareSection><Info>hw</Info>
<Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
<Item><rasd:ElementName>scsi</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>d1</rasd:ElementName><rasd:HostResource>ovf:/disk/one</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:ElementName>d2</rasd:ElementName><rasd:HostResource>ovf:/disk/two</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>`

const diskBytes = 12 * mib

// content is a disk with a hole: block 5 is half zero, block 6 is zero.
func content(seed byte) []byte {
	b := make([]byte, diskBytes)
	x := uint32(seed) + 1
	for i := range b {
		if i >= 5*mib+mib/2 && i < 7*mib {
			continue
		}
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// line is a package behind a network that can be made to go wrong.
type line struct {
	*ova.Layout
	version string
	read    atomic.Int64
	// at is asked about every byte range that is read in sequence.
	at func(p []byte, off int64) error
}

func (l *line) Version() string                         { return l.version }
func (l *line) At(context.Context) io.ReaderAt          { return l.Layout }
func (l *line) ReadAt(p []byte, off int64) (int, error) { return l.Layout.ReadAt(p, off) }
func (l *line) Stream(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return l.Apart(ctx, off, n), nil
}

func (l *line) Apart(_ context.Context, off, n int64) io.ReadCloser {
	return io.NopCloser(&passing{l, off, off + n})
}

type passing struct {
	l        *line
	pos, end int64
}

func (p *passing) Read(b []byte) (int, error) {
	if p.pos >= p.end {
		return 0, io.EOF
	}
	n, err := p.l.Layout.ReadAt(b[:min(int64(len(b)), p.end-p.pos, 64<<10)], p.pos)
	if p.l.at != nil {
		if err := p.l.at(b[:n], p.pos); err != nil {
			return 0, err
		}
	}
	p.pos += int64(n)
	p.l.read.Add(int64(n))
	if err == io.EOF && p.pos < p.end {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}

// newLine lays the two disks out in the stored form, as an export does.
func newLine(t *testing.T, version string, one, two []byte) *line {
	t.Helper()
	spec := ova.LayoutSpec{Name: "vm", Descriptor: "vm.ovf", Envelope: fmt.Appendf(nil, twoDisks, diskBytes)}
	for name, b := range map[string][]byte{"one.vmdk": one, "two.vmdk": two} {
		img, err := vmdk.Stored(t.Context(), sparse(b), vmdk.StoredOptions{})
		if err != nil {
			t.Fatal(err)
		}
		spec.Files = append(spec.Files, ova.LayoutFile{Name: name, Size: img.Size(), Content: img})
	}
	if spec.Files[0].Name != "one.vmdk" {
		spec.Files[0], spec.Files[1] = spec.Files[1], spec.Files[0]
	}
	l, err := ova.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &line{Layout: l, version: version}
}

func sparse(b []byte) disk.Image { return raw.New(bytes.NewReader(b), int64(len(b))) }

func (l *line) open(t *testing.T) ovf.Package {
	t.Helper()
	l.read.Store(0)
	p, err := ova.Open(t.Context(), l, l.Size(), "vm.ova", ova.Options{Late: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func openChunked(t *testing.T, dir string) *local.Host {
	h := open(t, dir)
	h.Chunk = chunk
	return h
}

var errLine = errors.New("the line broke")

// breakAt breaks the line at that byte of what is read in sequence.
func (l *line) breakAt(n int64) {
	l.at = func(p []byte, _ int64) error {
		if l.read.Load()+int64(len(p)) > n {
			return errLine
		}
		return nil
	}
}

func check(t *testing.T, h *local.Host, s *host.System, want ...[]byte) {
	t.Helper()
	for _, d := range s.Disks {
		img, err := h.OpenDisk(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		got := make([]byte, img.Size())
		if err := disk.ReadFull(img, got, 0); err != nil {
			t.Fatal(err)
		}
		expected := want[0]
		if d.OVFID == "two" {
			expected = want[1]
		}
		if !bytes.Equal(got, expected) {
			t.Errorf("disk %s: its content is another", d.OVFID)
		}
		digest, err := disk.ContentDigest(t.Context(), sparse(expected), diskBytes, nil)
		if err != nil || d.ContentDigest != digest.String() {
			t.Errorf("disk %s: digest %s, expected %s: %v", d.OVFID, d.ContentDigest, digest, err)
		}
	}
	x, err := h.Export(t.Context(), s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
}

func diskFiles(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "disks", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestImportGoesOn breaks an import at many places, one disk after the other
// and both at a time; the next one goes on within a chunk of it, also when the
// cloud was closed in between, and the disks are those that were sent (AC-01).
func TestImportGoesOn(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, parallel := range []int{1, 2} {
		for n := int64(mib / 2); n < 22*mib; n += 7*mib + 12345 {
			t.Run(fmt.Sprintf("%d at a time, after %d KiB", parallel, n>>10), func(t *testing.T) {
				again, size := goesOn(t, parallel, n)
				most := size - n + int64(parallel)*(chunk+mib)
				for try := 0; try < 3 && again > most; try++ {
					// What has come is kept beside what comes: a disk that is
					// slow just then keeps less of it.
					again, _ = goesOn(t, parallel, n)
				}
				if again > most {
					t.Errorf("%d KiB came again of %d KiB, of which %d KiB had come", again>>10, size>>10, n>>10)
				}
			})
		}
	}
}

// goesOn breaks an import off after n bytes and has another one end it: of a
// package of size bytes, again came then.
func goesOn(t *testing.T, parallel int, n int64) (again, size int64) {
	t.Helper()
	one, two := content(1), content(2)
	dir := t.TempDir()
	h := openChunked(t, dir)
	l := newLine(t, "v1", one, two)
	l.breakAt(n)
	opts := host.ImportOptions{ParallelDisks: parallel, Resume: "run"}
	if _, err := h.Import(t.Context(), l.open(t), opts); !errors.Is(err, errLine) {
		t.Fatalf("got %v", err)
	}
	if n > 4*mib && diskFiles(t, dir) == 0 {
		t.Error("nothing is kept")
	}
	h.Close()
	h = openChunked(t, dir)
	l.at = nil
	s, err := h.Import(t.Context(), l.open(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	again = l.read.Load()
	check(t, h, s, one, two)
	if diskFiles(t, dir) != 2 {
		t.Errorf("%d files of disks", diskFiles(t, dir))
	}
	return again, l.Size()
}

// TestImportNeverSplices: what was kept of another version is not gone on with.
func TestImportNeverSplices(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	h := openChunked(t, dir)
	opts := host.ImportOptions{Resume: "run"}
	l := newLine(t, "v1", content(1), content(2))
	l.breakAt(9 * mib)
	if _, err := h.Import(t.Context(), l.open(t), opts); !errors.Is(err, errLine) {
		t.Fatalf("got %v", err)
	}
	three, four := content(3), content(4)
	l = newLine(t, "v2", three, four)
	s, err := h.Import(t.Context(), l.open(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	if l.read.Load() < l.Size()-mib {
		t.Errorf("%d bytes of %d were read of the other version", l.read.Load(), l.Size())
	}
	check(t, h, s, three, four)
	if diskFiles(t, dir) != 2 {
		t.Errorf("%d files of disks", diskFiles(t, dir))
	}
}

// TestImportClearsBehindTheMark: what was written behind the place where an
// import goes on proved nothing, and does not shine through holes.
func TestImportClearsBehindTheMark(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	h := open(t, t.TempDir())
	h.Chunk = 4 * mib // one mark before the damage, none behind it
	one, two := content(1), content(2)
	l := newLine(t, "v1", one, two)
	damaged := content(1)
	for i := 5 * mib; i < 8*mib; i++ {
		damaged[i] |= 1 // the hole, too
	}
	wrong := newLine(t, "v1", damaged, two)
	// The same bytes up to there; then the line gives others, and breaks.
	l.at = func(p []byte, off int64) error {
		if off > 5*mib {
			if _, err := wrong.Layout.ReadAt(p, off); err != nil {
				return err
			}
		}
		if off > 7*mib+mib/2 {
			return errLine
		}
		return nil
	}
	opts := host.ImportOptions{Resume: "run"}
	if _, err := h.Import(t.Context(), l.open(t), opts); !errors.Is(err, errLine) {
		t.Fatalf("got %v", err)
	}
	l.at = nil
	s, err := h.Import(t.Context(), l.open(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	if l.read.Load() > l.Size()-3*mib {
		t.Error("it began anew")
	}
	check(t, h, s, one, two)
}

// TestDamageIsNotKept: bytes that differ from the manifest leave nothing,
// whether they came before or after the break.
func TestDamageIsNotKept(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, flip := range []int64{2 * mib, 11 * mib} {
		dir := t.TempDir()
		h := openChunked(t, dir)
		one, two := content(1), content(2)
		l := newLine(t, "v1", one, two)
		flipped := func(p []byte, off int64) {
			if off <= flip && flip < off+int64(len(p)) {
				p[flip-off] ^= 4
			}
		}
		l.at = func(p []byte, off int64) error {
			flipped(p, off)
			if off > 7*mib {
				return errLine
			}
			return nil
		}
		opts := host.ImportOptions{Resume: "run"}
		if _, err := h.Import(t.Context(), l.open(t), opts); err == nil {
			t.Fatal("no error")
		}
		l.at = func(p []byte, off int64) error { flipped(p, off); return nil }
		_, err := h.Import(t.Context(), l.open(t), opts)
		var integrity *ovf.IntegrityError
		if !errors.As(err, &integrity) {
			t.Errorf("flip at %d: %v", flip, err)
		}
		if n := diskFiles(t, dir); n != 0 {
			t.Errorf("flip at %d: %d files are left", flip, n)
		}
		l.at = nil
		s, err := h.Import(t.Context(), l.open(t), opts)
		if err != nil {
			t.Fatal(err)
		}
		check(t, h, s, one, two)
	}
}

// TestForget removes what is kept, and nothing else.
func TestForget(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	h := openChunked(t, dir)
	for _, key := range []string{"run 1", "run 2"} {
		l := newLine(t, key, content(1), content(2))
		l.breakAt(9 * mib)
		if _, err := h.Import(t.Context(), l.open(t), host.ImportOptions{Resume: key}); !errors.Is(err, errLine) {
			t.Fatalf("got %v", err)
		}
	}
	before := diskFiles(t, dir)
	if err := h.Forget(t.Context(), "run 1"); err != nil {
		t.Fatal(err)
	}
	if after := diskFiles(t, dir); before != 2 || after != 1 {
		t.Errorf("%d files, then %d", before, after)
	}
	if err := h.Forget(t.Context(), "never was"); err != nil {
		t.Error(err)
	}
	// A file that is gone counts as nothing.
	files, _ := filepath.Glob(filepath.Join(dir, "disks", "*"))
	for _, f := range files {
		os.Remove(f)
	}
	l := newLine(t, "run 2", content(1), content(2))
	s, err := h.Import(t.Context(), l.open(t), host.ImportOptions{Resume: "run 2"})
	if err != nil {
		t.Fatal(err)
	}
	check(t, h, s, content(1), content(2))
}
