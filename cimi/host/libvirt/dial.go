package libvirt

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"

	"github.com/cimimove/cimimove/cimi/host"
)

// connect opens a connection over a unix socket.
func connect(u *url.URL) (*lv.Libvirt, error) {
	if u.Scheme != "qemu" && u.Scheme != "qemu+unix" || u.Host != "" {
		return nil, fmt.Errorf("transport of %s: %w: only unix sockets are", u.Redacted(), host.ErrUnsupported)
	}
	var opts []dialers.LocalOption
	if s := u.Query().Get("socket"); s != "" {
		opts = append(opts, dialers.WithSocket(s))
	}
	conn := lv.NewWithDialer(dialer{dialers.NewLocal(opts...)})
	return conn, conn.ConnectToURI(lv.RemoteURI(u))
}

type dialer struct{ *dialers.Local }

func (d dialer) Dial() (net.Conn, error) {
	c, err := d.Local.Dial()
	if err != nil {
		return nil, err
	}
	return &oneEnd{Conn: c, ended: map[uint32]bool{}}, nil
}

// oneEnd gives the library one end of each stream. It takes an empty packet
// for the end of a download and waits no longer; a packet of the same stream
// that comes after it would block the whole connection for ever.
type oneEnd struct {
	net.Conn
	rest  []byte          // of the packet being given out
	ended map[uint32]bool // by serial
}

const (
	headerSize     = 28 // length and six words
	maxPacket      = 64 << 20
	typeStream     = 3
	statusContinue = 2
)

func (c *oneEnd) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		packet, err := c.packet()
		if err != nil {
			return 0, err
		}
		word := func(i int) uint32 { return binary.BigEndian.Uint32(packet[4*i:]) }
		serial := word(5)
		if c.ended[serial] {
			continue
		}
		if word(4) == typeStream && (word(6) != statusContinue || len(packet) == headerSize) {
			c.ended[serial] = true
		}
		c.rest = packet
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *oneEnd) packet() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c.Conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < headerSize || n > maxPacket {
		return nil, fmt.Errorf("libvirt: a packet of %d bytes", n)
	}
	packet := make([]byte, n)
	copy(packet, length[:])
	_, err := io.ReadFull(c.Conn, packet[4:])
	return packet, err
}
