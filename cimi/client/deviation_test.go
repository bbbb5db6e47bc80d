package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
)

// TestIgnoredFilter: a cloud that knows no $filter sends everything (4.1.6).
func TestIgnoredFilter(t *testing.T) {
	const all = `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","id":"machines","count":3,"machines":[
	 {"id":"m/1","name":"a","cpu":1},{"id":"m/2","name":"b","cpu":2},{"id":"m/3","name":"a","cpu":3}]}`
	s := newScript(t, map[string]http.HandlerFunc{"GET /api/machines": body(200, all)})
	c := s.client(client.Options{})
	for _, x := range []struct {
		opts cimi.ListOptions
		want string
	}{
		{cimi.ListOptions{Filter: []string{"name='a'"}}, "1:a 3:a /2"},
		{cimi.ListOptions{Filter: []string{"name='a'"}, First: 2}, "3:a /2"},
		{cimi.ListOptions{Filter: []string{"name='a'"}, ReadOptions: cimi.ReadOptions{Select: []string{"cpu", "count"}}}, "1: 3: /2"},
		{cimi.ListOptions{Filter: []string{"cpu>0"}}, "1:a 2:b 3:a /3"},
		{cimi.ListOptions{Filter: []string{"cpu>5"}}, "/0"},
	} {
		col, err := c.List(t.Context(), s.URL+"/api/machines", x.opts)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range col.Items {
			m := r.(*cimi.Machine)
			got += fmt.Sprintf("%d:%s ", *m.CPU, m.Name)
		}
		got += fmt.Sprintf("/%d", cimi.IntValue(col.Count))
		if got != x.want {
			t.Errorf("%+v: %s, want %s", x.opts, got, x.want)
		}
	}
}

// TestCapacity: clouds that count in other units, by their setting.
func TestCapacity(t *testing.T) {
	sent := ""
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/v": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Volume","id":"v","capacity":1000}`),
		"GET /api/m": body(200, `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineConfiguration","id":"m","memory":512000,"disks":[{"capacity":10000}]}`),
		"PUT /api/v": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			sent = strings.Join(strings.Fields(string(b)), "")
		},
	})
	units, err := client.CapacityNamed("volume-gb")
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(client.Options{Capacity: units})
	r, err := c.Get(t.Context(), s.URL+"/api/v", cimi.ReadOptions{})
	if err != nil || cimi.IntValue(r.(*cimi.Volume).Capacity) != 1024 {
		t.Errorf("1000 KiB read as %v kB (%v)", r, err)
	}
	v := &cimi.Volume{Capacity: cimi.Int(2_000_001)}
	if _, err := c.Update(t.Context(), s.URL+"/api/v", v, cimi.UpdateOptions{}); err != nil || !strings.Contains(sent, `"capacity":3}`) {
		t.Errorf("2000001 kB sent as %s (%v)", sent, err)
	}
	if *v.Capacity != 2_000_001 {
		t.Errorf("the caller's resource was changed to %d", *v.Capacity)
	}
	units, _ = client.CapacityNamed("thousands")
	r, err = s.client(client.Options{Capacity: units}).Get(t.Context(), s.URL+"/api/m", cimi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.(*cimi.MachineConfiguration)
	if *m.Memory != 512*1024 || *m.Disks[0].Capacity != 10_000_000 {
		t.Errorf("512 MiB and 10 GB read as %d KiB and %d kB", *m.Memory, *m.Disks[0].Capacity)
	}
	if _, err := client.CapacityNamed("guess"); err == nil {
		t.Error("an unknown setting is taken")
	}
}

// TestVersion1: entries of 1.x collections are wrappers; a caller sees the
// resources of 2.0, volumes with their location, interfaces with their MAC address.
func TestVersion1(t *testing.T) {
	const ns = "http://schemas.dmtf.org/cimi/1"
	sent := ""
	s := newScript(t, map[string]http.HandlerFunc{
		"GET /api/sm": body(200, `{"resourceURI":"`+ns+`/SystemMachineCollection","id":"sm","count":2,"systemMachines":[
		 {"id":"sm/1","machine":{"href":"m/1"}},{"id":"sm/2","machine":{"href":"gone"}}]}`),
		"GET /api/m/1": body(200, `{"resourceURI":"`+ns+`/Machine","id":"m/1","name":"web","cpu":2,"networkInterfaces":{"href":"ni"},
		 "operations":[{"rel":"edit","href":"m/1"},{"rel":"`+ns+`/action/start","href":"m/1/start"}]}`),
		"GET /api/mv": body(200, `<Collection resourceURI="`+ns+`/MachineVolumeCollection" xmlns="`+ns+`"><id>mv</id><count>1</count>
		 <MachineVolume><id>mv/1</id><initialLocation>/dev/vdb</initialLocation><volume href="v/1"/></MachineVolume></Collection>`),
		"GET /api/v/1": body(200, `<Volume xmlns="`+ns+`"><id>v/1</id><capacity>5</capacity></Volume>`),
		"GET /api/ni": body(200, `{"resourceURI":"`+ns+`/MachineNetworkInterfaceCollection","id":"ni","count":1,"machineNetworkInterfaces":[
		 {"id":"ni/1","macAddress":"02:00:00:00:00:01","network":{"href":"n/1"},"state":"Active"}]}`),
		"POST /api/m/1/start": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			sent = string(b)
		},
	})
	s.routes["GET /cep"] = body(200, strings.ReplaceAll(strings.ReplaceAll(entry, "BASE", s.URL), "cimi/2", "cimi/1"))
	c := s.client(client.Options{})
	if c.Version() != cimi.V1 {
		t.Fatalf("version %d", c.Version())
	}
	col, err := c.List(t.Context(), s.URL+"/api/sm", cimi.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if col.Item != "Machine" || len(col.Items) != 1 {
		t.Fatalf("%s: %d entries", col.Item, len(col.Items))
	}
	m := col.Items[0].(*cimi.Machine)
	if m.Name != "web" || cimi.HrefOf(m.Interfaces) != s.URL+"/api/ni" || m.Operation(cimi.ActionStart) == nil {
		t.Errorf("the machine reads as %+v", m)
	}
	if col, err = c.List(t.Context(), s.URL+"/api/mv", cimi.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	v := col.Items[0].(*cimi.LocatedVolume)
	if v.InitialLocation != "/dev/vdb" || cimi.IntValue(v.Capacity) != 5 || v.ID != s.URL+"/api/v/1" {
		t.Errorf("the volume reads as %+v", v)
	}
	if col, err = c.List(t.Context(), cimi.HrefOf(m.Interfaces), cimi.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	n := col.Items[0].(*cimi.NetworkInterface)
	e := n.Endpoints.Value.Items[0].(*cimi.ProtocolEndpoint)
	if e.Address != "02:00:00:00:00:01" || cimi.HrefOf(e.Parent) != s.URL+"/api/n/1" {
		t.Errorf("the endpoint reads as %+v", e)
	}
	if _, err := c.Invoke(t.Context(), m.ID, &cimi.Action{Action: cimi.ActionStart}); err != nil || !strings.Contains(sent, ns+"/action/start") || strings.Contains(sent, "cimi/2") {
		t.Errorf("%v: sent %s", err, sent)
	}
}
