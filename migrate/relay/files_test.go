package relay

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestSeveralFiles: one relay offers several files, each with its own ranges,
// type and count, and one that passes once beside them.
func TestSeveralFiles(t *testing.T) {
	both := append(bytes.Repeat([]byte{1}, 3<<20), bytes.Repeat([]byte{2}, 1<<20)...)
	tap := NewTap(t.Context(), memory{bytes.NewReader(both)}, []Disk{{ID: "a", Name: "a.raw", Declared: disk.Raw, Size: 3 << 20, Capacity: 3 << 20},
		{ID: "b", Name: "b.raw", Declared: disk.Raw, Offset: 3 << 20, Size: 1 << 20, Capacity: 1 << 20}}, TapOptions{})
	defer tap.Close()
	a, b := Section(tap, 0, 3<<20), Section(tap, 3<<20, 1<<20)
	s, err := Serve(ServerOptions{Listen: "127.0.0.1:0", Token: "0123456789abcdef"},
		Offer{Name: "a.raw", Type: ImageType, Version: "1", Content: a, Size: a.Size()},
		Offer{Name: "b.raw", Type: ImageType, Content: b, Size: b.Size()},
		Offer{Name: "c.raw", Type: ImageType, Size: 5, Stream: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "hello"); return err }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	get := func(name, rng string) (*http.Response, []byte) {
		t.Helper()
		return ask(t, "GET", s.URLOf(name), rng)
	}
	if res, body := get("b.raw", ""); res.StatusCode != 200 || !bytes.Equal(body, both[3<<20:]) || res.Header.Get("Content-Type") != ImageType || res.Header.Get("ETag") != "" {
		t.Errorf("b.raw: %s, %d bytes, %v", res.Status, len(body), res.Header)
	}
	if res, body := get("b.raw", "bytes=-10"); res.StatusCode != 206 || len(body) != 10 || body[0] != 2 {
		t.Errorf("the end of b.raw: %s, %v", res.Status, body)
	}
	if res, body := get("a.raw", ""); res.StatusCode != 200 || !bytes.Equal(body, both[:3<<20]) || res.Header.Get("ETag") != `"1"` {
		t.Errorf("a.raw: %s, %d bytes, %v", res.Status, len(body), res.Header)
	}
	if res, body := get("c.raw", ""); res.StatusCode != 200 || string(body) != "hello" {
		t.Errorf("c.raw: %s, %s", res.Status, body)
	}
	if res, _ := get("c.raw", ""); res.StatusCode != http.StatusGone {
		t.Errorf("c.raw again: %s", res.Status)
	}
	if res, _ := get("d.raw", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("d.raw: %s", res.Status)
	}
	if s.SentOf("a.raw") != 3<<20 || s.SentOf("b.raw") != 1<<20+10 || s.SentOf("c.raw") != 5 || s.Sent() != 4<<20+15 {
		t.Errorf("sent %d, %d, %d of %d", s.SentOf("a.raw"), s.SentOf("b.raw"), s.SentOf("c.raw"), s.Sent())
	}
	for id, want := range map[string][]byte{"a": both[:3<<20], "b": both[3<<20:]} {
		sum, err := disk.ContentDigest(t.Context(), raw.New(bytes.NewReader(want), int64(len(want))), int64(len(want)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, ok := tap.Digest(id); !ok || res.Digest.String() != sum.String() {
			t.Errorf("disk %s: %v %v, want %s", id, res.Digest, ok, sum)
		}
		got, err := DigestImage(t.Context(), memory{bytes.NewReader(want)}, true, Disk{ID: id, Name: id + ".raw", Declared: disk.Raw, Capacity: int64(len(want))}, DigestOptions{})
		if err != nil || got.Digest.String() != sum.String() || got.Size != int64(len(want)) {
			t.Errorf("image of disk %s: %+v, %v", id, got, err)
		}
	}
	if _, err := Serve(ServerOptions{Listen: "127.0.0.1:0", Token: "0123456789abcdef"}, Offer{Name: "x"}, Offer{Name: "/x"}); err == nil {
		t.Error("two files of one name were served")
	}
}
