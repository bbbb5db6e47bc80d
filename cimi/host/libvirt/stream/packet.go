package stream

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The framing of libvirt's protocol: a length, six words, a payload in XDR.
const (
	headerSize = 28
	program    = 0x20008086
	version    = 1

	typeCall       = 0
	typeReply      = 1
	typeStream     = 3
	typeStreamHole = 6

	statusOK       = 0
	statusError    = 1
	statusContinue = 2

	procConnectOpen  = 1
	procConnectClose = 2
	procAuthList     = 66
	procAuthPolkit   = 70
	procVolUpload    = 208
	procVolDownload  = 209

	// maxPayload of a packet is what every libvirt takes (its legacy limit).
	maxPayload = 256<<10 - headerSize - 4
	// maxPacket bounds what a hostile server can make us allocate.
	maxPacket = 64 << 20
)

type packet struct {
	program, procedure, kind, serial, status uint32
	payload                                  []byte
}

// readPacket reads one packet; its payload lies in buf where that is large enough.
func readPacket(r io.Reader, buf []byte) (packet, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
	n := word(0)
	if n < headerSize || n > maxPacket {
		return packet{}, fmt.Errorf("libvirt sent a packet of %d bytes, expected %d to %d", n, headerSize, maxPacket)
	}
	p := packet{program: word(1), procedure: word(3), kind: word(4), serial: word(5), status: word(6)}
	if n -= headerSize; int(n) > len(buf) {
		buf = make([]byte, n)
	}
	p.payload = buf[:n]
	_, err := io.ReadFull(r, p.payload)
	return p, err
}

// header is the head of a packet with a payload of n bytes.
func header(procedure, kind, serial, status uint32, n int) []byte {
	b := make([]byte, 0, headerSize)
	for _, w := range []uint32{uint32(headerSize + n), program, version, procedure, kind, serial, status} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// xdrString appends a string as XDR has it: its length, its bytes, padding to
// whole words.
func xdrString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	b = append(b, s...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// An Error is what libvirtd refused, with its code (virErrorNumber).
type Error struct {
	Code    uint32
	Message string
}

func (e *Error) Error() string { return e.Message }

// decodeError reads a virNetMessageError, whose first fields are a code, a
// domain and an optional message.
func decodeError(payload []byte) error {
	e := &Error{Message: "libvirt reports an error and does not say which"}
	if len(payload) < 16 {
		return e
	}
	e.Code = binary.BigEndian.Uint32(payload)
	if binary.BigEndian.Uint32(payload[8:]) == 0 {
		return e
	}
	n := binary.BigEndian.Uint32(payload[12:])
	if int64(n) <= int64(len(payload)-16) {
		e.Message = string(payload[16 : 16+n])
	}
	return e
}
