package relay

import (
	"context"
	"io"
)

// Reader reads a content from off to its end, ahead of whoever takes the bytes.
func Reader(ctx context.Context, src Content, off int64) io.ReadCloser {
	r := newReader(ctx, src)
	r.pos = off
	return r
}
