package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// testPackage is a package for a test: a descriptor of testdata/descriptor
// (or a file), a disk of noise and zeros for every .vmdk that it refers to,
// a manifest; and then the faults that options put in. The package is written
// with archive/tar, so that our reader is not judged by our writer.
//
//	from=NAME        testdata/descriptor/NAME.ovf, or a file; default machine
//	name=BASE        of descriptor and manifest; default that of from
//	replace=OLD=>NEW in the descriptor, before digests are taken
//	as=HREF=>FORMAT  the file is a disk in that format, whatever its name
//	disk=SIZE        bytes of content of each disk; default 2 MiB
//	manifest=ALG     sha1, sha256 (default), sha512, none, last (sha256 at the end)
//	late             the descriptor comes last
//	stored=OLD=>NEW  another name in the archive than in the manifest
//	drop=NAME        a file is not stored
//	flip=NAME        a bit of a file is flipped after the manifest was made
//	garble=NAME      a byte in the middle is lost and the manifest knows of it
//	link=NAME=>TO    a symbolic link besides
//	device=NAME      a device besides
//	wrap             gzip around the archive
//	cut=N            only the first N bytes; the last -N bytes are missing when negative
type testPackage struct {
	members []ovftest.Member
	headers []tar.Header
	wrap    bool
	cut     *int64
}

var (
	fileElement = regexp.MustCompile(`<File [^>]*>`)
	attribute   = regexp.MustCompile(`ovf:(\w+)="([^"]*)"`)
)

func newTestPackage(descriptors string, options ...string) (*testPackage, error) {
	from, name, algorithm, size := "machine", "", "sha256", int64(2<<20)
	as := map[string]disk.Format{}
	var late bool
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "from":
			from = v
		case "name":
			name = v
		case "manifest":
			algorithm = v
		case "late":
			late = true
		case "as":
			href, format, _ := strings.Cut(v, "=>")
			as[href] = disk.Format(format)
		case "disk":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil, err
			}
			size = n
		}
	}
	file := from
	if !strings.HasSuffix(from, ".ovf") {
		file = filepath.Join(descriptors, from+".ovf")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), ".ovf")
	}

	p := &testPackage{}
	var files []ovftest.Member
	text, err = replaceFiles(text, func(attrs map[string]string) (int64, error) {
		content, err := testFile(attrs["href"], as[attrs["href"]], size)
		if err != nil {
			return 0, err
		}
		if attrs["compression"] == "gzip" {
			content = gzipped(content)
		}
		chunk, _ := strconv.ParseInt(attrs["chunkSize"], 10, 64)
		if chunk <= 0 {
			files = append(files, ovftest.Member{Name: attrs["href"], Content: content})
		}
		for i, rest := 0, content; chunk > 0 && (i == 0 || len(rest) > 0); i++ {
			n := min(int(chunk), len(rest))
			files = append(files, ovftest.Member{Name: manifest.ChunkName(attrs["href"], i), Content: rest[:n]})
			rest = rest[n:]
		}
		return int64(len(content)), nil
	})
	if err != nil {
		return nil, err
	}
	for _, o := range options {
		if k, v, _ := strings.Cut(o, "="); k == "replace" {
			before, after, ok := strings.Cut(v, "=>")
			if !ok || !bytes.Contains(text, []byte(before)) {
				return nil, fmt.Errorf("%s: %q is not in the descriptor", o, before)
			}
			text = bytes.ReplaceAll(text, []byte(before), []byte(after))
		}
	}
	p.members = append([]ovftest.Member{{Name: name + ".ovf", Content: text}}, files...)
	if err := p.each(options, "garble", func(m *ovftest.Member, _ string) {
		m.Content = slices.Delete(bytes.Clone(m.Content), len(m.Content)/2, len(m.Content)/2+1)
	}); err != nil {
		return nil, err
	}
	last := algorithm == "last"
	if last {
		algorithm = "sha256"
	}
	if algorithm != "none" {
		mf := ovftest.Member{Name: name + ".mf", Content: manifestOf(manifest.Algorithm(algorithm), p.members)}
		if last {
			p.members = append(p.members, mf)
		} else {
			p.members = slices.Insert(p.members, 1, mf)
		}
	}
	if late {
		p.members = append(p.members[1:], p.members[0])
	}
	return p, p.faults(options)
}

