package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestAC11Connections: proxies of the environment and exceptions from them, a
// proxy of one's own, authorities, pins and the time that a handshake takes are
// each endpoint's; a certificate that is not checked is warned of and reported.
func TestAC11Connections(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	p, err := newTestPackage("testdata/descriptor")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(filepath.Join(dir, "a.ova")); err != nil {
		t.Fatal(err)
	}
	cimimove(t, dir, 0, "import", "a.ova", "local:east")
	east, err := endpoint.Open(t.Context(), "local:"+filepath.Join(dir, "east"), endpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { east.Close() })
	cloud, err := server.New(east.Provider, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	open := httptest.NewServer(cloud)
	t.Cleanup(open.Close)
	// The proxy alone knows where cloud.invalid is.
	named, err := server.New(east.Provider, server.Options{BaseURL: "http://cloud.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(cloud)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	cert := secure.Certificate()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.Raw)
	pin := "sha256:" + hex.EncodeToString(sum[:])
	// mute takes connections and says nothing.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	// proxied is a proxy, the number of requests that it took, and a configuration
	// file that names it.
	proxied := func(t *testing.T) (url string, through *atomic.Int64, config string) {
		through = &atomic.Int64{}
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			through.Add(1)
			if r.Host != "cloud.invalid" {
				http.Error(w, "no such host", http.StatusBadGateway)
				return
			}
			named.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		config = filepath.Join(t.TempDir(), "config.yaml")
		text := fmt.Sprintf("endpoints:\n  proxied: {url: %q, proxy: %q}\n  straight: {url: %q, proxy: none}\n  lax: {url: %q, insecure: true}\n",
			"http://cloud.invalid"+entryPath, proxy.URL, open.URL+entryPath, secure.URL+entryPath)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return proxy.URL, through, config
	}

	hidden, tls := "http://cloud.invalid"+entryPath, secure.URL+entryPath
	for _, c := range []struct {
		name    string
		env     []string
		args    []string
		code    int
		through bool
		says    string // on standard error
	}{
		{name: "proxy of the environment", env: []string{"HTTP_PROXY=PROXY"}, args: []string{hidden}, through: true},
		{name: "NO_PROXY", env: []string{"HTTP_PROXY=PROXY", "NO_PROXY=cloud.invalid"}, args: []string{hidden}, code: 7},
		{name: "--proxy", args: []string{hidden, "--proxy", "PROXY"}, through: true},
		{name: "--proxy none", env: []string{"HTTP_PROXY=PROXY"}, args: []string{hidden, "--proxy", "none"}, code: 7},
		{name: "proxy of an endpoint", args: []string{"@proxied", "--config", "CONFIG"}, through: true},
		{name: "none of an endpoint", env: []string{"HTTP_PROXY=http://127.0.0.1:1"}, args: []string{"@straight", "--config", "CONFIG"}},
		{name: "unknown authority", args: []string{tls}, code: 6},
		{name: "--ca-file", args: []string{tls, "--ca-file", ca}},
		{name: "--tls-pin", args: []string{tls, "--tls-pin", pin}},
		{name: "another pin", args: []string{tls, "--tls-pin", "sha256:" + strings.Repeat("0", 64)}, code: 6, says: "its certificate has sha256:"},
		{name: "a pin that is none", args: []string{tls, "--tls-pin", "sha256:0"}, code: 2, says: "64 hex digits"},
		{name: "a proxy that is none", args: []string{hidden, "--proxy", ":::"}, code: 2, says: "expected a URL"},
		{name: "authorities that are none", args: []string{tls, "--ca-file", "CONFIG"}, code: 2, says: "no certificate in PEM"},
		{name: "--insecure", args: []string{tls, "--insecure"}, says: "certificate is not checked"},
		{name: "an endpoint that is insecure", args: []string{"@lax", "--config", "CONFIG"}, says: "@lax: the server's certificate is not checked"},
		{name: "handshake", args: []string{"https://" + mute.Addr().String() + entryPath, "--tls-handshake-timeout", "100ms"}, code: 7, says: "TLS handshake timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, through, config := proxied(t)
			env := []string{"HTTP_PROXY=", "NO_PROXY=", "http_proxy=", "no_proxy="}
			for _, e := range c.env {
				env = append(env, strings.Replace(e, "=PROXY", "="+url, 1))
			}
			args := []string{"ls"}
			for _, a := range c.args {
				args = append(args, strings.NewReplacer("PROXY", url, "CONFIG", config).Replace(a))
			}
			p := startWith(t, dir, env, args...)
			began := time.Now()
			p.Wait()
			if got := p.ProcessState.ExitCode(); got != c.code || (through.Load() > 0) != c.through || !strings.Contains(p.diagnostics.String(), c.says) {
				t.Errorf("exit %d, %d requests through the proxy: %s", got, through.Load(), p.diagnostics.String())
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}

	_, _, config := proxied(t)
	// The report remembers what was not checked, of which endpoint.
	rep := cimimove(t, dir, 0, "migrate", "@lax", "web", "local:west", "--config", config)
	if text := fmt.Sprint(rep["findings"]); !strings.Contains(text, "@lax") || !strings.Contains(text, "certificate") {
		t.Errorf("the report says nothing: %s", text)
	}
	cimimove(t, dir, 5, "migrate", "@lax", "web", "local:other", "--config", config, "--strict")
}
