package relay

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// ErrUnknownSize: a file of the package tells its size only when it is read.
var ErrUnknownSize = errors.New("size not known before it is read")

// Archive lays a package that can be read anywhere out as an OVA: the same
// files, byte for byte, its own manifest and certificate last. With
// manifest.Ignore those two are left out, so that nobody else checks them. The
// result reads from pkg, which stays open.
func Archive(ctx context.Context, pkg ovf.Opener, policy manifest.Policy) (Content, error) {
	spec := ova.LayoutSpec{Name: pkg.Name(), Descriptor: path.Base(pkg.Descriptor()), Envelope: pkg.Envelope().Bytes(), NoManifest: true}
	var last []ova.LayoutFile
	for _, m := range pkg.Members() {
		if m.Name == pkg.Descriptor() {
			continue
		}
		if m.Size < 0 {
			return nil, fmt.Errorf("%s: %s: %w", pkg.Name(), m.Name, ErrUnknownSize)
		}
		f, err := pkg.Open(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		file := ova.LayoutFile{Name: m.Name, Size: m.Size, Content: f}
		switch {
		case !isProof(pkg, m.Name):
			spec.Files = append(spec.Files, file)
		case policy != manifest.Ignore:
			last = append(last, file)
		}
	}
	spec.Files = append(spec.Files, last...)
	return ova.NewLayout(spec)
}

// isProof tells manifest and certificate from other files.
func isProof(pkg ovf.Package, name string) bool {
	base := strings.TrimSuffix(pkg.Descriptor(), path.Ext(pkg.Descriptor()))
	return pkg.Manifest() != nil && name == base+".mf" || pkg.Certificate() != nil && name == base+".cert"
}

// WriteArchive writes a package that passes once as an OVA: descriptor first,
// files as they come, its own manifest and certificate last. When it returns
// without error all digests of the manifest have matched.
func WriteArchive(ctx context.Context, w io.Writer, pkg ovf.Package, policy manifest.Policy) error {
	t := tar.NewWriter(w)
	descriptor := pkg.Envelope().Bytes()
	base := path.Base(pkg.Descriptor())
	if err := writeFile(t, base, int64(len(descriptor)), strings.NewReader(string(descriptor))); err != nil {
		return err
	}
	for {
		m, err := pkg.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if m.Size < 0 {
			return fmt.Errorf("%s: %s: %w", pkg.Name(), m.Name, ErrUnknownSize)
		}
		if err := writeFile(t, m.Name, m.Size, m.Reader); err != nil {
			return fmt.Errorf("%s: %s: %w", pkg.Name(), m.Name, err)
		}
	}
	if policy != manifest.Ignore {
		stem := strings.TrimSuffix(base, path.Ext(base))
		for _, proof := range []struct {
			ext   string
			bytes []byte
		}{{".mf", pkg.Manifest()}, {".cert", pkg.Certificate()}} {
			if proof.bytes == nil {
				continue
			}
			if err := writeFile(t, stem+proof.ext, int64(len(proof.bytes)), strings.NewReader(string(proof.bytes))); err != nil {
				return err
			}
		}
	}
	return t.Close()
}

func writeFile(t *tar.Writer, name string, size int64, r io.Reader) error {
	h := &tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if size >= 8<<30 || len(name) > 100 {
		h.Format = tar.FormatGNU
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{t}, r, make([]byte, 256<<10))
	return err
}

// Copy writes an OVA to w as it is, and reads it as a package on the way, so
// that the digests of its manifest are checked before Copy returns.
func Copy(ctx context.Context, w io.Writer, src Content, name string, progress func(done, total int64)) error {
	r := io.ReadCloser(io.NopCloser(Ascending(ctx, src)))
	if src.Size() >= 0 {
		r = newReader(ctx, src)
	}
	defer r.Close()
	in := io.TeeReader(r, &told{w: w, total: src.Size(), progress: progress})
	pkg, err := ova.Read(ctx, in, name, ova.Options{})
	if err != nil {
		return err
	}
	defer pkg.Close()
	for {
		if _, err := pkg.Next(ctx); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	// What follows the end of the archive belongs to its bytes.
	_, err = io.Copy(io.Discard, in)
	return err
}

// told tells progress of what is written.
type told struct {
	w           io.Writer
	done, total int64
	progress    func(done, total int64)
}

func (t *told) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if t.done += int64(n); t.progress != nil {
		t.progress(t.done, t.total)
	}
	return n, err
}
