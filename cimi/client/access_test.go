package client_test

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
)

// TestCredentials go to the endpoint's own origin and nowhere else.
func TestCredentials(t *testing.T) {
	var leaked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		fmt.Fprint(w, machine)
	}))
	defer other.Close()
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/m", http.StatusFound) },
		"PUT /api/machines/1": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/m", http.StatusTemporaryRedirect)
		},
		"GET /api/machines/1": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"machines/1"}`),
		"GET /api/loop":       func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/api/loop", http.StatusFound) },
	})
	c := s.client(client.Options{User: "u", Password: "pa55"})
	if u, p, _ := s.seen[0].BasicAuth(); u != "u" || p != "pa55" {
		t.Error("the endpoint got no credentials")
	}
	for _, href := range []string{other.URL + "/m", "redirect"} {
		if _, err := c.Get(t.Context(), href, cimi.ReadOptions{}); err != nil {
			t.Errorf("%s: %v", href, err)
		}
	}
	_, err := c.Update(t.Context(), "machines/1", &cimi.Machine{}, cimi.UpdateOptions{})
	var se *cimi.SecurityError
	if !errors.As(err, &se) {
		t.Errorf("a change redirected to another host: %v", err)
	}
	if leaked.Load() != 0 {
		t.Errorf("credentials went to another origin %d times", leaked.Load())
	}
	if _, err := c.Get(t.Context(), "loop", cimi.ReadOptions{}); cimi.StatusOf(err) != http.StatusBadGateway {
		t.Error("an endless redirect was followed")
	}
	for _, bad := range []string{"http://u:pa55@" + s.Listener.Addr().String() + "/cep", s.URL + "/nothing", "ftp://host/x", "::"} {
		_, err := client.New(t.Context(), bad, client.Options{Retry: quick})
		if err == nil || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestUnauthorized(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{"GET /cep": body(401, "")})
	_, err := client.New(t.Context(), s.URL+"/cep", client.Options{Retry: quick})
	if !cimi.IsUnauthorized(err) || len(s.seen) != 1 {
		t.Errorf("got %v, %d requests", err, len(s.seen))
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.ReplaceAll(entry, "BASE", "https://"+r.Host))
	}))
	srv.Config.ErrorLog = nil
	defer srv.Close()
	cert := srv.Certificate()
	for _, c := range []struct {
		name string
		o    client.Options
		ok   bool
	}{
		{"unknown authority", client.Options{}, false},
		{"insecure", client.Options{Insecure: true}, true},
		{"authority", client.Options{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})}, true},
		{"pin of the certificate", client.Options{Pin: fmt.Sprintf("sha256:%x", sha256.Sum256(cert.Raw))}, true},
		{"pin of the key", client.Options{Pin: fmt.Sprintf("sha256:%X", sha256.Sum256(cert.RawSubjectPublicKeyInfo))}, true},
		{"another pin", client.Options{Pin: fmt.Sprintf("sha256:%x", sha256.Sum256(nil))}, false},
	} {
		c.o.Retry = quick
		cl, err := client.New(t.Context(), srv.URL, c.o)
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else {
				cl.Close()
			}
			continue
		}
		var se *cimi.SecurityError
		if !errors.As(err, &se) {
			t.Errorf("%s: %T %v", c.name, err, err)
		}
	}
	for _, o := range []client.Options{{Pin: "abc"}, {CA: []byte("x")}, {Format: "yaml"}, {Proxy: "::"}} {
		if _, err := client.New(t.Context(), srv.URL, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestUnreachable: nobody there is an error without a status.
func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, err = client.New(t.Context(), "http://"+addr+"/cep?sig=hidden", client.Options{Retry: quick})
	var e *cimi.Error
	if !errors.As(err, &e) || e.Status != 0 || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// TestNotAnEntryPoint: pages and other documents are refused with a hint.
func TestNotAnEntryPoint(t *testing.T) {
	for _, text := range []string{"", "<html>hello</html>", `{"hello":1}`, machine, "plain", strings.Repeat("[", 100)} {
		s := newScript(t, map[string]http.HandlerFunc{"GET /cep": body(200, text)})
		_, err := client.New(t.Context(), s.URL+"/cep", client.Options{Retry: quick})
		var e *cimi.Error
		if !errors.As(err, &e) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestVersion1EntryPoint: XML of 1.x, relative hrefs, other names of collections.
func TestVersion1EntryPoint(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{"GET /cep": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<CloudEntryPoint xmlns="http://schemas.dmtf.org/cimi/1"><id>x</id><baseURI>http://%s/api/</baseURI><machineConfigurations href="mc"/></CloudEntryPoint>`, r.Host)
	}})
	c := s.client(client.Options{Format: "xml"})
	cep, err := c.EntryPoint(t.Context())
	if err != nil || cimi.HrefOf(cep.MachineConfigs) != s.URL+"/api/mc" {
		t.Errorf("%v, %v", cep, err)
	}
	if s.seen[0].Header.Get("Accept") != "application/xml" {
		t.Errorf("Accept %q", s.seen[0].Header.Get("Accept"))
	}
}

// TestSparseEntryPoint: whatever collections an entry point has, and whether or
// not it names its baseURI.
func TestSparseEntryPoint(t *testing.T) {
	for format, text := range map[string]string{
		"json": `{"resourceURI":"http://www.dmtf.org/cimi/CloudEntryPoint","machineImages":{"href":"images"}}`,
		"xml":  `<CloudEntryPoint xmlns="http://schemas.dmtf.org/cimi/1/"><machineImages href="images"/></CloudEntryPoint>`,
	} {
		s := newScript(t, map[string]http.HandlerFunc{"GET /cep": body(200, text)})
		c := s.client(client.Options{Format: format})
		cep, err := c.EntryPoint(t.Context())
		if err != nil || cimi.HrefOf(cep.MachineImages) != s.URL+"/images" || c.Version() != cimi.V1 {
			t.Errorf("%s: %+v, version %d, %v", format, cep, c.Version(), err)
		}
	}
}
