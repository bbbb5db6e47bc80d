package server_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/cimimove/cimimove/cimi/server"
)

// TestRebinding: a page of another site whose name leads to loopback gets nothing.
func TestRebinding(t *testing.T) {
	c := serve(t, server.Options{Hosts: []string{"cloud.example"}})
	for host, want := range map[string]int{
		"": 200, "localhost:80": 200, "LOCALHOST": 200, "127.0.0.2": 200, "[::1]:8780": 200, "cloud.example:1": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:8780": 421,
	} {
		req, err := http.NewRequest("GET", c.URL+"/cloudEntryPoint", nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %q: %d, want %d: %s", host, resp.StatusCode, want, b)
		}
	}
}
