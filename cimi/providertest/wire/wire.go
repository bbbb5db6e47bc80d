// Package wire speaks to a cloud in plain HTTP, without our client: what a test
// sends and what came back, as they are.
package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Cloud is a cloud at a base URL without a slash at its end. Its methods end
// the test where the network fails.
type Cloud struct {
	*testing.T
	URL string
}

// Reply is an answer with its whole body.
type Reply struct {
	*http.Response
	Text string
}

// Do sends a request; path may be a whole URL. headers are names and values in
// turn.
func (c *Cloud) Do(method, path, body string, headers ...string) Reply {
	c.Helper()
	url := path
	if !strings.HasPrefix(path, "http") {
		url = c.URL + path
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return Reply{resp, string(b)}
}

// Want ends the test unless the answer has this status and says all of these.
func (c *Cloud) Want(r Reply, status int, contains ...string) {
	c.Helper()
	if r.StatusCode != status {
		c.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Text)
	}
	for _, s := range contains {
		if !strings.Contains(r.Text, s) {
			c.Fatalf("%s %s: want %q in\n%s", r.Request.Method, r.Request.URL, s, r.Text)
		}
	}
}

// Field is a value in the JSON of an answer, as text; "<nil>" where there is none.
func (c *Cloud) Field(r Reply, path ...string) string {
	c.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.Text), &v); err != nil {
		c.Fatalf("%v in %s", err, r.Text)
	}
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return fmt.Sprint(v)
}
