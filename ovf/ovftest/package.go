// Package ovftest builds packages for tests, good ones and every kind of bad
// one, from specs that one can read. It writes tar with archive/tar, so that
// what reads it is compared with another implementation.
package ovftest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/manifest"
)

// File is an entry of References with its content.
type File struct {
	Href        string
	Content     []byte
	Stored      string // name it is stored under; empty: Href
	Compression string // written to ovf:compression; gzip also compresses what is stored
	ChunkSize   int64  // split what is stored
	Disk        bool   // a Disk of DiskSection uses it
	Capacity    int64  // of that Disk, in bytes; 0: the length of Content
	Parent      string // parentRef of that Disk
	Size        int64  // ovf:size; 0: the stored size, negative: none
}

// Member is a stored file.
type Member struct {
	Name    string
	Content []byte
}

// Spec is a package. The zero value is a sound one without files.
type Spec struct {
	Name       string // of descriptor and manifest, without extension; empty: app
	Files      []File
	Unlisted   []Member // stored, not in References
	Algorithm  manifest.Algorithm
	Manifest   []byte // in place of the right one
	NoManifest bool

	// Faults and variants.
	ManifestLast   bool
	LateDescriptor bool
	Flip           string       // stored file in which one bit is flipped after the manifest was made
	Drop           string       // stored file that is left out
	Headers        []tar.Header // more members, without content, before the files
	Format         tar.Format
	Prefix         string // before every name of the archive, such as ./
}

func (s Spec) base() string {
	if s.Name == "" {
		return "app"
	}
	return s.Name
}

// DescriptorName is the descriptor's file name.
func (s Spec) DescriptorName() string { return s.base() + ".ovf" }

// Descriptor is a small envelope whose References and DiskSection are those of the spec.
func (s Spec) Descriptor(t testing.TB) []byte {
	var refs, disks, items strings.Builder
	for i, f := range s.Files {
		stored := f.stored(t)
		var size int64
		for _, m := range stored {
			size += int64(len(m.Content))
		}
		fmt.Fprintf(&refs, `<File ovf:id="file%d" ovf:href=%s`, i+1, quote(f.Href))
		switch {
		case f.Size > 0:
			fmt.Fprintf(&refs, ` ovf:size="%d"`, f.Size)
		case f.Size == 0:
			fmt.Fprintf(&refs, ` ovf:size="%d"`, size)
		}
		if f.Compression != "" {
			fmt.Fprintf(&refs, ` ovf:compression=%s`, quote(f.Compression))
		}
		if f.ChunkSize > 0 {
			fmt.Fprintf(&refs, ` ovf:chunkSize="%d"`, f.ChunkSize)
		}
		refs.WriteString("/>")
		if f.Disk {
			capacity, parent := f.Capacity, ""
			if capacity == 0 {
				capacity = int64(max(len(f.Content), 1))
			}
			if f.Parent != "" {
				parent = fmt.Sprintf(` ovf:parentRef=%s`, quote(f.Parent))
			}
			fmt.Fprintf(&disks, `<Disk ovf:diskId="disk%d" ovf:fileRef="file%d" ovf:capacity="%d"%s ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>`, i+1, i+1, capacity, parent)
			fmt.Fprintf(&items, `<Item><rasd:ElementName>disk%d</rasd:ElementName><rasd:HostResource>ovf:/disk/disk%d</rasd:HostResource><rasd:InstanceID>%d</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>`, i+1, i+1, 10+i)
		}
	}
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
<References>%s</References>
<DiskSection><Info>disks</Info>%s</DiskSection>
<VirtualSystem ovf:id="vm"><Info>a machine</Info><VirtualHardwareSection><Info>hardware</Info>%s</VirtualHardwareSection></VirtualSystem>
</Envelope>
`, refs.String(), disks.String(), items.String())
}

func quote(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return `"` + b.String() + `"`
}

func (f File) stored(t testing.TB) []Member {
	name := f.Stored
	if name == "" {
		name = f.Href
	}
	content := f.Content
	if f.Compression == "gzip" {
		content = Gzip(t, content)
	}
	if f.ChunkSize <= 0 {
		return []Member{{name, content}}
	}
	var out []Member
	for i := 0; i == 0 || len(content) > 0; i++ {
		n := min(int(f.ChunkSize), len(content))
		out = append(out, Member{manifest.ChunkName(name, i), content[:n]})
		content = content[n:]
	}
	return out
}

// Members are the stored files, in the order of the package, faults included.
func (s Spec) Members(t testing.TB) []Member {
	descriptor := Member{s.DescriptorName(), s.Descriptor(t)}
	var files []Member
	for _, f := range s.Files {
		files = append(files, f.stored(t)...)
	}
	files = append(files, s.Unlisted...)

	a := s.Algorithm
	if a == "" {
		a = manifest.SHA256
	}
	var entries []manifest.Entry
	for _, m := range append([]Member{descriptor}, files...) {
		h := a.New()
		h.Write(m.Content)
		entries = append(entries, manifest.NewEntry(m.Name, a, h))
	}
	mf := Member{s.base() + ".mf", manifest.Format(entries)}
	if s.Manifest != nil {
		mf.Content = s.Manifest
	}

	all := []Member{descriptor}
	if s.LateDescriptor {
		all = nil
	}
	if !s.NoManifest && !s.ManifestLast {
		all = append(all, mf)
	}
	all = append(all, files...)
	if s.LateDescriptor {
		all = append(all, descriptor)
	}
	if !s.NoManifest && s.ManifestLast {
		all = append(all, mf)
	}
	var out []Member
	for _, m := range all {
		if m.Name == s.Drop {
			continue
		}
		if m.Name == s.Flip {
			m.Content = bytes.Clone(m.Content)
			m.Content[len(m.Content)/2] ^= 1
		}
		out = append(out, m)
	}
	return out
}

// OVA is the package as a tar archive.
func (s Spec) OVA(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(h tar.Header, content []byte) {
		h.Size, h.Mode, h.Format = int64(len(content)), 0o644, s.Format
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range s.Members(t) {
		if i == 1 {
			for _, h := range s.Headers {
				put(h, nil)
			}
		}
		put(tar.Header{Typeflag: tar.TypeReg, Name: s.Prefix + m.Name}, m.Content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WriteOVA writes the archive to a temporary file.
func (s Spec) WriteOVA(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), s.base()+".ova")
	if err := os.WriteFile(name, s.OVA(t), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// WriteFolder writes the files to a temporary folder.
func (s Spec) WriteFolder(t testing.TB) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), s.base())
	for _, m := range s.Members(t) {
		name := filepath.Join(folder, filepath.FromSlash(m.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, m.Content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// Gzip compresses b.
func Gzip(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Noise is n bytes that do not compress, the same for the same seed.
func Noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
