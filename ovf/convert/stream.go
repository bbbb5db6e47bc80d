package convert

import (
	"bytes"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// RuleKept: what was written to a stream was kept in a file first.
const RuleKept = "OVF-PKG-012"

// Stream writes pkg to w as an OVA. Where files stay as they are and can be read
// again, it is made as it is written, manifest last; otherwise, since sizes
// come before bytes, it is written to Options.Spool first. The digests of pkg's
// own manifest are checked as files pass; on error w holds a part and what
// reads it finds a truncated archive.
func Stream(ctx context.Context, pkg ovf.Package, w io.Writer, opts Options) (*Result, error) {
	c, err := begin(ctx, pkg, path.Base(pkg.Descriptor()), opts)
	if err != nil {
		return c.result, err
	}
	o, direct := c.pkg.(ovf.Opener)
	for _, out := range c.out {
		direct = direct && !out.encode && !out.inflate && out.verbatim && !out.mayEdit
	}
	if !direct || len(opts.Add) > 0 {
		if err := c.close(); err != nil {
			return c.result, err
		}
		return throughFile(ctx, pkg, w, opts)
	}
	defer c.close()
	return c.result, c.stream(ctx, o, w)
}

// throughFile writes the archive to a temporary file, then to w.
func throughFile(ctx context.Context, pkg ovf.Package, w io.Writer, opts Options) (*Result, error) {
	folder, err := os.MkdirTemp(opts.Spool, ".cimimove-convert-*")
	if err != nil {
		return &Result{}, err
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "package.ova")
	res, err := Package(ctx, pkg, name, opts)
	if err != nil {
		return res, err
	}
	f, err := os.Open(name)
	if err != nil {
		return res, err
	}
	defer f.Close()
	res.Findings = append(res.Findings, ovf.Finding{ID: RuleKept, Severity: ovf.Info, Object: pkg.Name(),
		Message: "sizes come before bytes in an archive, so it was kept in " + filepath.Dir(folder) + " first"})
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, reading{ctx, f}, make([]byte, 1<<20))
	return res, err
}

// stream writes the files as they pass, then manifest and certificate.
func (c *conversion) stream(ctx context.Context, o ovf.Opener, w io.Writer) error {
	if missing := files.Missing(o); len(missing) > 0 {
		return missing[0]
	}
	a := c.opts.Algorithm
	if a == "" {
		a = manifest.SHA256
	}
	s := &streamed{ctx: ctx, w: ova.NewStreamWriter(w, time.Time{}), algorithm: a}
	if err := s.put(c.name, bytes.NewReader(c.env.Bytes()), int64(len(c.env.Bytes()))); err != nil {
		return err
	}
	for {
		m, err := o.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if f, ok := c.fileOf(m.Name); ok && c.out[f.ID] == nil {
			continue // removed
		}
		if err := s.put(m.Name, m.Reader, m.Size); err != nil {
			return err
		}
	}
	if err := c.streamCompanions(s); err != nil {
		return err
	}
	c.noticed()
	c.voidSignature()
	return s.w.Close()
}

// streamCompanions writes manifest and certificate: those that stay, or new ones.
func (c *conversion) streamCompanions(s *streamed) error {
	name := manifestName(c.name)
	var mf, certificate []byte
	switch {
	case c.companions != nil:
		mf, certificate = c.companions.Manifest, c.companions.Certificate
	case c.opts.NoManifest:
		return nil
	default:
		mf = manifest.Format(s.entries)
		if c.opts.Signer != nil {
			var err error
			if certificate, err = c.opts.Signer.Sign(name, mf); err != nil {
				return err
			}
		}
	}
	if err := s.put(name, bytes.NewReader(mf), int64(len(mf))); err != nil || certificate == nil {
		return err
	}
	return s.put(certificateName(name), bytes.NewReader(certificate), int64(len(certificate)))
}

// streamed is an archive that is written front to back, with the digests of
// what has passed.
type streamed struct {
	ctx       context.Context
	w         *ova.StreamWriter
	algorithm manifest.Algorithm
	entries   []manifest.Entry
}

func (s *streamed) put(name string, r io.Reader, size int64) error {
	to, err := s.w.Create(name, size)
	if err != nil {
		return err
	}
	h := s.algorithm.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(to, h)}, reading{s.ctx, r}, make([]byte, 1<<20)); err != nil {
		return err
	}
	s.entries = append(s.entries, manifest.NewEntry(name, s.algorithm, h))
	return nil
}
