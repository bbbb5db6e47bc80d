package provider_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestExportWhileDeleted: who reads an export reads on.
func TestExportWhileDeleted(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	location, archive := export(t, p, id)
	c, err := p.Open(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil || !bytes.Equal(b, archive) {
		t.Errorf("reading on: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestExportTo(t *testing.T) {
	p, sample := open(t, t.TempDir(), provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	_, archive := export(t, p, id)
	var got atomic.Pointer[[]byte]
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if user, password, _ := r.BasicAuth(); r.Method != http.MethodPut || user != "u" || password != "s" || r.ContentLength != int64(len(archive)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b, _ := io.ReadAll(r.Body)
		got.Store(&b)
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	a := &cimi.Action{Action: cimi.ActionExport, Destination: srv.URL + "/out.ova"}
	a.Properties = map[string]string{"http.user": "u", "http.password": "s"}
	acc, err := p.Invoke(context.Background(), id, a)
	if err != nil {
		t.Fatal(err)
	}
	if j := wait(t, p, acc.Job); j.State != cimi.JobSuccess {
		t.Fatal(j.StatusMessage)
	}
	if b := got.Load(); b == nil || !bytes.Equal(*b, archive) {
		t.Error("other bytes were put")
	}
	for _, a := range []*cimi.Action{{Destination: "ftp://x/y"}, {Destination: "http://u:p@x/y"}, {Format: "application/zip"}} {
		a.Action = cimi.ActionExport
		if _, err := p.Invoke(context.Background(), id, a); cimi.StatusOf(err) != 400 {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
