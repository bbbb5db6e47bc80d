package migrate_test

import (
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestWarmBytes: of a disk one hundredth changes after the copy, a part of it
// scattered; less than three hundredths pass then, counted on the wire, both
// ways and on both sides together. TestWarmBytesE2E does so with 4 GiB.
func TestWarmBytes(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	warmBytes(t, 256<<20)
}

func TestWarmBytesE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("digests 4 GiB four times; set CIMIMOVE_E2E=1")
	}
	warmBytes(t, 4<<30)
}

func warmBytes(t *testing.T, size int64) {
	data := size / 64
	a, b := newCloud(t), newCloud(t)
	a.loadLarge(size, data)
	var passed atomic.Int64
	src, dst := wired(t, a, &passed), wired(t, b, &passed)
	var changed []cimi.DeltaBlock
	random := rand.NewChaCha8([32]byte{1})
	block := func(off int64, n int) {
		p := make([]byte, n)
		random.Read(p)
		changed = append(changed, cimi.DeltaBlock{Offset: off, Length: int64(n), Data: p})
	}
	sum, part := int64(0), size>>28 // sixteenths of 4 GiB
	for i := range 2 * part {       // four fifths in runs of 1 MiB, most where there was nothing
		block(i*64<<20+12288, 1<<20)
		sum += 1 << 20
	}
	for i := range 8 * part { // a fifth in pieces of 64 KiB
		block(size/2+i*12<<20+4096, 64<<10)
		sum += 64 << 10
	}
	for i := range 15 * part { // and the rest in single pages
		block(size/8*7+i*2<<20, 4096)
		sum += 4096
	}
	if sum < size/100-size/1000 || sum > size/100+size/1000 {
		t.Fatalf("%d bytes change, of %d", sum, size)
	}
	var bulk int64
	src.Provider = guest{src.Provider, sync.OnceValue(func() error {
		bulk = passed.Load()
		return writeDisk(t.Context(), a.p, "big", size, changed...)
	})}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Warm: true, Via: migrate.ViaRelay})
	if err != nil || !rep.Verified {
		t.Fatalf("%+v: %v", rep, err)
	}
	second := passed.Load() - bulk
	t.Logf("%d MiB, then %.2f %% of the disk on the wire; %d bytes by the report, of which %d are content", bulk>>20, 100*float64(second)/float64(size), rep.Warm.DeltaBytes, rep.Warm.Changed)
	if bulk < data || second > size/100*3 {
		t.Errorf("%d bytes passed after %d", second, bulk)
	}
	if rep.Warm.DeltaBytes > second || rep.Warm.DeltaBytes < second*9/10 || rep.Warm.Changed < sum || rep.Warm.Changed > sum*11/10 {
		t.Errorf("the report says %+v; %d bytes passed, %d changed", rep.Warm, second, sum)
	}
}

// wired is the cloud over HTTP, and counts what its connections carry, its own
// imports left out.
func wired(t *testing.T, c *cloud, passed *atomic.Int64) migrate.Endpoint {
	t.Helper()
	handler, err := server.New(c.p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.Listener = wire{s.Listener, passed}
	s.Start()
	t.Cleanup(s.Close)
	return dialed(t, entryOf(s.URL, cimi.V2))
}

type wire struct {
	net.Listener
	passed *atomic.Int64
}

func (w wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return wireConn{c, w.passed}, err
}

type wireConn struct {
	net.Conn
	passed *atomic.Int64
}

func (c wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.passed.Add(int64(n))
	return n, err
}

func (c wireConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.passed.Add(int64(n))
	return n, err
}
