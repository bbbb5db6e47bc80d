package client_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
)

// What real providers send, and where it is tried:
//
//	bare Content-Type and Accept, one format asked for   TestBareTypes
//	numbers and booleans as strings                      TestLooseValues
//	dates of other kinds                                 TestLooseValues
//	absolute, relative, oddly named ids                  TestIDs
//	other units                                          TestCapacity
//	other names of collections                           TestCollectionNames, TestVersion1EntryPoint
//	typeUri in ResourceMetadata                          TestLooseValues
//	entries that are references and no more              TestBareEntries
//	a compressed answer that nobody asked for            TestCompressed
//	collections by value                                 TestHeldCollections
//	extension attributes, kept on update                 TestExtensionsKept
//	202 with a Job, a resource, nothing                  TestAnswersToChanges
//	no Jobs at all                                       TestNoJobs, TestOperations
//	errors that are no Jobs                              TestErrors
//	edit that answers 404, names of delete, hidden operations   TestOperations
//	hrefs that lead nowhere, operations that do nothing  TestIdleOperations
//	an entry point without credentials                   TestOpenEntryPoint
//	query parameters that are ignored                    TestPagingIgnored, TestIgnoredFilter, TestIgnoredSelect

// TestBareTypes: some fail on a parameter in Content-Type, and answer 406 to
// one in Accept, or to two types.
func TestBareTypes(t *testing.T) {
	for _, format := range []string{"json", "xml"} {
		want := "application/" + format
		picky := func(then http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header["Accept"]; len(got) != 1 || got[0] != want {
					http.Error(w, strings.Join(got, " and "), http.StatusNotAcceptable)
					return
				}
				if got := r.Header.Get("Content-Type"); r.Method != "GET" && r.ContentLength != 0 && got != want {
					http.Error(w, got, http.StatusInternalServerError)
					return
				}
				then(w, r)
			}
		}
		s := newScript(t, map[string]http.HandlerFunc{
			"GET /api/machines":    picky(body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":0,"operations":[{"rel":"add","href":"machines"}]}`)),
			"POST /api/machines":   picky(body(201, machine, "Location", "machines/1")),
			"GET /api/machines/1":  picky(body(200, machine)),
			"PUT /api/edit/1":      picky(body(200, machine)),
			"DELETE /api/gone/1":   picky(body(200, "")),
			"POST /api/machines/1": picky(body(200, "")),
		})
		c := s.client(client.Options{Format: format})
		if _, err := c.List(t.Context(), "machines", cimi.ListOptions{}); err != nil {
			t.Errorf("%s: list: %v", format, err)
		}
		if _, err := c.Create(t.Context(), "machines", &cimi.MachineCreate{}); err != nil {
			t.Errorf("%s: create: %v", format, err)
		}
		if _, err := c.Update(t.Context(), "machines/1", &cimi.Machine{}, cimi.UpdateOptions{}); err != nil {
			t.Errorf("%s: update: %v", format, err)
		}
		if _, err := c.Delete(t.Context(), "machines/1"); err != nil {
			t.Errorf("%s: delete: %v", format, err)
		}
	}
}

