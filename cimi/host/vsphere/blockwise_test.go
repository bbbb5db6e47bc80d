package vsphere

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// TestBlockwise: what is written to a queue arrives as it is, whatever pieces it
// is written in and whether its length is told; what breaks off is told to both.
func TestBlockwise(t *testing.T) {
	whole := make(chan []byte, 10) // what has arrived to its end
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		whole <- b
	}))
	defer srv.Close()
	client := func() *http.Client {
		tr := srv.Client().Transport.(*http.Transport).Clone()
		blockwise(tr)
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	want := make([]byte, 3_000_001)
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	post := func(size int64, feed func(q *queue)) error {
		q := newQueue()
		go feed(q)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, source{q})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = size
		resp, err := client().Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
	for _, size := range []int64{int64(len(want)), -1} {
		err := post(size, func(q *queue) {
			for b := want; len(b) > 0; {
				n := min(len(b), 1+rng.IntN(200_000))
				q.Write(b[:n])
				b = b[n:]
			}
			q.Close()
		})
		if err != nil {
			t.Errorf("of length %d: %v", size, err)
		} else if got := <-whole; !bytes.Equal(got, want) {
			t.Errorf("of length %d: %d bytes arrived of %d, or others", size, len(got), len(want))
		}
	}
	lost := errors.New("the package ends here")
	if err := post(int64(len(want)), func(q *queue) {
		q.Write(want[:1_000_000])
		q.CloseWithError(lost)
	}); !errors.Is(err, lost) {
		t.Errorf("broken off: %v", err)
	}
	for name, feed := range map[string]func(q *queue){
		"short": func(q *queue) { q.Write(want[:1_000_000]); q.Close() },
		"long":  func(q *queue) { q.Write(want); q.Write(want[:1]); q.Close() },
	} {
		if err := post(int64(len(want)), feed); err == nil || !strings.Contains(err.Error(), "ContentLength=") {
			t.Errorf("too %s: %v", name, err)
		}
	}
}

// TestBlockwiseHandshake: who is not trusted gets nothing, and who does not answer
// is not waited for.
func TestBlockwiseHandshake(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	client := func(limit time.Duration) *http.Client {
		tr := &http.Transport{TLSHandshakeTimeout: limit}
		blockwise(tr)
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: time.Minute}
	}
	var unknown x509.UnknownAuthorityError
	if _, err := client(0).Get(srv.URL); !errors.As(err, &unknown) {
		t.Errorf("a certificate nobody knows: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := client(200 * time.Millisecond).Get("https://" + l.Addr().String()); !fetch.Temporary(err) || !strings.Contains(err.Error(), "TLS handshake") {
		t.Errorf("a host that is silent: %v", err)
	}
}
