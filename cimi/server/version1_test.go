package server_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/server"
)

// TestVersion1: one cloud under both entry points; a System's Machines are
// wrapper items in 1.x.
func TestVersion1(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("GET", "/cimi/1/cloudEntryPoint", "")
	c.Want(r, 200, `"http://schemas.dmtf.org/cimi/1/CloudEntryPoint"`, c.URL+"/cimi/1/machines")
	if got := c.Field(r, "baseURI"); got != c.URL+"/cimi/1/" {
		t.Errorf("baseURI %s", got)
	}
	c.Want(c.Do("GET", "/cloudEntryPoint", ""), 200, `"http://schemas.dmtf.org/cimi/2/CloudEntryPoint"`)
	r = c.Do("GET", "/cimi/1/machines", "", "Accept", "application/xml")
	c.Want(r, 200, `<Collection resourceURI="http://schemas.dmtf.org/cimi/1/MachineCollection" xmlns="http://schemas.dmtf.org/cimi/1">`)
	r = c.Do("POST", "/cimi/1/machines", `<MachineCreate xmlns="http://schemas.dmtf.org/cimi/1"><name>one</name><property key="k">v</property>
	 <machineTemplate><machineConfig><cpu>1</cpu><memory>1024</memory></machineConfig></machineTemplate></MachineCreate>`, "Content-Type", "application/xml")
	c.Want(r, 201, `<property key="k">v</property>`)
	machine := r.Header.Get("Location")
	if !strings.HasPrefix(machine, c.URL+"/cimi/1/machines/") || !strings.Contains(r.Header.Get("CIMI-Job-URI"), "/cimi/1/jobs/") {
		t.Errorf("Location %s, Job %s", machine, r.Header.Get("CIMI-Job-URI"))
	}
	r = c.Do("GET", machine, "", "Accept", "application/xml")
	c.Want(r, 200, `<operation rel="http://schemas.dmtf.org/cimi/1/action/start"`)
	if strings.Contains(r.Text, "<operations>") || strings.Contains(r.Text, "cimi/2") {
		t.Errorf("2.0 in 1.x: %s", r.Text)
	}
	r = c.Do("POST", machine, `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Action","action":"http://schemas.dmtf.org/cimi/1/action/start"}`)
	c.Want(r, 200)
	c.Want(c.Do("GET", machine, ""), 200, `"state": "STARTED"`)
	c.Want(c.Do("GET", "/cimi/1/jobs?$filter=state='NONE'", ""), 200, `"count": 0`)
	c.Want(c.Do("GET", "/cimi/1/machines/none", "", "Accept", "application/xml"), 404, `<Job xmlns="http://schemas.dmtf.org/cimi/1">`)
}

// TestOtherVersion: an attribute that only the other version has is unknown (5.3).
func TestOtherVersion(t *testing.T) {
	c := serve(t, server.Options{})
	c.Want(c.Do("POST", "/machineTemplates", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineTemplate","networkInterfaces":[{"state":"ENABLED"}]}`), 400, "networkInterfaces")
	c.Want(c.Do("POST", "/cimi/1/machineTemplates", `{"resourceURI":"http://schemas.dmtf.org/cimi/1/MachineTemplate","interfaceTemplates":[{"href":"x"}]}`), 400, "interfaceTemplates")
}

// TestVersion1Update: a whole update in 1.x leaves what 1.x cannot say.
func TestVersion1Update(t *testing.T) {
	c := serve(t, server.Options{})
	r := c.Do("POST", "/machineTemplates", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineTemplate","name":"a","interfaceTemplates":[{"href":"x"}]}`)
	c.Want(r, 201)
	id := strings.TrimPrefix(r.Header.Get("Location"), c.URL)
	r = c.Do("GET", "/cimi/1"+id, "")
	if strings.Contains(r.Text, "interfaceTemplates") {
		t.Errorf("interfaceTemplates in 1.x: %s", r.Text)
	}
	c.Want(c.Do("PUT", "/cimi/1"+id, strings.Replace(r.Text, `"a"`, `"b"`, 1)), 200)
	c.Want(c.Do("GET", id, ""), 200, `"name": "b"`, `"interfaceTemplates"`)
}

// TestWrappers: System.machines in 1.x, whole, one item, expanded, and the
// removal that the cloud does not offer.
func TestWrappers(t *testing.T) {
	c := serve(t, server.Options{})
	acc, err := c.p.Create(t.Context(), "machines", &cimi.MachineCreate{Common: cimi.Common{Name: "web"},
		MachineTemplate: cimi.RefBy(&cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(1)})})})
	if err != nil {
		t.Fatal(err)
	}
	id := acc.Location
	r := c.Do("GET", "/cimi/1/machines/as/SystemMachine", "")
	c.Want(r, 200, `"http://schemas.dmtf.org/cimi/1/SystemMachineCollection"`, `"systemMachines"`, `"machine"`, c.URL+"/cimi/1/"+id)
	item := c.URL + "/cimi/1/machines/as/SystemMachine/" + id
	c.Want(r, 200, item)
	r = c.Do("GET", item, "", "Accept", "application/xml")
	c.Want(r, 200, `<SystemMachine xmlns="http://schemas.dmtf.org/cimi/1">`, `<machine href="`+c.URL+"/cimi/1/"+id+`"/>`)
	c.Want(c.Do("GET", item+"?$expand=machine", ""), 200, `"cpu": 1`)
	c.Want(c.Do("GET", "/cimi/1/machines/as/SystemMachine/machines/none", ""), 404)
	if r := c.Do("DELETE", item, ""); r.StatusCode < 400 {
		t.Errorf("removal that is not offered: %d", r.StatusCode)
	}
	c.Want(c.Do("GET", "/machines/as/SystemMachine", ""), 404)

	// The representation of a System leads there.
	var b bytes.Buffer
	s := &cimi.System{Machines: cimi.RefTo[cimi.Collection]("systems/1/machines")}
	out := cimi.Downgrade(s, func(coll, wrapper string) string { return coll + "/as/" + wrapper })
	if err := cimi.EncodeXMLIn(&b, out, cimi.V1); err != nil || !strings.Contains(b.String(), `<machines href="systems/1/machines/as/SystemMachine"/>`) {
		t.Errorf("%v: %s", err, b.String())
	}
	if s.Machines.Href != "systems/1/machines" {
		t.Error("Downgrade changed its argument")
	}
}
