package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestEndlessCollection: pages of fresh and large entries do not take all
// memory; those of a cloud that sends everything every time count once.
func TestEndlessCollection(t *testing.T) {
	ovftest.Slow(t)
	ballast := strings.Repeat("x", 12<<20)
	var n atomic.Int64
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":99999999,"machines":[{"id":"m/%d","description":"%s"}]}`, n.Add(1), ballast)
		},
		"GET /api/systems": func(w http.ResponseWriter, r *http.Request) {
			var items []string
			for i := range 9000 {
				items = append(items, fmt.Sprintf(`{"id":"s/%d","description":"%s"}`, i, ballast[:1700]))
			}
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","count":9000,"systems":[%s]}`, strings.Join(items, ","))
		},
	})
	c := s.client(client.Options{})
	read := func(name string) (n int, err error) {
		for _, err := range cimi.All(t.Context(), c, name, cimi.ListOptions{}) {
			if n++; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	if got, err := read("machines"); cimi.StatusOf(err) != 502 || n.Load() > cimi.MaxRead/int64(len(ballast))+1 {
		t.Errorf("after %d entries, %d pages: %v", got, n.Load(), err)
	}
	if got, err := read("systems"); err != nil || got != 9000 {
		t.Errorf("%d entries of 9000, sent at once: %v", got, err)
	}
}

// TestReferer: the query of a URL, which may be a signature, does not go along
// to another origin.
func TestReferer(t *testing.T) {
	var told atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.Store(fmt.Sprint(r.URL, r.Header))
		fmt.Fprint(w, machine)
	}))
	defer other.Close()
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/m", http.StatusFound) },
	})
	c := s.client(client.Options{User: "u", Password: "pa55"})
	if _, err := c.Get(t.Context(), "m?signature=hidden", cimi.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := told.Load().(string); got == "" || strings.Contains(got, "hidden") {
		t.Errorf("the other origin is told %s", got)
	}
}
