package server_test

import (
	"io"
	"net/http"
	"strings"
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
		// The least that a browser sends.
		if status, b := asked(t, c.URL+"/cloudEntryPoint", host, http.Header{"Accept-Language": {""}}); status != want {
			t.Errorf("Host %q: %d, want %d: %s", host, status, want, b)
		}
	}
	for _, more := range []http.Header{{"Origin": {"http://evil.example"}}, {"Referer": {"http://evil.example/"}}, {"Sec-Fetch-Site": {"same-origin"}}, {"User-Agent": {"Mozilla/5.0 (X11)"}}} {
		if status, b := asked(t, c.URL+"/cloudEntryPoint", "evil.example", more); status != 421 {
			t.Errorf("%v: %d: %s", more, status, b)
		}
	}
}

// TestForeignHost: another program than a browser is answered under the name that it
// asks for, and so is a browser where who asks must say who they are.
func TestForeignHost(t *testing.T) {
	open := serve(t, server.Options{})
	if status, b := asked(t, open.URL+"/cloudEntryPoint", "cloud.example:8780", nil); status != 200 || !strings.Contains(b, `"http://cloud.example:8780/`) {
		t.Errorf("%d: %s", status, b)
	}
	closed := serve(t, server.Options{Users: []server.User{{Name: "a", Password: "long enough", Role: server.Reader}}})
	if status, b := asked(t, closed.URL+"/machines", "cloud.example", http.Header{"Accept-Language": {"en"}}); status != 401 {
		t.Errorf("%d: %s", status, b)
	}
}

// asked asks for a URL under a name.
func asked(t *testing.T, url, host string, more http.Header) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for name, values := range more {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}
