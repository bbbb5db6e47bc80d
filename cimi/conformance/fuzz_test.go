package conformance

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
)

// fuzzed is the handler of a cloud with one of most things in it.
func fuzzed(f *testing.F) http.Handler {
	f.Helper()
	h, err := local.Open(context.Background(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	p, err := provider.New(context.Background(), h, provider.Options{})
	if err != nil {
		f.Fatal(err)
	}
	handler, err := server.New(p, server.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/systems", strings.NewReader(body("SystemCreate", `"systemTemplate":{"componentDescriptors":[`+oneMachine+`]}`))))
	if w.Code != http.StatusCreated {
		f.Fatalf("%d %s", w.Code, w.Body)
	}
	return handler
}

// answered checks an answer to anything at all: no fault of ours, and an error
// is a Job.
func answered(t *testing.T, h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 500 {
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
	if w.Code < 400 {
		return
	}
	text := w.Body.String()
	if w.Header().Get("Content-Type") == "application/xml" {
		var job struct {
			XMLName xml.Name `xml:"Job"`
			State   string   `xml:"state"`
		}
		if err := xml.Unmarshal([]byte(text), &job); err != nil || job.State != "FAILED" {
			t.Fatalf("%s %s: %d %v %s", r.Method, r.URL, w.Code, err, text)
		}
		return
	}
	var job struct{ ResourceURI, State string }
	if err := json.Unmarshal([]byte(text), &job); err != nil || job.State != "FAILED" || !strings.HasSuffix(job.ResourceURI, "/Job") {
		t.Fatalf("%s %s: %d %v %s", r.Method, r.URL, w.Code, err, text)
	}
}

// FuzzIDs: any path under any method that needs no body.
func FuzzIDs(f *testing.F) {
	for _, path := range []string{"machines", "machines/x/disks", "cimi/1/systems/x/machines/as/SystemMachine/y", "jobs/../jobs", "exports/1.ova", "reach/aHR0cDovLw",
		"eventLogs/machines.x/events", "interfaces/x.1", "%2e%2e/machines", "systems/\x00", "machines/a/b/c/d", "//", "cimi/2/cloudEntryPoint/", "samples/99999999999999999999"} {
		f.Add(path)
	}
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, path string) {
		for _, method := range []string{"GET", "DELETE", "POST", "PUT"} {
			u := &url.URL{Path: "/" + path}
			r := httptest.NewRequest(method, "/", nil)
			r.URL = u
			answered(t, h, r)
		}
	})
}

// FuzzQuery: any query of a collection and of a resource.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"$filter=name='a' and (cpu>1 or 2<=memory)", "$filter=property['a']!=\"b\"&$first=2&$last=3", "$orderby=name:desc,cpu&$select=name,cpu", "$expand=*&$format=xml",
		"$filter=created>2026-11-23T11:00:00Z", "$select=machines/name", "$last=0", "$first=-1", "$filter=((((((", "$filter='a'='b'", "$filter=cpu=99999999999999999999"} {
		f.Add(q)
	}
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/machines", "/cimi/1/machines", "/systems", "/meterConfigs/cpu"} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = query
			answered(t, h, r)
		}
	})
}

func fuzzBody(f *testing.F, contentType string) {
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, path := range []string{"/machineConfigs", "/machines", "/systemTemplates", "/meterConfigs/cpu", "/cimi/1/machineTemplates"} {
			method := "POST"
			if strings.Count(path, "/") == 2 {
				method = "PUT"
			}
			r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(string(b))))
			r.Header.Set("Content-Type", contentType)
			answered(t, h, r)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(body("MachineConfiguration", `"name":"a","cpu":"2","disks":[{"capacity":1}],"properties":{"a":"b"}`)))
	f.Add([]byte(body("MachineCreate", `"machineTemplate":{"machineConfig":{"cpu":1},"initialState":null}`)))
	f.Add([]byte(body("SystemTemplate", `"componentDescriptors":[`+oneMachine+`]`)))
	f.Add([]byte(body("MeterConfiguration", `"aspect":"x","sampleInterval":1`)))
	f.Add([]byte(body("Action", `"action":"http://schemas.dmtf.org/cimi/2/action/import","source":"http://127.0.0.1:1/"`)))
	fuzzBody(f, "application/json")
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<MachineConfiguration xmlns="http://schemas.dmtf.org/cimi/2"><name>a</name><properties><property key="a">b</property></properties><cpu> 2 </cpu><disks><disk><capacity>1</capacity></disk></disks></MachineConfiguration>`))
	f.Add([]byte(`<MachineCreate><machineTemplate href="x"><machineConfig><cpu>1</cpu></machineConfig><initialState/></machineTemplate></MachineCreate>`))
	f.Add([]byte(`<MeterConfiguration><aspect>x</aspect></MeterConfiguration>`))
	f.Add([]byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	fuzzBody(f, "application/xml")
}
