package vhd

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/cimimove/cimimove/ovf/disk"
)

// maxLocators is how many parent locators a header has room for.
const maxLocators = 8

// maxLocator bounds what one of them may take, in bytes.
const maxLocator = 64 << 10

// locator says where the parent's name is kept, for one platform.
type locator struct {
	code  string
	n, at int64
}

// parentNames are the names of the parent, those relative to the image first.
func (d *dynamic) parentNames(r io.ReaderAt, length int64, name string) ([]string, error) {
	var relative, absolute []string
	for _, l := range d.locators {
		if l.code == "\x00\x00\x00\x00" || l.n == 0 {
			continue
		}
		if l.n > maxLocator || l.at < 0 || l.at > length-l.n {
			return nil, corrupt(name, l.at, "a parent locator within the image", fmt.Sprintf("%d bytes at %d", l.n, l.at))
		}
		b := make([]byte, l.n)
		if err := disk.ReadFull(r, b, l.at); err != nil {
			return nil, err
		}
		switch l.code {
		case "W2ru":
			relative = append(relative, text(binary.LittleEndian, b))
		case "W2ku":
			absolute = append(absolute, text(binary.LittleEndian, b))
		case "Wi2r":
			relative = append(relative, strings.TrimRight(string(b), "\x00"))
		case "MacX":
			absolute = append(absolute, strings.TrimRight(string(b), "\x00"))
		}
	}
	return append(append(relative, absolute...), d.name), nil
}

// text is UTF-16 up to its first NUL.
func text(order binary.ByteOrder, b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := order.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
