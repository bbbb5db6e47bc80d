package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/providertest/memory"
	"github.com/cimimove/cimimove/cimi/providertest/wire"
	"github.com/cimimove/cimimove/cimi/server"
)

// faulty is a Provider that breaks on one collection.
type faulty struct{ *memory.Provider }

func (f faulty) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	if id == "volumes" {
		panic("a fault with s3cret in it")
	}
	return f.Provider.List(ctx, id, o)
}

// TestFault: a fault of ours ends its request with a Job and nothing else, and
// tells the log and not the client what it was.
func TestFault(t *testing.T) {
	var log bytes.Buffer
	h, err := server.New(faulty{memory.New()}, server.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := &wire.Cloud{T: t, URL: srv.URL}
	for _, accept := range []string{"application/json", "application/xml"} {
		r := c.Do("GET", "/volumes", "", "Accept", accept)
		c.Want(r, 500, "FAILED", "internal error")
		if strings.Contains(r.Text, "s3cret") || r.Header.Get("Content-Type") != accept {
			t.Errorf("%s: %s", r.Header.Get("Content-Type"), r.Text)
		}
	}
	c.Want(c.Do("GET", "/machines", ""), 200)
	if !strings.Contains(log.String(), "fault_test.go") {
		t.Errorf("the log does not say where: %s", log.String())
	}
}

// TestServeTLS: TLS with users, by password and by token; who does not know the
// certificate, or speaks no TLS, gets nothing.
func TestServeTLS(t *testing.T) {
	source := httptest.NewTLSServer(nil) // for its certificate
	source.Close()
	h, err := server.New(memory.New(), server.Options{Users: []server.User{{Name: "u", Password: "p", Role: server.Reader}, {Name: "b", Token: "t", Role: server.Operator}}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	srv := server.HTTPServer(h)
	srv.TLSConfig = &tls.Config{Certificates: source.TLS.Certificates}
	srv.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(&log, nil), slog.LevelWarn)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, srv, ln) }()
	pool := x509.NewCertPool()
	pool.AddCert(source.Certificate())
	known := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}}}
	url := "https://" + ln.Addr().String()
	for _, x := range []struct {
		path   string
		auth   func(*http.Request)
		status int
	}{
		{"/cloudEntryPoint", func(*http.Request) {}, 200},
		{"/machines", func(*http.Request) {}, 401},
		{"/machines", func(r *http.Request) { r.SetBasicAuth("u", "p") }, 200},
		{"/machines", func(r *http.Request) { r.SetBasicAuth("u", "q") }, 401},
		{"/machines", func(r *http.Request) { r.Header.Set("Authorization", "Bearer t") }, 200},
		{"/machines", func(r *http.Request) { r.Header.Set("Authorization", "Bearer u") }, 401},
	} {
		req, err := http.NewRequest("GET", url+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		x.auth(req)
		resp, err := known.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != x.status {
			t.Errorf("%s: %d, want %d", x.path, resp.StatusCode, x.status)
		}
	}
	known.CloseIdleConnections()
	if _, err := http.Get(url + "/cloudEntryPoint"); err == nil {
		t.Error("a client that does not know the certificate was answered")
	}
	if resp, err := http.Get("http://" + ln.Addr().String() + "/machines"); err == nil {
		if resp.Body.Close(); resp.StatusCode != 400 {
			t.Errorf("without TLS: %d", resp.StatusCode)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(fmt.Errorf("the end: %w", err))
	}
}
