package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// script answers as a libvirtd would, as far as a test needs it.
type script struct {
	t    *testing.T
	conn net.Conn
}

func (s script) read() packet {
	p, err := readPacket(s.conn, nil)
	if err != nil {
		return packet{kind: ^uint32(0)}
	}
	return p
}

func (s script) write(procedure, kind, serial, status uint32, payload []byte) {
	s.conn.Write(append(header(procedure, kind, serial, status, len(payload)), payload...)) // a test that hung up has ended
}

// greet lets a client in.
func (s script) greet() {
	p := s.read()
	s.write(p.procedure, typeReply, p.serial, statusOK, []byte{0, 0, 0, 1, 0, 0, 0, 0})
	p = s.read()
	s.write(p.procedure, typeReply, p.serial, statusOK, nil)
}

// opened is a connection whose other end runs serve after the greeting.
func opened(t *testing.T, serve func(script)) *Conn {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		s := script{t, b}
		s.greet()
		serve(s)
	}()
	c, err := Open(context.Background(), a, "qemu:///system")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func hole(n int64) []byte { return append(binary.BigEndian.AppendUint64(nil, uint64(n)), 0, 0, 0, 0) }

// TestDownload: what comes before the reply counts, holes are told, and the end
// is confirmed.
func TestDownload(t *testing.T) {
	confirmed := make(chan bool, 1)
	c := opened(t, func(s script) {
		p := s.read()
		s.write(p.procedure, typeStreamHole, p.serial, statusContinue, hole(100))
		s.write(p.procedure, typeReply, p.serial, statusOK, nil)
		s.write(p.procedure, typeStream, 99, statusContinue, []byte("of another stream"))
		s.write(p.procedure, typeStream, p.serial, statusContinue, []byte("data"))
		s.write(p.procedure, typeStream, p.serial, statusContinue, nil)
		end := s.read()
		confirmed <- end.kind == typeStream && end.status == statusOK
		s.write(p.procedure, typeStream, p.serial, statusOK, nil)
	})
	d, err := c.Download(context.Background(), Volume{"p", "v", "k"}, 0, 104)
	if err != nil {
		t.Fatal(err)
	}
	if _, n, err := d.Next(); n != 100 || err != nil {
		t.Errorf("a hole of %d, %v", n, err)
	}
	if b, _, err := d.Next(); string(b) != "data" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, _, err := d.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if !<-confirmed {
		t.Error("the end was not confirmed")
	}
}

// TestFaults: an end too early, more than was asked for, an error in the middle,
// a server that says nothing, one that speaks nonsense.
func TestFaults(t *testing.T) {
	start := func(s script) packet {
		p := s.read()
		s.write(p.procedure, typeReply, p.serial, statusOK, nil)
		return p
	}
	for name, c := range map[string]struct {
		serve func(script)
		want  error
	}{
		"early": {func(s script) {
			p := start(s)
			s.write(p.procedure, typeStream, p.serial, statusContinue, nil)
			s.read()
			s.write(p.procedure, typeStream, p.serial, statusOK, nil)
		}, io.ErrUnexpectedEOF},
		"cut":    {func(s script) { start(s) }, io.ErrUnexpectedEOF},
		"silent": {func(s script) { start(s); s.read() }, ErrStalled},
		"error": {func(s script) {
			p := start(s)
			e := []byte{0, 0, 0, 38, 0, 0, 0, 18, 0, 0, 0, 1, 0, 0, 0, 4, 'l', 'o', 's', 't'}
			s.write(p.procedure, typeStream, p.serial, statusError, e)
		}, &Error{38, "lost"}},
		"too much": {func(s script) {
			p := start(s)
			s.write(p.procedure, typeStream, p.serial, statusContinue, bytes.Repeat([]byte("x"), 200))
		}, nil},
		"negative hole": {func(s script) {
			p := start(s)
			s.write(p.procedure, typeStreamHole, p.serial, statusContinue, hole(-1))
		}, nil},
		"huge packet": {func(s script) { start(s); s.conn.Write([]byte{0xff, 0xff, 0xff, 0xff}); s.conn.Write(make([]byte, 24)) }, nil},
	} {
		conn := opened(t, c.serve)
		conn.Stall = 200 * time.Millisecond
		d, err := conn.Download(context.Background(), Volume{}, 0, 100)
		if err == nil {
			_, _, err = d.Next()
		}
		var e *Error
		if want, ok := c.want.(*Error); ok {
			if !errors.As(err, &e) || *e != *want {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || err == io.EOF || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestCancel: a stream ends with its context, however silent the server is.
func TestCancel(t *testing.T) {
	conn := opened(t, func(s script) { s.read(); s.read() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := conn.Upload(ctx, Volume{}, 0, 10, nil); !errors.Is(err, context.DeadlineExceeded) || !conn.Broken() {
		t.Errorf("after its time: %v, broken %v", err, conn.Broken())
	}
}

// FuzzPackets: no server makes us fall over, or take much.
func FuzzPackets(f *testing.F) {
	f.Add(append(header(209, typeReply, 3, statusOK, 0), append(header(209, typeStreamHole, 3, statusContinue, 12), hole(5)...)...))
	f.Add(append(header(209, typeStream, 3, statusError, 4), 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, answer []byte) {
		a, b := net.Pipe()
		go func() {
			defer b.Close()
			s := script{t, b}
			s.greet()
			go io.Copy(io.Discard, b)
			b.Write(answer)
		}()
		c, err := Open(context.Background(), a, "qemu:///system")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Stall = time.Second
		d, err := c.Download(context.Background(), Volume{}, 0, 1<<20)
		for total := int64(0); err == nil; {
			var data []byte
			var n int64
			if data, n, err = d.Next(); err == nil {
				if total += n + int64(len(data)); total > 1<<20 {
					t.Fatalf("%d bytes of %d", total, 1<<20)
				}
			}
		}
	})
}

// TestEnd: a download that is ended in the middle is ended at the server, too, and
// its connection serves the next one.
func TestEnd(t *testing.T) {
	aborted := make(chan bool, 2)
	c := opened(t, func(s script) {
		for _, answer := range []uint32{statusOK, statusError} {
			p := s.read()
			s.write(p.procedure, typeReply, p.serial, statusOK, nil)
			s.write(p.procedure, typeStream, p.serial, statusContinue, []byte("data"))
			end := s.read()
			aborted <- end.kind == typeStream && end.status == statusError && end.serial == p.serial
			s.write(p.procedure, typeStream, p.serial, statusContinue, []byte("on its way"))
			s.write(p.procedure, typeStreamHole, p.serial, statusContinue, hole(100))
			s.write(p.procedure, typeStream, p.serial, answer, nil)
		}
	})
	for range 2 {
		d, err := c.Download(context.Background(), Volume{"p", "v", "k"}, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if b, _, err := d.Next(); string(b) != "data" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		for range 2 {
			if err := d.End(context.Background()); err != nil || c.Broken() {
				t.Fatalf("ended: %v, broken %t", err, c.Broken())
			}
		}
		if !<-aborted {
			t.Error("the server was not told")
		}
	}
}
