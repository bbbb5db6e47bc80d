package ova

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const blockSize = 512

// block is a tar header as it lies in the archive (POSIX.1-1988 ustar, and GNU's
// and the older forms of the same fields).
type block [blockSize]byte

func (b *block) zero() bool { return *b == block{} }

func (b *block) typeflag() byte { return b[156] }

// checksummed says whether the header's checksum is right, summed as unsigned
// bytes or, as some old writers did, as signed ones.
func (b *block) checksummed() bool {
	want, err := parseOctal(b[148:156])
	if err != nil {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

type dialect int

const (
	v7 dialect = iota
	ustar
	star
	gnu
)

func (b *block) dialect() dialect {
	switch {
	case string(b[257:265]) == "ustar  \x00":
		return gnu
	case string(b[257:263]) == "ustar\x00" && string(b[508:512]) == "tar\x00":
		return star
	case string(b[257:263]) == "ustar\x00": // VirtualBox writes the version as blank and NUL
		return ustar
	}
	return v7
}

// name is the member's name, the ustar prefix included.
func (b *block) name() string {
	name := cString(b[0:100])
	var prefix string
	switch b.dialect() {
	case ustar:
		prefix = cString(b[345:500])
	case star:
		prefix = cString(b[345:476])
	}
	if prefix != "" {
		return prefix + "/" + name
	}
	return name
}

func (b *block) size() (int64, error) { return parseNumber(b[124:136]) }

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// parseNumber reads a numeric field: octal, or GNU base-256 when the first bit is set.
func parseNumber(b []byte) (int64, error) {
	if len(b) == 0 || b[0]&0x80 == 0 {
		return parseOctal(b)
	}
	if b[0]&0x40 != 0 {
		return 0, errors.New("is negative")
	}
	var n uint64
	for i, c := range b {
		if i == 0 {
			c &= 0x7f
		}
		if n > math.MaxInt64>>8 {
			return 0, errors.New("does not fit 63 bits")
		}
		n = n<<8 | uint64(c)
	}
	return int64(n), nil
}

func parseOctal(b []byte) (int64, error) {
	s := strings.Trim(string(b), " \x00")
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 8, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not an octal number", s)
	}
	return int64(n), nil
}

// paxRecords reads the records of a PAX extended header, "length key=value\n",
// keeping order: the sparse format 0.0 repeats keys.
func paxRecords(b []byte) ([][2]string, error) {
	var out [][2]string
	for len(b) > 0 {
		digits, _, found := bytes.Cut(b[:min(len(b), 20)], []byte(" "))
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if !found || err != nil || int(n) > len(b) || int(n) <= len(digits)+1 {
			return nil, errors.New("malformed PAX record")
		}
		record := b[len(digits)+1 : n]
		b = b[n:]
		if record[len(record)-1] != '\n' {
			return nil, errors.New("PAX record without line feed")
		}
		key, value, found := strings.Cut(string(record[:len(record)-1]), "=")
		if !found || key == "" {
			return nil, errors.New("PAX record without key")
		}
		out = append(out, [2]string{key, value})
	}
	return out, nil
}