// faults are put in when all the digests are made.
func (p *testPackage) faults(options []string) error {
	if err := p.each(options, "flip", func(m *ovftest.Member, _ string) {
		m.Content = bytes.Clone(m.Content)
		m.Content[len(m.Content)/2] ^= 0x10
	}); err != nil {
		return err
	}
	if err := p.each(options, "stored", func(m *ovftest.Member, to string) { m.Name = to }); err != nil {
		return err
	}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "drop":
			n := len(p.members)
			p.members = slices.DeleteFunc(p.members, func(m ovftest.Member) bool { return m.Name == v })
			if len(p.members) == n {
				return fmt.Errorf("%s: no such file", o)
			}
		case "link":
			name, to, _ := strings.Cut(v, "=>")
			p.headers = append(p.headers, tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to})
		case "device":
			p.headers = append(p.headers, tar.Header{Typeflag: tar.TypeBlock, Name: v, Devmajor: 8})
		case "wrap":
			p.wrap = true
		case "cut":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return err
			}
			p.cut = &n
		}
	}
	return nil
}

// each applies the options called kind, whose value is NAME or NAME=>MORE.
func (p *testPackage) each(options []string, kind string, do func(m *ovftest.Member, more string)) error {
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		if k != kind {
			continue
		}
		name, more, _ := strings.Cut(v, "=>")
		i := slices.IndexFunc(p.members, func(m ovftest.Member) bool { return m.Name == name })
		if i < 0 {
			return fmt.Errorf("%s: no such file", o)
		}
		do(&p.members[i], more)
	}
	return nil
}

// write writes the package to an OVA, or into a folder when out ends in a slash.
func (p *testPackage) write(out string) error {
	if strings.HasSuffix(out, "/") {
		for _, m := range p.members {
			file := filepath.Join(out, m.Name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, m.Content, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	b, err := p.archive()
	if err != nil {
		return err
	}
	return os.WriteFile(out, b, 0o644)
}

func (p *testPackage) archive() ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, m := range p.members {
		if i == 1 {
			for _, h := range p.headers {
				if err := w.WriteHeader(&h); err != nil {
					return nil, err
				}
			}
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.Name, Size: int64(len(m.Content)), Mode: 0o644}); err != nil {
			return nil, err
		}
		if _, err := w.Write(m.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out := b.Bytes()
	if p.wrap {
		out = gzipped(out)
	}
	if p.cut != nil {
		n := *p.cut
		if n < 0 {
			n += int64(len(out))
		}
		out = out[:n]
	}
	return out, nil
}

// replaceFiles calls content for each File element and writes the size that
// it gives in place of SIZE.
func replaceFiles(text []byte, content func(map[string]string) (int64, error)) ([]byte, error) {
	var failure error
	text = fileElement.ReplaceAllFunc(text, func(element []byte) []byte {
		attrs := map[string]string{}
		for _, m := range attribute.FindAllSubmatch(element, -1) {
			attrs[string(m[1])] = string(m[2])
		}
		size, err := content(attrs)
		if err != nil {
			failure = err
		}
		return bytes.ReplaceAll(element, []byte(`"SIZE"`), fmt.Appendf(nil, "%q", strconv.FormatInt(size, 10)))
	})
	return text, failure
}

// testFile is a disk for a name that ends in .vmdk, or with a format, half
// noise, half zeros; else a text. The same name gives the same content.
func testFile(href string, format disk.Format, size int64) ([]byte, error) {
	if format == "" && strings.HasSuffix(href, ".vmdk") {
		format = disk.VMDK
	}
	if format == "" {
		return []byte("This is " + href + ".\n"), nil
	}
	content := testContent(href, size)
	var b bytes.Buffer
	_, err := formats.Encode(context.Background(), raw.New(bytes.NewReader(content), size), &b, format, disk.EncodeOptions{})
	return b.Bytes(), err
}

// testContent is what the disk of that name holds.
func testContent(href string, size int64) []byte {
	h := fnv.New64a()
	h.Write([]byte(href))
	return append(ovftest.Noise(h.Sum64(), int(size/2)), make([]byte, size-size/2)...)
}

func manifestOf(a manifest.Algorithm, members []ovftest.Member) []byte {
	var entries []manifest.Entry
	for _, m := range members {
		h := a.New()
		h.Write(m.Content)
		entries = append(entries, manifest.Entry{Name: m.Name, Algorithm: a, Digest: hex.EncodeToString(h.Sum(nil))})
	}
	return manifest.Format(entries)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}
