package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// protocol are the tests of clause 4 and of the data types of 5.5.
var protocol = map[string]func(c *cloud){
	"self-pointer": func(c *cloud) {
		id := c.config(`"name":"a"`)
		if got := c.Field(c.Do("GET", id, ""), "id"); got != id {
			c.Errorf("id %s, want %s", got, id)
		}
	},
	"media-types": func(c *cloud) {
		for accept, want := range map[string]string{"application/json": "application/json", "application/xml": "application/xml"} {
			if got := c.Do("GET", "/machines", "", "Accept", accept).Header.Get("Content-Type"); got != want {
				c.Errorf("Accept %s: %s", accept, got)
			}
		}
	},
	"resource-uri": func(c *cloud) {
		id := c.config(`"name":"a"`)
		c.Want(c.Do("GET", id+"?$select=name", ""), 200, `"resourceURI": "`+ns+`MachineConfiguration"`)
	},
	"collection-uri-xml": func(c *cloud) {
		c.Want(c.Do("GET", "/machines", "", "Accept", "application/xml"), 200, `<Collection resourceURI="`+ns+`MachineCollection"`)
	},
	"both-formats": func(c *cloud) {
		id := c.config(`"name":"a","cpu":3`)
		c.Want(c.Do("GET", id, "", "Accept", "application/xml"), 200, "<MachineConfiguration xmlns=", "<cpu>3</cpu>")
		c.Want(c.Do("GET", id, "", "Accept", "application/json"), 200, `"cpu": 3`)
	},
	"unknown-parameters": func(c *cloud) {
		c.Want(c.Do("GET", "/machines?$unheard=1&other=2", ""), 200, `"count": 0`)
	},
	"filter": func(c *cloud) {
		c.config(`"name":"a","cpu":1,"properties":{"k":"v"}`)
		c.config(`"name":"b","cpu":2`)
		c.config(`"name":"c","cpu":3`)
		for filter, want := range map[string]int{
			"name='a'": 1, `"a"=name`: 1, "cpu>1": 2, "2<=cpu": 2, "cpu!=2": 2, "name='a' or name='b' and cpu=1": 1, "(name='a' or name='b') and cpu=2": 1,
			"property['k']='v'": 1, "property['k']='w'": 0, "created>2000-01-01T00:00:00Z": 3, "cpu<1": 0,
		} {
			c.Want(c.Do("GET", "/machineConfigs?$filter="+escape(filter), ""), 200, fmt.Sprintf(`"count": %d`, want))
		}
	},
	"filters-and": func(c *cloud) {
		c.config(`"name":"a","cpu":1`)
		c.config(`"name":"a","cpu":2`)
		c.Want(c.Do("GET", "/machineConfigs?$filter=name='a'&$filter=cpu=2", ""), 200, `"count": 1`)
	},
	"first-last": func(c *cloud) {
		for _, n := range []string{"a", "b", "c", "d"} {
			c.config(`"name":"` + n + `"`)
		}
		for query, want := range map[string]string{"$first=2&$last=3": "bc", "$first=3": "cd", "$last=1": "a", "$first=4&$last=9": "d", "$first=9": "", "$first=99999999999999999999": "", "$first=9223372036854775807": "", "$last=99999999999999999999": "abcd", "$first=-1": "abcd", "$last=-1": "", "$last=-99999999999999999999": "",
			"$first=3&$last=2": "", "$filter=name!='a'&$first=2": "cd"} {
			r := c.Do("GET", "/machineConfigs?$orderby=name&"+query, "")
			c.Want(r, 200)
			got := ""
			for _, n := range []string{"a", "b", "c", "d"} {
				if strings.Contains(r.Text, `"name": "`+n+`"`) {
					got += n
				}
			}
			if got != want {
				c.Errorf("%s: %q, want %q", query, got, want)
			}
		}
	},
	"count": func(c *cloud) {
		for range 3 {
			c.config(`"name":"a"`)
		}
		c.Want(c.Do("GET", "/machineConfigs?$first=2&$last=2", ""), 200, `"count": 3`)
		c.Want(c.Do("GET", "/machineConfigs?$filter=name='a'&$last=1", ""), 200, `"count": 3`)
	},
	"select": func(c *cloud) {
		id := c.config(`"name":"a","cpu":1,"memory":2`)
		r := c.Do("GET", id+"?$select=name,nonsense,name&$select=cpu", "")
		c.Want(r, 200, `"name"`, `"cpu"`)
		if strings.Contains(r.Text, "memory") || strings.Contains(r.Text, `"id"`) || strings.Contains(r.Text, "operations") {
			c.Errorf("more than was selected: %s", r.Text)
		}
		c.Want(c.Do("GET", id+"?$select=*", ""), 200, `"memory"`, `"operations"`)
	},
	"select-collection": func(c *cloud) {
		c.config(`"name":"a","cpu":1`)
		r := c.Do("GET", "/machineConfigs?$select=count,operations", "")
		c.Want(r, 200, `"count": 1`, `"operations"`)
		if strings.Contains(r.Text, `"name"`) {
			c.Errorf("entries: %s", r.Text)
		}
		r = c.Do("GET", "/machineConfigs?$select=name", "")
		c.Want(r, 200, `"name": "a"`)
		if strings.Contains(r.Text, `"cpu"`) || strings.Contains(r.Text, `"id"`) {
			c.Errorf("more of the entries than their names: %s", r.Text)
		}
	},
	"expand": func(c *cloud) {
		machine := c.machine()
		c.Want(c.Do("GET", machine+"?$expand=disks,nonsense,name,disks", ""), 200, `"capacity": 7`, `/disks"`)
		c.Want(c.Do("GET", machine+"?$expand", ""), 200, `"capacity": 7`)
		c.Want(c.Do("GET", "/machines?$expand=disks", ""), 200, `"capacity": 7`)
		r := c.Do("GET", machine+"?$expand=*", "", "Accept", "application/xml")
		c.Want(r, 200, "<capacity>7</capacity>")
		if strings.Contains(r.Text, "<Collection") {
			c.Errorf("the wrapper element of an expanded reference: %s", r.Text)
		}
	},
	"format": func(c *cloud) {
		c.Want(c.Do("GET", "/machines?$format=XmL&$format=json", "", "Accept", "application/json"), 200, "<Collection")
	},
	"orderby": func(c *cloud) {
		for _, n := range []string{"b", "a", "c"} {
			c.config(`"name":"` + n + `","cpu":1`)
		}
		for query, want := range map[string]string{"name": "abc", "name:asc": "abc", "name:desc": "cba", "cpu:desc,name:desc": "cba"} {
			r := c.Do("GET", "/machineConfigs?$orderby="+query, "")
			at := func(n byte) int { return strings.Index(r.Text, `"name": "`+string(n)+`"`) }
			if !slices.IsSorted([]int{at(want[0]), at(want[1]), at(want[2])}) {
				c.Errorf("%s: want %s in %s", query, want, r.Text)
			}
		}
	},
	"job-header": func(c *cloud) {
		id := c.config(`"name":"a"`)
		for _, r := range []wire.Reply{c.Do("PUT", id+"?$select=name", body("MachineConfiguration", `"name":"b"`)), c.Do("DELETE", id, "")} {
			job := r.Header.Get("CIMI-Job-URI")
			if !strings.HasPrefix(job, c.URL) {
				c.Fatalf("%s: CIMI-Job-URI %q", r.Request.Method, job)
			}
			c.Want(c.Do("GET", job, ""), 200, `"state": "SUCCESS"`, `"progress": 100`)
		}
	},
	"if-match": func(c *cloud) {
		id := c.config(`"name":"a"`)
		tag := c.Do("GET", id, "").Header.Get("ETag")
		if tag == "" {
			c.Fatal("no ETag")
		}
		body := body("MachineConfiguration", `"name":"b"`)
		c.Want(c.Do("PUT", id, body, "If-Match", tag), 200)
		c.Want(c.Do("PUT", id, body, "If-Match", tag), 412, `"state": "FAILED"`)
		c.Want(c.Do("DELETE", id, "", "If-Match", tag), 412)
	},
	"if-match-everywhere": func(c *cloud) {
		id := c.machine()
		tag := c.Do("GET", id, "").Header.Get("ETag")
		c.Want(c.Do("GET", id, "", "If-Match", tag), 200)
		c.Want(c.Do("GET", id, "", "If-Match", `"old"`), 412)
		for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			c.Want(c.Do("GET", id, "", "If-None-Match", known), 304)
		}
		c.Want(c.Do("GET", id, "", "If-None-Match", `"other"`), 200)
		start := body("Action", `"action":"`+ns+`action/start"`)
		c.Want(c.Do("POST", id, start, "If-Match", `"old"`), 412)
		if s := c.get(id).s("state"); s != "STOPPED" {
			c.Errorf("it is %s", s)
		}
		c.done(c.Do("POST", id, start, "If-Match", tag))
		all := c.Do("GET", "/machineConfigs", "").Header.Get("ETag")
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", ""), "If-Match", all), 201)
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", ""), "If-Match", all), 412)
	},
	"entry-point": func(c *cloud) {
		was := c.get("/cloudEntryPoint")
		edit := was.operation("edit")
		c.done(c.Do("PUT", edit+"?$select=description,properties", body("CloudEntryPoint", `"description":"ours","properties":{"k":"v"}`)))
		now := c.get("/cloudEntryPoint")
		if now.s("description") != "ours" || now.s("properties", "k") != "v" || now.s("baseURI") != was.s("baseURI") || now.href("machines") != was.href("machines") {
			c.Errorf("the entry point is %v", now)
		}
		c.Want(c.Do("PUT", edit+"?$select=baseURI", body("CloudEntryPoint", `"baseURI":"http://elsewhere.example/"`)), 200)
		if got := c.get("/cloudEntryPoint").s("baseURI"); got != was.s("baseURI") {
			c.Errorf("baseURI is %s", got)
		}
	},
	"operations": func(c *cloud) {
		r := c.Do("GET", c.machine(), "", "Accept", "application/xml")
		c.Want(r, 200, "<operations>", `<operation rel="edit" href="`+c.URL, `<operation rel="`+ns+`action/start"`)
	},
	"overrides": func(c *cloud) {
		r := c.Do("POST", "/machineTemplates", body("MachineTemplate", `"initialState":"STARTED","machineConfig":{"cpu":1,"memory":1024}`))
		c.Want(r, 201)
		template := r.Header.Get("Location")
		create := func(over string) wire.Reply {
			return c.Do("POST", "/machines", body("MachineCreate", `"name":"m","properties":{"k":"v"},"machineTemplate":{"href":"`+template+`"`+over+`}`))
		}
		c.Want(create(`,"initialState":"STOPPED"`), 201, `"state": "STOPPED"`, `"k": "v"`)
		c.Want(create(""), 201, `"state": "STARTED"`)
		c.Want(create(`,"initialState":null`), 201, `"state": "STOPPED"`)
		c.Want(c.Do("GET", template, ""), 200, `"initialState": "STARTED"`)
		c.Want(c.Do("GET", "/machineTemplates", ""), 200, `"count": 1`)
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"machineConfig":{"cpu":1}}`)), 201)
		c.Want(c.Do("GET", "/machineTemplates", ""), 200, `"count": 1`)
	},
	"empty-template": func(c *cloud) {
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{}`)), 201, `"cpu": 1`)
		c.Want(c.Do("POST", "/machines", `<MachineCreate xmlns="http://schemas.dmtf.org/cimi/2"><machineTemplate/></MachineCreate>`, "Content-Type", "application/xml"), 201, "<cpu>1</cpu>")
		c.Want(c.Do("POST", "/machines", body("MachineCreate", "")), 400, "machineTemplate")
	},
	"loose-syntax": func(c *cloud) {
		// Bodies of real clients: without a namespace, with a small first letter, with space around values.
		for _, text := range []string{`<MachineConfiguration><cpu> 2 </cpu></MachineConfiguration>`, `<machineConfiguration><cpu>2</cpu></machineConfiguration>`,
			"\ufeff<?xml version=\"1.0\"?>\n<MachineConfiguration xmlns=\"http://schemas.dmtf.org/cimi/2\">\n<cpu>\n2\n</cpu></MachineConfiguration>"} {
			c.Want(c.Do("POST", "/machineConfigs", text, "Content-Type", "application/xml; charset=utf-8"), 201, "<cpu>2</cpu>")
		}
		c.Want(c.Do("POST", "/machineConfigs", `{"cpu":" 2 "}`), 201, `"cpu": 2`)
	},
	"created": func(c *cloud) {
		r := c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"name":"a"`))
		c.Want(r, 201)
		if r.Header.Get("Location") == "" || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != int64(len(r.Text)) {
			c.Errorf("headers %v", r.Header)
		}
	},
	"read-only-ignored": func(c *cloud) {
		id := c.config(`"name":"a"`)
		created := c.Field(c.Do("GET", id, ""), "created")
		c.Want(c.Do("PUT", id, body("MachineConfiguration", `"id":"other","created":"1999-01-01T00:00:00Z","name":"b"`)), 200)
		r := c.Do("GET", id, "")
		if c.Field(r, "created") != created || c.Field(r, "id") != id || c.Field(r, "name") != "b" {
			c.Errorf("after a PUT with other read-only attributes: %s", r.Text)
		}
		machine := c.machine()
		c.Want(c.Do("PUT", machine+"?$select=state", body("Machine", `"state":"STARTED"`)), 200)
		c.Want(c.Do("GET", machine, ""), 200, `"state": "STOPPED"`)
	},
	"partial-update": func(c *cloud) {
		id := c.config(`"name":"a","description":"d","cpu":1`)
		c.Want(c.Do("PUT", id+"?$select=name,description", body("MachineConfiguration", `"name":"b"`)), 200)
		r := c.Do("GET", id, "")
		c.Want(r, 200, `"name": "b"`, `"cpu": 1`)
		if strings.Contains(r.Text, "description") {
			c.Errorf("the description was listed and not given, and stays: %s", r.Text)
		}
		c.Want(c.Do("PUT", id+"?$select=name", body("MachineConfiguration", `"name":"c","cpu":2`)), 400, "cpu")
	},
	"error-job": func(c *cloud) {
		c.Want(c.Do("GET", "/machines/none", ""), 404, `"resourceURI": "`+ns+`Job"`, `"id": ""`, `"state": "FAILED"`, `"statusMessage"`)
		c.Want(c.Do("POST", "/machines", "{\"name\": }", "Accept", "application/xml", "Content-Type", "application/json"), 400, "<Job ", "<state>FAILED</state>", "at byte 10")
		c.Want(c.Do("POST", "/machines", "<MachineCreate>\n<name></MachineCreate>", "Content-Type", "application/xml"), 400, "line 2")
	},
	"properties-stored": func(c *cloud) {
		id := c.config(`"name":"a","properties":{"my key":" my value "}`)
		r := c.Do("GET", id, "")
		c.Want(r, 200, `"my key": " my value "`)
		if properties, _ := c.parse(r)["properties"].(map[string]any); len(properties) != 1 {
			c.Errorf("properties were added: %v", properties)
		}
	},
	"case-sensitive": func(c *cloud) {
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"CPU":1`)), 400, "CPU")
	},
	"unknown-rejected": func(c *cloud) {
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"colour":"red"`)), 400, "colour")
		c.Want(c.Do("POST", "/machineConfigs", `<MachineConfiguration xmlns="http://schemas.dmtf.org/cimi/2"><colour>red</colour></MachineConfiguration>`, "Content-Type", "application/xml"), 400, "colour")
	},
	"data-types": func(c *cloud) {
		r := c.Do("POST", "/volumeImages", body("VolumeImage", `"bootable":"true","imageLocation":"http://h/i"`))
		c.Want(r, 201, `"bootable": true`, `"created": "2`)
		c.Want(c.Do("GET", r.Header.Get("Location"), "", "Accept", "application/xml"), 200, "<bootable>true</bootable>")
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"cpu":"many"`)), 400, "cpu")
	},
	"arrays": func(c *cloud) {
		id := c.config(`"disks":[{"capacity":1},{"capacity":2}]`)
		c.Want(c.Do("GET", id, "", "Accept", "application/xml"), 200, "<disks>", "<disk>", "<capacity>2</capacity>")
	},
	"relative-ids": func(c *cloud) {
		c.Want(c.Do("GET", "/cloudEntryPoint", ""), 200, `"baseURI": "`+c.URL+`/"`)
		template := c.Do("POST", "/machineTemplates", body("MachineTemplate", `"machineConfig":{"cpu":1}`)).Header.Get("Location")
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"href":"`+strings.TrimPrefix(template, c.URL+"/")+`"}`)), 201)
	},
	"empty-attributes": func(c *cloud) {
		r := c.Do("GET", c.config(`"name":"a","description":"","disks":[]`), "")
		if strings.Contains(r.Text, "disks") || strings.Contains(r.Text, "description") {
			c.Errorf("empty attributes: %s", r.Text)
		}
	},
	"body-limit": func(c *cloud) {
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"name":"`+strings.Repeat("x", 5<<20)+`"`)), 413, `"state": "FAILED"`)
	},
}
