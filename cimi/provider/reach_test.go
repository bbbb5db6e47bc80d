package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestReach: a cloud says whether an import could fetch from a URL, and shows
// nothing of what lies there.
func TestReach(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "canary")
	}))
	defer srv.Close()
	p := open(t, t.TempDir(), provider.Options{})
	c, err := p.List(t.Context(), "systems", cimi.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	op := c.Operation(cimi.RelReach)
	if op == nil {
		t.Fatal("the operation is not offered")
	}
	ask := func(url string) (cimi.Reach, error) {
		var answer cimi.Reach
		c, err := p.Open(t.Context(), op.Href+"/"+base64.RawURLEncoding.EncodeToString([]byte(url)))
		if err != nil {
			return answer, err
		}
		b, err := io.ReadAll(io.NewSectionReader(c, 0, 1<<20))
		if err != nil || strings.Contains(string(b), "canary") {
			t.Errorf("%s: %v", b, err)
		}
		return answer, json.Unmarshal(b, &answer)
	}
	if a, err := ask(srv.URL); err != nil || !a.Reachable || asked != 1 {
		t.Errorf("%+v: %v, asked %d times", a, err, asked)
	}
	for url, why := range map[string]string{
		"http://127.0.0.1:1/":         "refused",
		"http://192.0.2.1/package":    "no network that imports",
		"http://169.254.169.254/meta": "no network that imports",
	} {
		if a, err := ask(url); err != nil || a.Reachable || !strings.Contains(a.Why, why) {
			t.Errorf("%s: %+v: %v", url, a, err)
		}
	}
	for _, url := range []string{"file:///etc/passwd", "http://user:canary@127.0.0.1/", "gopher://127.0.0.1"} {
		if _, err := ask(url); cimi.StatusOf(err) != 400 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
