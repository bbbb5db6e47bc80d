package flatten_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/flatten"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

const (
	grain = 64 << 10 // bytes, of a VMDK
	size  = 24 * grain
)

// layer is a disk with noise in some grains.
func layer(seed uint64, grains ...int) []byte {
	b := make([]byte, size)
	for _, g := range grains {
		copy(b[g*grain:], ovftest.Noise(seed+uint64(g), grain))
	}
	return b
}

// over is what a disk reads as over its parent.
func over(parent, child []byte) []byte {
	out := bytes.Clone(parent)
	for at := 0; at < len(out); at += grain {
		if piece := child[at : at+grain]; !bytes.Equal(piece, make([]byte, grain)) {
			copy(out[at:], piece)
		}
	}
	return out
}

func stored(t testing.TB, content []byte, format disk.Format) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := formats.Encode(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), &out, format, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// contents are the disks of a package by href, decoded.
func contents(t testing.TB, pkg ovf.Package) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for c, err := range files.Contents(context.Background(), pkg, files.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if c.Unreferenced {
			continue
		}
		img, err := formats.Open(bytes.NewReader(b), int64(len(b)), formats.Source{Name: c.File.Href})
		if err != nil {
			t.Fatalf("%s: %v", c.File.Href, err)
		}
		if out[c.File.Href], err = io.ReadAll(io.NewSectionReader(img, 0, img.Size())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// opened gives the package as a file and as a stream.
func opened(t *testing.T, archive []byte, test func(t *testing.T, pkg ovf.Package)) {
	t.Run("file", func(t *testing.T) {
		pkg, err := ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "app.ova", ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pkg.Close()
		test(t, pkg)
	})
	t.Run("stream", func(t *testing.T) {
		pkg, err := ova.Read(context.Background(), bytes.NewReader(archive), "-", ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pkg.Close()
		test(t, pkg)
	})
}

// TestChains: every disk of a chain reads as what all below it give, whatever
// the formats, in chunks and compressed, in whatever order the files lie.
func TestChains(t *testing.T) {
	base, first, second := layer(1, 0, 3, 4, 20), layer(2, 3, 5), layer(3, 4, 5, 23)
	one := over(base, first)
	two := over(one, second)
	for name, spec := range map[string]ovftest.Spec{
		"plain": {Files: []ovftest.File{
			{Href: "base.vmdk", Content: stored(t, base, disk.VMDK), Disk: true, Capacity: size},
			{Href: "first.vmdk", Content: stored(t, first, disk.VMDK), Disk: true, Capacity: size, Parent: "disk1"},
			{Href: "second.vmdk", Content: stored(t, second, disk.VMDK), Disk: true, Capacity: size, Parent: "disk2"}}},
		"compressed, in chunks": {Files: []ovftest.File{
			{Href: "base.vmdk", Content: stored(t, base, disk.VMDK), Disk: true, Capacity: size, ChunkSize: 100_000},
			{Href: "first.vmdk", Content: stored(t, first, disk.VMDK), Disk: true, Capacity: size, Parent: "disk1", Compression: "gzip"},
			{Href: "second.vmdk", Content: stored(t, second, disk.VMDK), Disk: true, Capacity: size, Parent: "disk2", Compression: "gzip", ChunkSize: 65536}}},
		"the child before its parent": {Files: []ovftest.File{
			{Href: "second.vmdk", Content: stored(t, second, disk.VMDK), Disk: true, Capacity: size, Parent: "disk3"},
			{Href: "base.vmdk", Content: stored(t, base, disk.VMDK), Disk: true, Capacity: size},
			{Href: "first.vmdk", Content: stored(t, first, disk.VMDK), Disk: true, Capacity: size, Parent: "disk2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			opened(t, spec.OVA(t), func(t *testing.T, pkg ovf.Package) {
				w, err := flatten.Package(context.Background(), pkg, flatten.Options{Spool: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				got := contents(t, w)
				for href, want := range map[string][]byte{"base.vmdk": base, "first.vmdk": one, "second.vmdk": two} {
					if !bytes.Equal(got[href], want) {
						t.Errorf("%s reads as something else (%d bytes, want %d)", href, len(got[href]), len(want))
					}
				}
				for _, d := range w.Envelope().Disks() {
					if d.ParentRef != "" {
						t.Errorf("disk %s still has parent %s", d.ID, d.ParentRef)
					}
				}
				if f := w.Findings(); !slices.ContainsFunc(f, func(f ovf.Finding) bool { return f.ID == flatten.RuleFlattened }) {
					t.Errorf("findings %v say nothing of deltas", f)
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				if left, _ := os.ReadDir(t.TempDir()); len(left) > 0 {
					t.Errorf("%v is left", left)
				}
			})
		})
	}
}

// described is a package with a DiskSection of its own; used names the disks
// that the machine has.
func described(t testing.TB, disks string, used []string, members ...ovftest.Member) []byte {
	t.Helper()
	spec := ovftest.Spec{NoManifest: true}
	for _, m := range members {
		spec.Files = append(spec.Files, ovftest.File{Href: m.Name, Content: m.Content})
	}
	var items strings.Builder
	for i, id := range used {
		items.WriteString(`<Item><rasd:ElementName>d</rasd:ElementName><rasd:HostResource>ovf:/disk/` + id + `</rasd:HostResource><rasd:InstanceID>` + string(rune('1'+i)) + `</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>`)
	}
	before := spec.Descriptor(t)
	after := bytes.Replace(before, []byte("<Info>disks</Info>"), []byte("<Info>disks</Info>"+disks), 1)
	after = bytes.Replace(after, []byte("<Info>hardware</Info>"), []byte("<Info>hardware</Info>"+items.String()), 1)
	var out bytes.Buffer
	l := ova.LayoutSpec{Name: "app.ova", Descriptor: "app.ovf", Envelope: after}
	for _, m := range members {
		l.Files = append(l.Files, ova.LayoutFile{Name: m.Name, Size: int64(len(m.Content)), Content: bytes.NewReader(m.Content)})
	}
	x, err := ova.NewLayout(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&out, io.NewSectionReader(x, 0, x.Size())); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestEndsOfChains: a parent that no device has is left out, one without a file
// is all zeros, and a child without a file is its parent.
func TestEndsOfChains(t *testing.T) {
	base, child := layer(1, 0, 7), layer(2, 7, 8)
	b, c := ovftest.Member{Name: "b.vmdk", Content: stored(t, base, disk.VMDK)}, ovftest.Member{Name: "c.vmdk", Content: stored(t, child, disk.VMDK)}
	const capacity = ` ovf:capacity="1572864" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>`
	for name, x := range map[string]struct {
		disks   string
		used    []string
		members []ovftest.Member
		want    map[string][]byte
	}{
		"a parent that is no disk of its own": {`<Disk ovf:diskId="b" ovf:fileRef="file1"` + capacity + `<Disk ovf:diskId="c" ovf:fileRef="file2" ovf:parentRef="b"` + capacity,
			[]string{"c"}, []ovftest.Member{b, c}, map[string][]byte{"c.vmdk": over(base, child)}},
		"a parent without a file": {`<Disk ovf:diskId="b" ovf:capacity="1572864"/><Disk ovf:diskId="c" ovf:fileRef="file1" ovf:parentRef="b"` + capacity,
			[]string{"c"}, []ovftest.Member{c}, map[string][]byte{"c.vmdk": child}},
		"a child without a file": {`<Disk ovf:diskId="b" ovf:fileRef="file1"` + capacity + `<Disk ovf:diskId="c" ovf:parentRef="b"` + capacity,
			[]string{"b", "c"}, []ovftest.Member{b}, map[string][]byte{"b.vmdk": base, "c.vmdk": base}},
		"two children": {`<Disk ovf:diskId="b" ovf:fileRef="file1"` + capacity + `<Disk ovf:diskId="c" ovf:fileRef="file2" ovf:parentRef="b"` + capacity + `<Disk ovf:diskId="d" ovf:parentRef="b"` + capacity,
			[]string{"c", "d"}, []ovftest.Member{b, c}, map[string][]byte{"c.vmdk": over(base, child), "d.vmdk": base}},
	} {
		t.Run(name, func(t *testing.T) {
			opened(t, described(t, x.disks, x.used, x.members...), func(t *testing.T, pkg ovf.Package) {
				w, err := flatten.Package(context.Background(), pkg, flatten.Options{Spool: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				got := contents(t, w)
				if len(got) != len(x.want) {
					t.Errorf("%d disks, want %d", len(got), len(x.want))
				}
				for href, want := range x.want {
					if !bytes.Equal(got[href], want) {
						t.Errorf("%s reads as something else", href)
					}
				}
			})
		})
	}
}

// TestBrokenChains: a chain that leads nowhere is the descriptor's fault, known
// before anything is read; a parent of another format than it says is found.
func TestBrokenChains(t *testing.T) {
	c := ovftest.Member{Name: "c.vmdk", Content: stored(t, layer(2, 7), disk.VMDK)}
	for name, disks := range map[string]string{
		"no such parent": `<Disk ovf:diskId="c" ovf:fileRef="file1" ovf:parentRef="x" ovf:capacity="1572864"/>`,
		"its own parent": `<Disk ovf:diskId="c" ovf:fileRef="file1" ovf:parentRef="c" ovf:capacity="1572864"/>`,
		"a circle":       `<Disk ovf:diskId="b" ovf:parentRef="c" ovf:capacity="1572864"/><Disk ovf:diskId="c" ovf:fileRef="file1" ovf:parentRef="b" ovf:capacity="1572864"/>`,
	} {
		opened(t, described(t, disks, []string{"c"}, c), func(t *testing.T, pkg ovf.Package) {
			var de *ovf.DescriptorError
			if _, err := flatten.Package(context.Background(), pkg, flatten.Options{}); !errors.As(err, &de) || !strings.Contains(de.Object, "disk") {
				t.Errorf("%s: %v, want an error of the descriptor that names the disk", name, err)
			}
		})
	}
}

// TestIntegrityOfParents: a parent whose digest is wrong makes nothing whole.
func TestIntegrityOfParents(t *testing.T) {
	spec := ovftest.Spec{Flip: "base.vmdk", Files: []ovftest.File{
		{Href: "base.vmdk", Content: stored(t, layer(1, 0, 3), disk.VMDK), Disk: true, Capacity: size},
		{Href: "first.vmdk", Content: stored(t, layer(2, 3), disk.VMDK), Disk: true, Capacity: size, Parent: "disk1"}}}
	opened(t, spec.OVA(t), func(t *testing.T, pkg ovf.Package) {
		w, err := flatten.Package(context.Background(), pkg, flatten.Options{Spool: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var integrity *ovf.IntegrityError
		for err == nil {
			var m *ovf.Member
			if m, err = w.Next(context.Background()); err == nil {
				_, err = io.Copy(io.Discard, m)
			}
		}
		if !errors.As(err, &integrity) || integrity.File != "base.vmdk" {
			t.Errorf("%v, want an integrity error of base.vmdk", err)
		}
	})
}

// TestOracle: deltas as qemu-img makes them, qcow2 overlays and VMDK children,
// are made whole as qemu-img reads them.
func TestOracle(t *testing.T) {
	ovftest.Slow(t)
	qemu, err := exec.LookPath("qemu-img")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("qemu-img is missing")
		}
		t.Skip("qemu-img is missing")
	}
	run := func(dir, tool string, args ...string) {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
		}
	}
	io_, err := exec.LookPath("qemu-io")
	if err != nil {
		ovftest.Missing(t, "qemu-io")
	}
	for _, format := range []string{"qcow2", "vmdk"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			base := layer(1, 0, 3, 4, 20)
			if err := os.WriteFile(filepath.Join(dir, "base.raw"), base, 0o644); err != nil {
				t.Fatal(err)
			}
			run(dir, qemu, "convert", "-f", "raw", "-O", format, "base.raw", "base."+format)
			run(dir, qemu, "create", "-q", "-f", format, "-b", "base."+format, "-F", format, "child."+format)
			// Data over data, data over nothing, and zeros over data.
			run(dir, io_, "-f", format, "-c", "write -P 7 192k 8k", "-c", "write -P 9 700k 1k", "child."+format)
			if format == "qcow2" {
				run(dir, io_, "-f", format, "-c", "write -z 1280k 64k", "child."+format)
			}
			run(dir, qemu, "convert", "-f", format, "-O", "raw", "child."+format, "want.raw")
			read := func(name string) []byte {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			uri, _ := formats.URI(disk.Format(format))
			disks := `<Disk ovf:diskId="b" ovf:fileRef="file1" ovf:capacity="1572864" ovf:format="` + uri + `"/><Disk ovf:diskId="c" ovf:fileRef="file2" ovf:parentRef="b" ovf:capacity="1572864" ovf:format="` + uri + `"/>`
			opened(t, described(t, disks, []string{"c"}, ovftest.Member{Name: "b." + format, Content: read("base." + format)}, ovftest.Member{Name: "c." + format, Content: read("child." + format)}), func(t *testing.T, pkg ovf.Package) {
				w, err := flatten.Package(context.Background(), pkg, flatten.Options{Spool: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				m, err := w.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				whole, err := io.ReadAll(m)
				if err != nil {
					t.Fatal(err)
				}
				if m.Name != "c.vmdk" {
					t.Errorf("the disk is called %s", m.Name)
				}
				out := filepath.Join(dir, "whole.vmdk")
				if err := os.WriteFile(out, whole, 0o644); err != nil {
					t.Fatal(err)
				}
				run(dir, qemu, "compare", "-f", "raw", "-F", "vmdk", "want.raw", out)
				if img, err := vmdk.Open(bytes.NewReader(whole), int64(len(whole)), "whole"); err != nil || img.Size() != size {
					t.Errorf("the whole disk: %v", err)
				}
			})
		})
	}
}
