package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOwnCollections: collections that a cloud has beside the standard's are
// listed as those are.
func TestOwnCollections(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/cep":
			fmt.Fprintf(w, `{"resourceURI":"urn:own/CloudEntryPoint","baseURI":"http://%s/api/","jobs":{"href":"job"},"acl":{"owner":"me"},"offers":{"href":"offer"}}`, r.Host)
		case "/api/offer":
			fmt.Fprint(w, `{"resourceURI":"urn:own/OfferCollection","id":"offer","count":1,"offers":[{"id":"offer/1","name":"small","state":"OPEN"}]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	for _, c := range []struct{ collection, want string }{
		{"", "offers " + srv.URL + "/api/offer"},
		{"offers", "small Offer OPEN " + srv.URL + "/api/offer/1"},
	} {
		args := []string{"ls", srv.URL + "/api/cep"}
		if c.collection != "" {
			args = append(args, c.collection)
		}
		code, stdout, stderr := invoked(args...)
		if words := strings.Join(strings.Fields(stdout), " "); code != 0 || !strings.Contains(words, c.want) || strings.Contains(words, "acl") {
			t.Errorf("ls %s: exit %d\n%s%s", c.collection, code, stdout, stderr)
		}
	}
}