// TestLooseValues: numbers, booleans and dates of other kinds, typeUri.
func TestLooseValues(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"m","cpu":"1","memory":" 2048 ","created":"Mon, 23 Nov 2026 14:40:19 +0100"}`),
		"GET /api/v": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Volume","id":"v","bootable":"false","created":"2026-11-23 14:40:19 +0000"}`),
		"GET /api/i": body(200, `<VolumeImage><id>i</id><bootable> true </bootable><created>some time ago</created></VolumeImage>`),
		"GET /api/r": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/ResourceMetadata","id":"r","name":"Machine","typeUri":"http://schemas.dmtf.org/cimi/2/Machine"}`),
	})
	c := s.client(client.Options{})
	get := func(id string) cimi.Resource {
		r, err := c.Get(t.Context(), id, cimi.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if m := get("m").(*cimi.Machine); cimi.IntValue(m.CPU) != 1 || cimi.IntValue(m.Memory) != 2048 || m.Created.Time.Unix() != time.Date(2026, 11, 23, 13, 40, 19, 0, time.UTC).Unix() {
		t.Errorf("the machine reads as %+v", m)
	}
	if v := get("v").(*cimi.Volume); v.Bootable == nil || *v.Bootable || v.Created.Time.Unix() != time.Date(2026, 11, 23, 14, 40, 19, 0, time.UTC).Unix() {
		t.Errorf("the volume reads as %+v", v)
	}
	if i := get("i").(*cimi.VolumeImage); !cimi.BoolValue(i.Bootable) || i.Created.String() != "some time ago" {
		t.Errorf("the image reads as %+v", i)
	}
	if r := get("r").(*cimi.ResourceMetadata); r.TypeURI != "http://schemas.dmtf.org/cimi/2/Machine" {
		t.Errorf("the metadata reads as %+v", r)
	}
}

// TestIDs: whatever ids look like, they are followed as they are.
func TestIDs(t *testing.T) {
	const m = `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":%q,"name":"web"}`
	s := newScript(t, map[string]http.HandlerFunc{})
	for _, id := range []string{"machine_list/a_1", "machineList/A1", "x?id=7", s.URL + "/elsewhere/9", "/api/rooted", "../up"} {
		path := map[string]string{s.URL + "/elsewhere/9": "/elsewhere/9", "x?id=7": "/api/x", "/api/rooted": "/api/rooted", "../up": "/up"}[id]
		if path == "" {
			path = "/api/" + id
		}
		s.routes["GET "+path] = body(200, fmt.Sprintf(m, id))
		s.routes["GET /api/machines"] = body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":1,"machines":[{"id":"`+id+`"}]}`)
		c := s.client(client.Options{})
		col, err := c.List(t.Context(), "machines", cimi.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Get(t.Context(), col.Items[0].Base().ID, cimi.ReadOptions{})
		if err != nil || r.Base().Name != "web" || r.Base().ID != col.Items[0].Base().ID {
			t.Errorf("%s: %+v, %v", id, r, err)
		}
	}
}

// TestCollectionNames: the entry point's other names.
func TestCollectionNames(t *testing.T) {
	s := newScript(t, nil)
	s.routes = map[string]http.HandlerFunc{"GET /cep": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/CloudEntryPoint","baseURI":"`+s.URL+`/api/",
	 "machineConfigurations":{"href":"mc"},"volumeConfigurations":{"href":"vc"}}`)}
	cep, err := s.client(client.Options{}).EntryPoint(t.Context())
	if err != nil || cimi.HrefOf(cep.MachineConfigs) != s.URL+"/api/mc" || cimi.HrefOf(cep.VolumeConfigs) != s.URL+"/api/vc" {
		t.Errorf("%+v, %v", cep, err)
	}
}

// TestExtensionsKept: what was read and is not understood is written back (4.2.1.3).
func TestExtensionsKept(t *testing.T) {
	sent := map[string]any{}
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","driver":"mock","id":"m","name":"a","realm":{"zone":["x",1]},"cpu":1,"provider":null}`),
		"PUT /api/m": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(b, &sent)
		},
	})
	c := s.client(client.Options{})
	r, err := c.Get(t.Context(), "m", cimi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.Base().Name = "b"
	if _, err := c.Update(t.Context(), "m", r, cimi.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if realm, _ := sent["realm"].(map[string]any); sent["driver"] != "mock" || fmt.Sprint(realm["zone"]) != "[x 1]" || sent["name"] != "b" {
		t.Errorf("sent %v", sent)
	}
}

// TestNoJobs: a cloud that has none: the target's state tells the end.
func TestNoJobs(t *testing.T) {
	reads := 0
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines":  body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","operations":[{"rel":"add","href":"machines"}]}`),
		"POST /api/machines": body(202, "", "Location", "machines/2"),
		"GET /api/machines/2": func(w http.ResponseWriter, r *http.Request) {
			state := "CREATING"
			if reads++; reads > 2 {
				state = "STOPPED"
			}
			fmt.Fprintf(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"machines/2","state":%q}`, state)
		},
	})
	s.routes["GET /cep"] = body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/CloudEntryPoint","baseURI":"`+s.URL+`/api/","machines":{"href":"machines"}}`)
	c := s.client(client.Options{})
	acc, err := c.Create(t.Context(), "machines", &cimi.MachineCreate{})
	if err != nil {
		t.Fatal(err)
	}
	if job, err := cimi.Wait(t.Context(), c, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond}); job != nil || err != nil || reads < 3 {
		t.Errorf("%v, %v after %d reads", job, err, reads)
	}
}

