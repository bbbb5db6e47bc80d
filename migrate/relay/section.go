package relay

import (
	"context"
	"io"
)

// Section is n bytes of src from off, as Content of its own that streams where
// src does.
func Section(src Content, off, n int64) Content {
	return &section{SectionReader: io.NewSectionReader(src, off, n), src: src, off: off}
}

type section struct {
	*io.SectionReader
	src Content
	off int64
}

// Stream is Streamer.
func (s *section) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return Sequence(ctx, s.src, s.off+off, min(n, s.Size()-off))
}
