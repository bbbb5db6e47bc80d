package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/web"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// site serves files by path, counts what it sends, and breaks connections.
type site struct {
	*httptest.Server
	open    func(name string) (io.ReadSeeker, bool)
	sent    atomic.Int64
	gets    atomic.Int64
	noRange bool
	chunked bool
	cut     int // every answer ends after so many bytes; 0: none does
}

func serve(t *testing.T, s *site) *site {
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func serveMembers(t *testing.T, members []ovftest.Member, s *site) *site {
	s.open = func(name string) (io.ReadSeeker, bool) {
		for _, m := range members {
			if m.Name == name {
				return bytes.NewReader(m.Content), true
			}
		}
		return nil, false
	}
	return serve(t, s)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.gets.Add(1)
	content, ok := s.open(strings.TrimPrefix(r.URL.Path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"v1"`)
	c := &counted{w, s, 0}
	switch {
	case !s.noRange:
		http.ServeContent(c, r, "file.bin", time.Time{}, content)
	default:
		if !s.chunked {
			n, _ := content.Seek(0, io.SeekEnd)
			content.Seek(0, io.SeekStart)
			w.Header().Set("Content-Length", fmt.Sprint(n))
		} else {
			w.(http.Flusher).Flush()
		}
		io.Copy(c, content)
	}
}

type counted struct {
	http.ResponseWriter
	s *site
	n int
}

func (c *counted) Write(p []byte) (int, error) {
	if c.s.cut > 0 && c.n+len(p) > c.s.cut {
		c.ResponseWriter.Write(p[:c.s.cut-c.n])
		c.s.sent.Add(int64(c.s.cut - c.n))
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += n
	c.s.sent.Add(int64(n))
	return n, err
}

func options() web.Options {
	return web.Options{Manifest: manifest.Require, Fetch: fetch.Options{MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond, StallTimeout: 10 * time.Second}}
}

func contents(p ovf.Package) (map[string][]byte, error) {
	out := map[string][]byte{}
	for {
		m, err := p.Next(context.Background())
		if err == io.EOF {
			return out, p.Close()
		}
		if err != nil {
			p.Close()
			return out, err
		}
		if out[m.Name], err = io.ReadAll(m); err != nil {
			p.Close()
			return out, err
		}
	}
}

func sample() ovftest.Spec {
	return ovftest.Spec{Files: []ovftest.File{
		{Href: "disk1.vmdk", Content: ovftest.Noise(1, 2<<20), Disk: true},
		{Href: "sub/my%20disk.vmdk", Stored: "sub/my disk.vmdk", Content: ovftest.Noise(2, 300_000), Disk: true},
		{Href: "d[1].vmdk", Content: ovftest.Noise(3, 1000)},
		{Href: "chunked.vmdk", Content: ovftest.Noise(4, 100_000), ChunkSize: 40_000},
	}}
}

// AC-07, AC-08: an OVA and a descriptor with its files, on all kinds of servers.
func TestPackages(t *testing.T) {
	s := sample()
	archive := s.OVA(t)
	for name, srv := range map[string]*site{
		"sound":    {},
		"drops":    {cut: 250_000},
		"no Range": {noRange: true},
		"chunked":  {noRange: true, chunked: true},
	} {
		for _, kind := range []string{"app.ova", "app.ovf"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				members := append(s.Members(t), ovftest.Member{Name: "app.ova", Content: archive})
				srv := serveMembers(t, members, &site{noRange: srv.noRange, chunked: srv.chunked, cut: srv.cut})
				p, err := web.Open(t.Context(), srv.URL+"/"+kind, options())
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := p.(ovf.Opener); ok == (srv.noRange && kind == "app.ova") {
					t.Errorf("Opener: %v", ok)
				}
				got, err := contents(p)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range members {
					if m.Name != "app.ovf" && m.Name != "app.mf" && m.Name != "app.ova" && !bytes.Equal(got[m.Name], m.Content) {
						t.Errorf("%s: %d bytes", m.Name, len(got[m.Name]))
					}
				}
				if limit := int64(len(archive)) + 1<<20; srv.sent.Load() > limit && !srv.noRange {
					t.Errorf("%d bytes fetched, the limit is %d", srv.sent.Load(), limit)
				}
				if name == "sound" && kind == "app.ova" && srv.gets.Load() > 10 {
					t.Errorf("%d requests", srv.gets.Load())
				}
			})
		}
	}
}

// AC-07: looking at 100 GiB costs less than 1 MiB.
func TestHugeArchiveCostsLittle(t *testing.T) {
	const big = 50 << 30
	spec := ova.LayoutSpec{Descriptor: "app.ovf", Envelope: sample().Descriptor(t)}
	for i := range 2 {
		spec.Files = append(spec.Files, ova.LayoutFile{Name: fmt.Sprintf("disk%d.vmdk", i), Size: big, Content: zeroes{}, Digest: strings.Repeat("ab", 32)})
	}
	l, err := ova.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, &site{open: func(string) (io.ReadSeeker, bool) { return io.NewSectionReader(l, 0, l.Size()), true }})
	p, err := web.Open(t.Context(), s.URL+"/huge.ova", options())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Manifest() == nil || len(p.(ovf.Opener).Members()) != 4 {
		t.Error("manifest or members are missing")
	}
	if n := s.sent.Load(); n > 1<<20 {
		t.Errorf("%d bytes sent", n)
	}
	if n := s.gets.Load(); n > 12 {
		t.Errorf("%d requests", n)
	}
}

type zeroes struct{}

func (zeroes) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

func TestCompressedArchive(t *testing.T) {
	s := serveMembers(t, []ovftest.Member{{Name: "app.ova", Content: ovftest.Gzip(t, sample().OVA(t))}}, &site{})
	p, err := web.Open(t.Context(), s.URL+"/app.ova", options())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := contents(p); err != nil || len(got) != 6 {
		t.Errorf("%d files, %v", len(got), err)
	}
}

func TestFaults(t *testing.T) {
	s := sample()
	s.Flip = "disk1.vmdk"
	srv := serveMembers(t, append(s.Members(t), ovftest.Member{Name: "app.ova", Content: s.OVA(t)}), &site{})
	for _, kind := range []string{"app.ova", "app.ovf"} {
		p, err := web.Open(t.Context(), srv.URL+"/"+kind, options())
		if err != nil {
			t.Fatal(err)
		}
		var i *ovf.IntegrityError
		if _, err := contents(p); !errors.As(err, &i) || i.File != "disk1.vmdk" {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var status *fetch.StatusError
	if _, err := web.Open(t.Context(), srv.URL+"/nothing.ova", options()); !errors.As(err, &status) || status.StatusCode != 404 {
		t.Errorf("error %v", err)
	}
	u, _ := url.Parse(srv.URL + "/app.ova")
	u.User = url.UserPassword("u", "canary")
	if _, err := web.Open(t.Context(), u.String(), options()); !errors.Is(err, fetch.ErrUserInfo) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}

	evil := ovftest.Spec{Files: []ovftest.File{{Href: "../../secret", Content: []byte("x")}}}
	srv = serveMembers(t, evil.Members(t), &site{})
	outside, err := web.Open(t.Context(), srv.URL+"/app.ovf", options())
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	if _, err := outside.(ovf.Opener).Open(t.Context(), "../../secret"); !errors.Is(err, ovf.ErrUnsafePath) {
		t.Errorf("error %v", err)
	}

	missing := sample()
	missing.Drop, missing.NoManifest = "disk1.vmdk", true
	srv = serveMembers(t, missing.Members(t), &site{})
	o := options()
	o.Manifest = manifest.Verify
	p, err := web.Open(t.Context(), srv.URL+"/app.ovf", o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var m *ovf.MissingFileError
	if _, err := p.(ovf.Opener).Open(t.Context(), "disk1.vmdk"); !errors.As(err, &m) || m.FileID != "file1" || len(m.Disks) != 1 {
		t.Errorf("error %v", err)
	}
}