// TestIdleOperations: an href that leads nowhere is an error without a status;
// an operation that is answered 202 and tells of nothing cannot be waited for.
func TestIdleOperations(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/systems": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/SystemCollection","operations":[{"rel":"http://schemas.dmtf.org/cimi/2/action/import","href":"http://cloud.invalid/import"}]}`),
		"GET /api/s": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/System","id":"s",
		 "operations":[{"rel":"http://schemas.dmtf.org/cimi/2/action/export","href":"s/export"}]}`),
		"POST /api/s/export": body(202, ""),
	})
	c := s.client(client.Options{})
	_, err := c.Invoke(t.Context(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: "http://x/y.ova"})
	var e *cimi.Error
	if !errors.As(err, &e) || e.Status != 0 || !strings.Contains(err.Error(), "cloud.invalid") {
		t.Errorf("an href that leads nowhere: %v", err)
	}
	acc, err := c.Invoke(t.Context(), "s", &cimi.Action{Action: cimi.ActionExport})
	if err != nil || acc.Location != "" || acc.Done {
		t.Fatalf("an export that does nothing: %+v, %v", acc, err)
	}
	if _, err := cimi.Wait(t.Context(), c, acc, "", cimi.WaitOptions{}); !errors.Is(err, cimi.ErrNoJob) {
		t.Errorf("waiting for nothing: %v", err)
	}
}

// TestOpenEntryPoint: an entry point that is read without credentials, while
// the rest wants them.
func TestOpenEntryPoint(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{"GET /api/machines": func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.WriteHeader(401)
			return
		}
		fmt.Fprint(w, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","count":0}`)
	}})
	if _, err := s.client(client.Options{}).List(t.Context(), "machines", cimi.ListOptions{}); !cimi.IsUnauthorized(err) {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := s.client(client.Options{User: "u", Password: "p"}).List(t.Context(), "machines", cimi.ListOptions{}); err != nil {
		t.Errorf("with them: %v", err)
	}
}

