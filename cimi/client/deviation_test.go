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
