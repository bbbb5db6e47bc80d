package relay_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate/relay"
)

// slow is a source that gives a little at a time, for ever.
type slow struct{ relay.Content }

func (slow) Size() int64 { return 1 << 40 }

func (slow) Stream(ctx context.Context, _, n int64) io.ReadCloser {
	return io.NopCloser(io.LimitReader(drip{ctx}, n))
}

type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
	return min(len(p), 512), nil
}

// TestSlowSource: what a slow source has given goes on at once. A destination
// that saw nothing until a chunk is full would take the line for dead (AC-03,
// AC-04).
func TestSlowSource(t *testing.T) {
	t.Parallel()
	tap := relay.NewTap(t.Context(), slow{}, nil, relay.TapOptions{})
	defer tap.Close()
	s, err := relay.Serve(relay.ServerOptions{Listen: "127.0.0.1:0", Token: "0123456789abcdef0123"}, relay.Offer{Name: "package.ova", Content: tap, Size: tap.Size()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	resp, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	longest, last := time.Duration(0), time.Now()
	for n := 0; n < 20<<10; {
		m, err := resp.Body.Read(make([]byte, 64<<10))
		if err != nil {
			t.Fatal(err)
		}
		n += m
		longest, last = max(longest, time.Since(last)), time.Now()
	}
	// 20 KiB come in 0.8 s, a chunk of 1 MiB would in 40 s.
	if longest > 3*time.Second {
		t.Errorf("nothing came for %s", longest)
	}
	if tap.Read() > 1<<20 {
		t.Errorf("%d bytes were read", tap.Read())
	}
}