// TestIgnoredSelect: a cloud that knows no $select, $expand and $orderby sends
// everything, in its own order (4.1.6).
func TestIgnoredSelect(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"m","name":"a","cpu":2,"disks":{"href":"d"}}`),
		"GET /api/d": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/DiskCollection","id":"d","count":1,"disks":[{"id":"d/1","capacity":5}]}`),
		"GET /api/machines": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","id":"machines","count":3,"machines":[
		 {"id":"m/1","name":"b"},{"id":"m/2","name":"c"},{"id":"m/3","name":"a"}]}`),
	})
	c := s.client(client.Options{})
	r, err := c.Get(t.Context(), "m", cimi.ReadOptions{Select: []string{"name"}})
	if m := r.(*cimi.Machine); err != nil || m.Name != "a" || m.CPU != nil || m.ID != "" {
		t.Errorf("$select=name: %+v, %v", m, err)
	}
	r, err = c.Get(t.Context(), "m", cimi.ReadOptions{Expand: []string{"disks"}})
	if m := r.(*cimi.Machine); err != nil || m.Disks == nil || m.Disks.Value == nil || len(m.Disks.Value.Items) != 1 {
		t.Errorf("$expand=disks: %+v, %v", m, err)
	}
	col, err := c.List(t.Context(), "machines", cimi.ListOptions{OrderBy: []string{"name:desc"}, Last: 2})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, m := range col.Items {
		got += m.Base().Name
	}
	if got != "cb" {
		t.Errorf("$orderby=name:desc, the first two: %s", got)
	}
}

// TestHeldCollections: what a resource holds by value, without an href, is listed
// as any collection is.
func TestHeldCollections(t *testing.T) {
	for format, text := range map[string]string{
		"json": `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","id":"m/1","disks":[{"capacity":7},{"capacity":8}],"volumes":{"id":"m/1/vols"}}`,
		"xml":  `<Machine xmlns="http://schemas.dmtf.org/cimi/1"><id>m/1</id><disk><capacity>7</capacity></disk><disk><capacity>8</capacity></disk><volumes><id>m/1/vols</id></volumes></Machine>`,
	} {
		s := newScript(t, map[string]http.HandlerFunc{"GET /api/m/1": body(200, text)})
		c := s.client(client.Options{Format: format})
		r, err := c.Get(t.Context(), "m/1", cimi.ReadOptions{})
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		m := r.(*cimi.Machine)
		if href := cimi.HrefOf(m.Volumes); href != s.URL+"/api/m/1/vols" {
			t.Errorf("%s: the volumes are at %q", format, href)
		}
		var capacities []int64
		for d, err := range cimi.All(t.Context(), c, cimi.HrefOf(m.Disks), cimi.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			capacities = append(capacities, cimi.IntValue(d.(*cimi.Disk).Capacity))
		}
		if !slices.Equal(capacities, []int64{7, 8}) {
			t.Errorf("%s: disks of %v", format, capacities)
		}
	}
}

// TestCompressed: an answer in gzip, though none was asked for, and one that only
// says that it is, having no body.
func TestCompressed(t *testing.T) {
	packed := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			if text != "" {
				z := gzip.NewWriter(w)
				fmt.Fprint(z, text)
				z.Close()
			}
		}
	}
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/m/1":    packed(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine","id":"m/1","name":"web"}`),
		"GET /api/m/2":    packed(409, `{"code":7,"message":"it is busy"}`),
		"GET /api/m/3":    packed(200, `{"name":"`+strings.Repeat("x", cimi.MaxBody)+`"}`),
		"DELETE /api/m/1": packed(200, ""),
	})
	c := s.client(client.Options{})
	if r, err := c.Get(t.Context(), "m/1", cimi.ReadOptions{}); err != nil || r.Base().Name != "web" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := c.Get(t.Context(), "m/2", cimi.ReadOptions{}); err == nil || !strings.Contains(err.Error(), "it is busy") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Get(t.Context(), "m/3", cimi.ReadOptions{}); !errors.Is(err, cimi.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Delete(t.Context(), "m/1"); err != nil {
		t.Error(err)
	}
}

// TestBareEntries: entries that are references and no more are read, but for
// those that are gone or cannot be understood.
func TestBareEntries(t *testing.T) {
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/machines": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/1/MachineCollection","machines":[{"href":"m/1"},{"href":"m/2"},{"href":"m/3"}]}`),
		"GET /api/m/3":      body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","id":"m/3","memory":{"quantity":512,"units":"MB"}}`),
		"GET /api/m/1":      body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","id":"m/1","name":"web","cpu":4}`),
	})
	col, err := s.client(client.Options{}).List(t.Context(), "machines", cimi.ListOptions{})
	if err != nil || len(col.Items) != 3 {
		t.Fatalf("got %+v, %v", col, err)
	}
	if m := col.Items[0].(*cimi.Machine); m.Name != "web" || cimi.IntValue(m.CPU) != 4 {
		t.Errorf("got %+v", m)
	}
	// Nothing is read of what the page does not have.
	before := len(s.seen)
	if _, err := s.client(client.Options{}).List(t.Context(), "machines", cimi.ListOptions{First: 1, Last: 1}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.seen) - before; n != 3 {
		t.Errorf("%d requests, want the entry point, the collection and one machine: %v", n, s.seen[before:])
	}
}
