package convert

import (
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf"
)

// chunks writes one file, or the chunks of one (DSP0243 7.1): all of size
// bytes but the last, which may be shorter. A file without content has one
// chunk without.
type chunks struct {
	ctx  context.Context
	w    ovf.Writer
	name string
	size int64 // of a chunk; 0: one piece

	open   io.WriteCloser
	number int
	room   int64 // left in the chunk at hand
	total  int64
}

func (c *chunks) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if c.open == nil || c.size > 0 && c.room == 0 {
			if err := c.next(); err != nil {
				return done, err
			}
		}
		part := p[done:]
		if c.size > 0 {
			part = part[:min(int64(len(part)), c.room)]
		}
		n, err := c.open.Write(part)
		done += n
		c.room -= int64(n)
		c.total += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (c *chunks) next() error {
	name := c.name
	if c.size > 0 {
		name = ovf.ChunkName(c.name, c.number)
		c.number++
	}
	if err := c.closeOpen(); err != nil {
		return err
	}
	var err error
	c.open, err = c.w.Create(c.ctx, name)
	c.room = c.size
	return err
}

func (c *chunks) closeOpen() error {
	if c.open == nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}

// Close ends the last chunk.
func (c *chunks) Close() error {
	if c.open == nil && c.total == 0 {
		if err := c.next(); err != nil {
			return err
		}
	}
	return c.closeOpen()
}

// abandon ends what is still open after an error.
func (c *chunks) abandon() { _ = c.closeOpen() }
