package compression

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// xzReader guards the decoder twice: a dictionary over maxWindow is refused,
// which it would otherwise take as asked, up to 4 GiB; and a stream must end
// with its footer, because the decoder takes some that are cut for ended.
func xzReader(r io.Reader) (io.ReadCloser, error) {
	end := &xzEnd{r: r}
	b := bufio.NewReaderSize(end, 64<<10)
	start, err := b.Peek(12 + 64)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if size, ok := xzDictionary(start); ok && size > maxWindow {
		return nil, fmt.Errorf("xz: dictionary of %d bytes, the limit is %d", size, maxWindow)
	}
	x, err := xz.NewReader(b)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(&xzWhole{x, end}), nil
}

// xzDictionary finds the LZMA2 dictionary size in the first block header.
func xzDictionary(b []byte) (int64, bool) {
	const streamHeader = 12
	if len(b) < streamHeader+2 || b[streamHeader] == 0 {
		return 0, false
	}
	flags := b[streamHeader+1]
	at := streamHeader + 2
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		for present && at < len(b) && b[at]&0x80 != 0 {
			at++
		}
		if present {
			at++
		}
	}
	for range int(flags&3) + 1 {
		if at+2 >= len(b) {
			return 0, false
		}
		id, length := b[at], int(b[at+1])
		if id == 0x21 && length == 1 {
			bits := b[at+2] & 0x3f
			if bits >= 40 {
				return 1 << 32, true
			}
			return int64(2|bits&1) << (bits/2 + 11), true
		}
		at += 2 + length
	}
	return 0, false
}

// xzEnd remembers the last two bytes of a stream that are not padding.
type xzEnd struct {
	r      io.Reader
	last   []byte
	zeroes bool // came after last
}

func (e *xzEnd) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if data := bytes.TrimRight(p[:n], "\x00"); len(data) > 0 {
		if e.zeroes {
			e.last = append(e.last, 0)
		}
		e.last = append(e.last, data[max(0, len(data)-2):]...)
		e.last = append(e.last[:0:0], e.last[max(0, len(e.last)-2):]...)
		e.zeroes = len(data) < n
	} else if n > 0 {
		e.zeroes = true
	}
	return n, err
}

// xzWhole shows end-of-file only behind the magic that ends a footer.
type xzWhole struct {
	io.Reader
	end *xzEnd
}

func (x *xzWhole) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	if err == io.EOF && string(x.end.last) != "YZ" {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
