package relay

import (
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ova"
)

// OpenAnywhere opens the package in src, whose bytes can be read anywhere and
// are of that version, so that its files can pass side by side. The manifest is
// left alone until they have passed. Closing it does not close src.
func OpenAnywhere(ctx context.Context, src Content, version, name string) (ovf.Package, error) {
	return ova.Open(ctx, anywhere{ctx, src, version}, src.Size(), name, ova.Options{Late: true})
}

// anywhere is a Content as an archive behind a network.
type anywhere struct {
	ctx     context.Context
	src     Content
	version string
}

var (
	_ ova.ContextReaderAt = anywhere{}
	_ ova.Aparter         = anywhere{}
	_ ovf.Identified      = anywhere{}
)

func (a anywhere) Version() string { return a.version }

func (a anywhere) ReadAt(p []byte, off int64) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.src.ReadAt(p, off)
}

func (a anywhere) At(ctx context.Context) io.ReaderAt { return anywhere{ctx, a.src, a.version} }

func (a anywhere) Stream(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return a.Apart(ctx, off, n), nil
}

// Apart reads ahead of whoever takes the bytes.
func (a anywhere) Apart(ctx context.Context, off, n int64) io.ReadCloser {
	r := newReader(ctx, a.src)
	r.pos, r.end = off, min(off+n, r.end)
	return r
}
