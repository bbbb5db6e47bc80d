package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestPageOfWhoMayRead: the page is for those that the cloud shows its Jobs, and
// for nobody when it does not say.
func TestPageOfWhoMayRead(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secrets") })
	for _, status := range []int{200, 401, 403, 404, 429, 500, 503} {
		cloud := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/jobs" || r.Header.Get("Authorization") != "Bearer x" {
				t.Errorf("asked for %s as %q", r.URL.Path, r.Header.Get("Authorization"))
			}
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(status)
		})
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, pagePath, nil)
		r.Header.Set("Authorization", "Bearer x")
		withPage(cloud, page).ServeHTTP(w, r)
		if w.Code != status || (w.Body.String() == "secrets") != (status == 200) {
			t.Errorf("%d: %d %q", status, w.Code, w.Body)
		}
	}
}
