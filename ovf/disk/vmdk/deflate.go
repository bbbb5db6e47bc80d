package vmdk

import (
	"bytes"

	"github.com/klauspost/compress/zlib"

	"github.com/cimimove/cimimove/ovf/disk"
)

// defaultLevel is what level 0 means.
const defaultLevel = 2

// compressor compresses grains; the zero value is ready. It is for one
// goroutine.
type compressor struct {
	zw    *zlib.Writer
	level int
	buf   bytes.Buffer
}

func (c *compressor) appendZlib(dst, src []byte, level int) ([]byte, error) {
	switch {
	case level == disk.LevelStored:
		return appendStored(dst, src), nil
	case level == 0:
		level = defaultLevel
	}
	if c.zw == nil || c.level != level {
		zw, err := zlib.NewWriterLevel(&c.buf, level)
		if err != nil {
			return dst, err
		}
		c.zw, c.level = zw, level
	}
	c.buf.Reset()
	c.zw.Reset(&c.buf)
	if _, err := c.zw.Write(src); err != nil {
		return dst, err
	}
	if err := c.zw.Close(); err != nil {
		return dst, err
	}
	return append(dst, c.buf.Bytes()...), nil
}
