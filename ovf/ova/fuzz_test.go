package ova

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

type found struct {
	name string
	size int64
	sum  [32]byte
}

const fuzzContent = 1 << 20 // a sparse member may claim more than is worth hashing

// scanOpened lists an archive through its index.
func scanOpened(b []byte) (out []found, err error) {
	a := &archive{name: "fuzz", r: bytes.NewReader(b), size: int64(len(b))}
	if err := a.readIndex(context.Background(), a.r); err != nil {
		return nil, err
	}
	for _, m := range a.members {
		f := found{name: m.name, size: m.size}
		if m.size <= fuzzContent {
			w := m.window(a.r)
			content, err := io.ReadAll(io.NewSectionReader(w, 0, w.Size()))
			if err != nil {
				return out, err
			}
			f.sum = sha256.Sum256(content)
		}
		out = append(out, f)
	}
	return out, nil
}

// scanStream lists it in sequence.
func scanStream(b []byte) (out []found, err error) {
	s := &stream{name: "fuzz", in: &streamBlocks{r: bytes.NewReader(b)}}
	s.scan = newScanner("fuzz", s.in)
	for {
		m, err := s.header(context.Background())
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		f := found{name: m.name, size: m.size}
		if m.size <= fuzzContent {
			content, err := io.ReadAll(s.content(m))
			if err != nil {
				return out, err
			}
			f.sum = sha256.Sum256(content)
		}
		out = append(out, f)
	}
}

// scanOther lists it with archive/tar.
func scanOther(b []byte) (out []found, err error) {
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		switch h.Typeflag {
		case tar.TypeReg, 0, tar.TypeCont, tar.TypeGNUSparse: // 0 is what old archives hold
		case tar.TypeLink:
			for _, f := range out {
				if f.name == path.Clean(h.Linkname) {
					f.name = path.Clean(h.Name)
					out = append(out, f)
					break
				}
			}
			continue
		default:
			continue
		}
		if strings.HasSuffix(h.Name, "/") {
			continue // GNU tar, and we, take it for a directory
		}
		f := found{name: path.Clean(h.Name), size: h.Size}
		if h.Size <= fuzzContent {
			content, err := io.ReadAll(r)
			if err != nil {
				return out, err
			}
			f.sum = sha256.Sum256(content)
		}
		out = append(out, f)
	}
}

func compare(t *testing.T, b []byte) {
	opened, openErr := scanOpened(b)
	streamed, streamErr := scanStream(b)
	if errors.Is(streamErr, ErrHardLink) {
		if openErr == nil {
			if other, err := scanOther(b); err == nil && !goPrefix(b) {
				same(t, opened, "archive/tar", other)
			}
		}
		return
	}
	if (openErr == nil) != (streamErr == nil) {
		t.Fatalf("open says %v, stream says %v", openErr, streamErr)
	}
	for _, err := range []error{openErr, streamErr} {
		var d *ovf.DescriptorError
		if err != nil && !errors.As(err, &d) {
			t.Fatalf("%T: %v", err, err)
		}
	}
	if openErr != nil {
		return
	}
	same(t, opened, "stream", streamed)
	if other, err := scanOther(b); err == nil && !goPrefix(b) {
		same(t, opened, "archive/tar", other)
	}
}

func same(t *testing.T, opened []found, who string, other []found) {
	if len(other) != len(opened) {
		t.Fatalf("%d members, %s finds %d", len(opened), who, len(other))
	}
	for i := range opened {
		if opened[i] != other[i] {
			t.Fatalf("member %d is %q of %d, %s finds %q of %d", i, opened[i].name, opened[i].size, who, other[i].name, other[i].size)
		}
	}
}

// goPrefix says whether a GNU header has bytes where ustar has its prefix:
// archive/tar takes those for a prefix when they are no times, because Go
// before 1.8 wrote such headers; GNU tar, and we, do not.
func goPrefix(b []byte) bool {
	for at := 0; at+blockSize <= len(b); at += blockSize {
		if h := (*block)(b[at:]); h.dialect() == gnu && len(bytes.Trim(h[345:369], "\x00 01234567")) > 0 {
			return true
		}
	}
	return false
}

func seeds(tb testing.TB) [][]byte {
	var out [][]byte
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		s := ovftest.Spec{Files: []ovftest.File{{Href: "a.vmdk", Content: ovftest.Noise(1, 700)}}, Format: format, Prefix: "./"}
		out = append(out, s.OVA(tb))
		if format != tar.FormatUSTAR {
			s.Files[0].Href = strings.Repeat("n", 120)
			out = append(out, s.OVA(tb))
		}
	}
	// A sparse member of each PAX form.
	data := ovftest.Noise(2, 512)
	for _, records := range []map[string]string{
		{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "s", "GNU.sparse.size": "2048", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "1024,512"},
		{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "2048"},
	} {
		body := data
		if records["GNU.sparse.major"] == "1" {
			body = append(append([]byte("1\n1024\n512\n"), make([]byte, 512-11)...), data...)
		}
		out = append(out, paxArchive(tb, records, body))
	}
	return out
}

// paxArchive writes records that archive/tar would refuse to write.
func paxArchive(tb testing.TB, records map[string]string, body []byte) []byte {
	var pax bytes.Buffer
	for k, v := range records {
		n := len(k) + len(v) + 3
		for len(strconv.Itoa(n))+len(k)+len(v)+3 != n {
			n = len(strconv.Itoa(n)) + len(k) + len(v) + 3
		}
		pax.WriteString(strconv.Itoa(n) + " " + k + "=" + v + "\n")
	}
	var out bytes.Buffer
	for _, part := range []struct {
		flag byte
		body []byte
	}{{'x', pax.Bytes()}, {'0', body}} {
		h, err := formatHeader("GNUSparseFile.0/s", int64(len(part.body)), epoch)
		if err != nil {
			tb.Fatal(err)
		}
		b := (*block)(h)
		b[156] = part.flag
		b.sum()
		out.Write(h)
		out.Write(part.body)
		out.Write(make([]byte, padded(int64(len(part.body)))-int64(len(part.body))))
	}
	out.Write(make([]byte, endOfArchive))
	return out.Bytes()
}

func FuzzTar(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	for _, b := range ovftest.Seeds(f, 128<<10, ".ova") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Headers count only with a right checksum; give fuzzed ones a chance.
		fixed := bytes.Clone(b)
		for at := 0; at+blockSize <= len(fixed); at += blockSize {
			if h := (*block)(fixed[at:]); h.dialect() != v7 {
				h.sum()
			}
		}
		compare(t, b)
		compare(t, fixed)
	})
}

// Headers changed at random, beyond what the seeds of the fuzz target cover.
func TestMutatedHeaders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, seed := range seeds(t) {
		compare(t, seed)
		for range 2000 {
			b := bytes.Clone(seed)
			for range 1 + r.IntN(3) {
				at := r.IntN(len(b)/blockSize) * blockSize
				b[at+r.IntN(blockSize)] = byte(r.Uint32())
				if h := (*block)(b[at:]); h.dialect() != v7 {
					h.sum()
				}
			}
			compare(t, b[:len(b)-r.IntN(2)*r.IntN(len(b))])
		}
	}
}
