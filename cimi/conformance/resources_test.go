package conformance

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// populate puts one of everything into a cloud and gives the ids, by type.
func (c *cloud) populate() map[string]string {
	c.Helper()
	made := map[string]string{}
	s := c.system(oneMachine, `{"name":"inner","type":"`+ns+`System","systemTemplate":{"componentDescriptors":[]}}`)
	made["System"], made["Machine"], made["Volume"] = s, c.machine(`"interfaceTemplates":[{}]`), c.volume()
	made["SystemService"] = c.add(c.get(s).href("services"), "SystemService", `"serviceType":"`+ns+`SystemService/disasterrecovery"`)
	made["MachineImage"] = c.done(c.act(made["Machine"], "snapshot", "")).Header.Get("Location")
	made["VolumeImage"] = c.done(c.act(made["Volume"], "snapshot", "")).Header.Get("Location")
	made["Network"] = c.network()
	made["ProtocolSegment"] = c.add(c.get(made["Network"]).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`}`)
	made["ProtocolEndpoint"] = c.add(c.get(made["ProtocolSegment"]).href("endpoints"), "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.1"}`)
	made["NetworkService"] = c.add(c.get(made["Network"]).href("services"), "NetworkServiceCreate", `"networkServiceTemplate":{"type":"DHCP"}`)
	made["NetworkInterface"] = c.ids("/interfaces")[0]
	made["Disk"] = c.ids(c.get(made["Machine"]).href("disks"))[0]
	made["Credential"] = c.add("/credentials", "CredentialCreate", `"credentialTemplate":{"userName":"u"}`)
	made["Meter"] = c.add("/meters", "MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"},"targetResource":{"href":"`+made["Machine"]+`"}}`)
	made["EventLog"] = c.get(made["Machine"]).href("eventLog")
	made["Event"] = c.ids(c.get(made["EventLog"]).href("events"))[0]
	made["Job"] = c.ids("/jobs")[0]
	made["ResourceMetadata"] = c.add("/resourceMetadata", "ResourceMetadata", `"name":"Machine","typeURI":"`+ns+`Machine"`)
	made["MeterConfiguration"] = c.ids("/meterConfigs")[0]
	for collection, typeName := range map[string]string{"systemTemplates": "SystemTemplate", "machineTemplates": "MachineTemplate", "machineConfigs": "MachineConfiguration",
		"credentialTemplates": "CredentialTemplate", "volumeTemplates": "VolumeTemplate", "volumeConfigs": "VolumeConfiguration", "networkTemplates": "NetworkTemplate",
		"segmentTemplates": "ProtocolSegmentTemplate", "endpointTemplates": "ProtocolEndpointTemplate", "interfaceTemplates": "NetworkInterfaceTemplate",
		"networkServiceTemplates": "NetworkServiceTemplate", "meterTemplates": "MeterTemplate", "eventLogTemplates": "EventLogTemplate"} {
		made[typeName] = c.add("/"+collection, typeName, `"name":"t"`)
	}
	return made
}

// crawl reads everything that links lead to from the entry point, and gives it
// by its URI.
func (c *cloud) crawl() map[string]object {
	c.Helper()
	seen := map[string]object{}
	todo := []string{c.URL + "/cloudEntryPoint"}
	var links func(v any)
	links = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, operation := v["rel"]; operation {
				return
			}
			for k, x := range v {
				if s, ok := x.(string); ok && (k == "href" || k == "id") && strings.HasPrefix(s, c.URL) {
					todo = append(todo, s)
				}
				links(x)
			}
		case []any:
			for _, x := range v {
				links(x)
			}
		}
	}
	for len(todo) > 0 {
		uri := todo[0]
		todo = todo[1:]
		if _, ok := seen[uri]; ok {
			continue
		}
		r := c.Do("GET", uri, "", "Accept", "application/json")
		if r.StatusCode == 404 && strings.Contains(uri, "/jobs/") { // affected resources may be gone
			continue
		}
		c.Want(r, 200)
		seen[uri] = c.parse(r)
		links(map[string]any(seen[uri]))
	}
	return seen
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	uniform    = []string{"add", "edit", "delete", "insert", "remove"}
)

// resources are the tests of what 4.1, 4.2 and 5.1 to 5.10 say of every resource.
var resources = map[string]func(c *cloud){
	"everything": func(c *cloud) {
		made := c.populate()
		seen := c.crawl()
		for typeName, id := range made {
			if seen[id] == nil {
				c.Errorf("%s %s: no link leads there from the entry point", typeName, id)
			}
		}
		metadata := map[string]string{}
		for _, m := range c.items("/resourceMetadata") {
			metadata[m.s("id")] = m.s("typeURI")
		}
		for uri, o := range seen {
			if got := o.s("id"); got != uri {
				c.Errorf("%s says that its id is %s", uri, got)
			}
			typeURI := o.s("resourceURI")
			if !strings.HasPrefix(typeURI, ns) {
				c.Errorf("%s: resourceURI %q", uri, typeURI)
			}
			item := strings.HasSuffix(typeURI, "Collection")
			if _, ok := o["count"].(float64); ok != item {
				c.Errorf("%s: count %v", uri, o["count"])
			}
			if m := o.href("resourceMetadata"); m != "" && !item && typeURI != ns+"CloudEntryPoint" {
				if metadata[m] != typeURI {
					c.Errorf("%s is a %s, its metadata describes %s", uri, typeURI, metadata[m])
				}
			}
			if typeURI != ns+"CloudEntryPoint" && o.href("parent") == "" {
				c.Errorf("%s has no parent", uri)
			}
			for name, v := range o {
				if !identifier.MatchString(name) {
					c.Errorf("%s: attribute %q", uri, name)
				}
				empty := false
				switch v := v.(type) {
				case string:
					empty = v == ""
				case []any:
					empty = len(v) == 0
				case map[string]any:
					empty = len(v) == 0
				}
				if empty || v == nil {
					c.Errorf("%s: %s is empty and not left out", uri, name)
				}
			}
			rels := map[string]bool{}
			for _, op := range o.list("operations") {
				rel, href := op.s("rel"), op.s("href")
				if rels[rel] || href == "" || !strings.HasPrefix(href, c.URL) {
					c.Errorf("%s: operation %v", uri, op)
				}
				if rels[rel] = true; !slices.Contains(uniform, rel) && !strings.HasPrefix(rel, "http") {
					c.Errorf("%s: rel %q is no URI", uri, rel)
				}
			}
			if strings.Contains(uri, "?") || strings.Contains(uri, "$") {
				c.Errorf("%s: query parameters of the provider's own", uri)
			}
			// The other format says the same of itself.
			x := c.Do("GET", uri, "", "Accept", "application/xml")
			c.Want(x, 200, "<id>"+uri+"</id>")
			root := strings.TrimPrefix(typeURI, ns)
			if item {
				c.Want(x, 200, `<Collection resourceURI="`+typeURI+`" xmlns="`+strings.TrimSuffix(ns, "/")+`">`)
			} else if !strings.Contains(x.Text, "<"+root+` xmlns="`+strings.TrimSuffix(ns, "/")+`">`) {
				c.Errorf("%s: the root of the XML is no %s: %.200s", uri, root, x.Text)
			}
		}
		c.Logf("%d resources and collections", len(seen))
	},
	"every-verb": func(c *cloud) {
		// Each resource and collection takes or refuses each method by the book.
		c.populate()
		for uri, o := range c.crawl() {
			if strings.Contains(uri, "/resourceMetadata/") || strings.Contains(uri, "/jobs/") || strings.Contains(uri, "/events/") {
				continue // many of a kind
			}
			if r := c.Do("HEAD", uri, ""); r.StatusCode != 200 || r.Text != "" || r.Header.Get("Content-Type") != "application/json" {
				c.Errorf("HEAD %s: %d", uri, r.StatusCode)
			}
			for method, status := range map[string]int{"PATCH": 405, "OPTIONS": 405, "PUT": 400, "POST": 400} {
				r := c.Do(method, uri, "{", "Content-Type", "application/json")
				if r.StatusCode != status && r.StatusCode != 405 || !strings.Contains(r.Text, `"FAILED"`) {
					c.Errorf("%s %s: %d %s", method, uri, r.StatusCode, r.Text)
				}
				if r.StatusCode == 405 && !strings.Contains(r.Header.Get("Allow"), "GET") {
					c.Errorf("%s %s: 405 without the methods that are allowed (RFC 7231 6.5.5)", method, uri)
				}
			}
			if r := c.Do("GET", uri, "", "Accept", "image/png"); r.StatusCode != 406 {
				c.Errorf("GET %s as image/png: %d", uri, r.StatusCode)
			}
			if o["count"] != nil || uri == c.URL+"/cloudEntryPoint" {
				if r := c.Do("PUT", uri, body("MachineCollection", "")); o["count"] != nil && (r.StatusCode != 405 || !strings.Contains(r.Header.Get("Allow"), "GET")) {
					c.Errorf("PUT %s: %d, Allow %q", uri, r.StatusCode, r.Header.Get("Allow"))
				}
				if r := c.Do("DELETE", uri, ""); r.StatusCode != 405 || !strings.Contains(r.Header.Get("Allow"), "GET") {
					c.Errorf("DELETE %s: %d, Allow %q", uri, r.StatusCode, r.Header.Get("Allow"))
				}
			}
		}
	},
	"unchanged": func(c *cloud) {
		// What was read can be written back: nothing changes (4.2.1.3).
		for typeName, id := range c.populate() {
			for _, format := range []string{"application/json", "application/xml"} {
				was := c.Do("GET", id, "", "Accept", format)
				if c.get(id).operation("edit") == "" {
					continue
				}
				r := c.Do("PUT", id, was.Text, "Content-Type", format, "Accept", format)
				if r.StatusCode/100 != 2 {
					c.Errorf("%s in %s: %d %s", typeName, format, r.StatusCode, r.Text)
					continue
				}
				c.job(r)
				strip := regexp.MustCompile(`("updated": "[^"]*"|<updated>[^<]*</updated>)`)
				if now := c.Do("GET", id, "", "Accept", format); strip.ReplaceAllString(now.Text, "") != strip.ReplaceAllString(was.Text, "") {
					c.Errorf("%s in %s changed from\n%s\nto\n%s", typeName, format, was.Text, now.Text)
				}
			}
		}
	},
	"partial-of-every-type": func(c *cloud) {
		for typeName, id := range c.populate() {
			o := c.get(id)
			if o.operation("edit") == "" {
				continue
			}
			r := c.Do("PUT", o.operation("edit")+"?$select=description,properties", body(typeName, `"description":"d","properties":{"k":"v"}`))
			if r.StatusCode != 200 {
				c.Errorf("%s: %d %s", typeName, r.StatusCode, r.Text)
				continue
			}
			now := c.get(id)
			if now.s("description") != "d" || now.s("properties", "k") != "v" || now.s("name") != o.s("name") || now.s("state") != o.s("state") || now.s("created") != o.s("created") {
				c.Errorf("%s: became %v", typeName, now)
			}
			c.Want(c.Do("PUT", id+"?$select=description,properties", body(typeName, "")), 200)
			if now := c.get(id); now["description"] != nil || now["properties"] != nil {
				c.Errorf("%s: what $select names and the body lacks stays: %v", typeName, now)
			}
			c.Want(c.Do("PUT", id+"?$select=description", body(typeName, `"nonsense":1`)), 400, "nonsense")
		}
	},
	"partial-resets": func(c *cloud) {
		none := func(typeName string) string { return body(typeName, "") }
		made := map[string]string{"Machine": c.machine(), "Volume": c.volume(), "Network": c.network(), "System": c.system(oneMachine)}
		made["MachineImage"] = c.done(c.act(made["Machine"], "snapshot", "")).Header.Get("Location")
		made["VolumeImage"] = c.done(c.act(made["Volume"], "snapshot", "")).Header.Get("Location")
		for typeName, id := range made {
			c.done(c.Do("PUT", id+"?$select=name", body(typeName, `"name":"given"`)))
			r := c.done(c.Do("PUT", id+"?$select=name", none(typeName)))
			if name := c.get(id).s("name"); r.StatusCode != 200 || name == "given" || name == "" {
				c.Errorf("%s: name is %q after it was reset", typeName, name)
			}
		}
		m := made["Machine"]
		c.done(c.Do("PUT", m+"?$select=cpu,memory,cpuSpeed", body("Machine", `"cpu":3,"memory":4096,"cpuSpeed":2000`)))
		c.done(c.Do("PUT", m+"?$select=cpu,cpuSpeed", `<Machine xmlns="http://schemas.dmtf.org/cimi/2"/>`, "Content-Type", "application/xml"))
		if o := c.get(m); o["cpu"] != 1.0 || o["memory"] != 4096.0 || o["cpuSpeed"] != nil {
			c.Errorf("cpu and cpuSpeed were reset, memory was not named: cpu %v, memory %v, cpuSpeed %v", o["cpu"], o["memory"], o["cpuSpeed"])
		}
		c.done(c.Do("PUT", m+"?$select=memory", none("Machine")))
		if o := c.get(m); o["memory"] != 524288.0 {
			c.Errorf("memory was reset to %v", o["memory"])
		}
		// What cannot be without its value is refused and stays.
		for id, attribute := range map[string]string{made["Volume"]: "capacity", m: "parent"} {
			was := c.get(id)
			c.Want(c.Do("PUT", id+"?$select="+attribute, none(was.s("resourceURI")[len(ns):])), 400, attribute+": there is no value to reset it to")
			if now := c.get(id); now.s("updated") != was.s("updated") {
				c.Errorf("%s changed though its %s cannot be reset", id, attribute)
			}
		}
		// A whole update in 1.x names nothing.
		c.done(c.Do("PUT", m+"?$select=cpu", body("Machine", `"cpu":3`)))
		c.done(c.Do("PUT", strings.Replace(m, "/machines/", "/cimi/1/machines/", 1), `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","name":"x"}`))
		if o := c.get(m); o["cpu"] != 3.0 {
			c.Errorf("a whole update in 1.x made cpu %v", o["cpu"])
		}
	},
	"updated": func(c *cloud) {
		m := c.machine()
		was := c.get(m)
		c.done(c.act(m, "start", ""))
		c.done(c.act(m, "stop", ""))
		if now := c.get(m); now.s("updated") != was.s("updated") {
			c.Errorf("an operation changed updated from %s to %s", was.s("updated"), now.s("updated"))
		}
		c.done(c.Do("PUT", m+"?$select=name", body("Machine", `"name":"x"`)))
		if now := c.get(m); now.s("updated") == was.s("updated") || now.s("created") != was.s("created") {
			c.Errorf("an update leaves updated at %s, created %s", now.s("updated"), now.s("created"))
		}
	},
	"dates-of-their-own": func(c *cloud) {
		s := c.system(oneMachine, strings.Replace(oneMachine, `"vm"`, `"vm2"`, 1))
		machines := c.get(s).href("machines")
		first := c.ids(machines)
		later := c.add(machines, "MachineCreate", `"name":"later","machineTemplate":{"machineConfig":{"cpu":1,"memory":1024,"disks":[{"capacity":7}]},"interfaceTemplates":[{}]}`)
		date := func(id, name string) time.Time {
			at, err := time.Parse(time.RFC3339Nano, c.get(id).s(name))
			if err != nil {
				c.Fatalf("%s: %s: %v", id, name, err)
			}
			return at
		}
		added := []string{later, c.ids(c.get(later).href("disks"))[0], c.ids(c.get(later).href("interfaces"))[0]}
		for _, id := range added {
			if !date(id, "created").After(date(s, "created")) || !date(id, "updated").Equal(date(id, "created")) {
				c.Errorf("%s was made after its System, of %s: created %s, updated %s", id, date(s, "created"), date(id, "created"), date(id, "updated"))
			}
		}
		if !date(s, "updated").Equal(date(s, "created")) {
			c.Errorf("a Machine was added, and updated of the System is %s, created %s", date(s, "updated"), date(s, "created"))
		}
		for i, attributes := range []string{`"name":"x"`, `"cpu":2`, `"properties":{"k":"v"}`} {
			was := date(first[0], "updated")
			name := strings.Split(attributes, `"`)[1]
			c.done(c.Do("PUT", first[0]+"?$select="+name, body("Machine", attributes)))
			if now := date(first[0], "updated"); !now.After(was) {
				c.Errorf("change %d of a Machine leaves updated at %s", i, now)
			}
		}
		for _, id := range append(added, s, first[1]) {
			if !date(id, "updated").Equal(date(id, "created")) {
				c.Errorf("%s: its sibling or part was updated, and updated is %s, created %s", id, date(id, "updated"), date(id, "created"))
			}
		}
		// Another parent makes it no other resource.
		was := date(later, "created")
		c.done(c.Do("PUT", later+"?$select=parent", body("Machine", `"parent":{"href":"`+c.URL+`/machines"}`)))
		m := c.machine()
		made := date(m, "created")
		c.done(c.Do("PUT", m+"?$select=parent", body("Machine", `"parent":{"href":"`+machines+`"}`)))
		for id, was := range map[string]time.Time{later: was, m: made} {
			if now := date(id, "created"); !now.Equal(was) {
				c.Errorf("%s moved, and created went from %s to %s", id, was, now)
			}
		}
	},
	"references-emptied": func(c *cloud) {
		config := c.config(`"cpu":1`)
		t := c.add("/machineTemplates", "MachineTemplate", `"machineConfig":{"href":"`+config+`"}`)
		c.delete(config)
		if got := c.get(t)["machineConfig"]; got != nil {
			c.Errorf("a reference to what is gone: %v", got)
		}
	},
	"children-deleted": func(c *cloud) {
		m := c.machine(`"interfaceTemplates":[{}]`)
		o := c.get(m)
		var children []string
		for _, name := range []string{"disks", "interfaces"} {
			for _, x := range c.items(o.href(name)) {
				if children = append(children, x.s("id")); x.href("parent") != o.href(name) {
					c.Errorf("%s: parent %s", x.s("id"), x.href("parent"))
				}
			}
			if got := c.get(o.href(name)).href("parent"); got != m {
				c.Errorf("%s: parent %s", name, got)
			}
		}
		c.delete(m)
		for _, id := range append(children, o.href("disks"), o.href("interfaces")) {
			c.Want(c.Do("GET", id, ""), 404)
		}
	},
	"adopted": func(c *cloud) {
		// A component becomes a child by its parent attribute (5.13.1).
		s, n := c.system(), c.network()
		networks := c.get(s).href("networks")
		c.done(c.Do("PUT", n+"?$select=parent", body("Network", `"parent":{"href":"`+networks+`"}`)))
		if !c.has(networks, n) || c.get(n).href("parent") != networks {
			c.Errorf("the Network is %v", c.get(n))
		}
		c.delete(s)
		c.Want(c.Do("GET", n, ""), 404)
	},
	"template-arrays": func(c *cloud) {
		// An override of an array sets all of it (4.2.1.1).
		t := c.add("/machineTemplates", "MachineTemplate", `"machineConfig":{"cpu":2,"disks":[{"capacity":1},{"capacity":2}]},"properties":{"t":"1"}`)
		m := c.get(c.add("/machines", "MachineCreate", `"name":"given","description":"said","machineTemplate":{"href":"`+t+`","machineConfig":{"disks":[{"capacity":3}]}}`))
		if n := len(c.ids(m.href("disks"))); n != 1 || m.s("name") != "given" || m.s("description") != "said" {
			c.Errorf("%d disks: %v", n, m)
		}
		if n := len(c.ids(m.href("disks"))); n == 1 && c.items(m.href("disks"))[0].s("capacity") != "3" {
			c.Error("the override was not taken")
		}
		if got := c.get(t)["machineConfig"].(map[string]any)["cpu"]; got != 2.0 {
			c.Errorf("the template has changed: cpu %v", got)
		}
	},
	"map-keys": func(c *cloud) {
		r := c.Do("POST", "/machineConfigs", `<MachineConfiguration xmlns="http://schemas.dmtf.org/cimi/2"><properties><property key="a">1</property><property key="A">2</property></properties></MachineConfiguration>`, "Content-Type", "application/xml")
		c.Want(r, 201)
		if o := c.get(r.Header.Get("Location")); o.s("properties", "a") != "1" || o.s("properties", "A") != "2" {
			c.Errorf("keys that differ in case: %v", o)
		}
		c.Want(c.Do("POST", "/machineConfigs", `<MachineConfiguration xmlns="http://schemas.dmtf.org/cimi/2"><properties><property key="a">1</property><property key="a">2</property></properties></MachineConfiguration>`, "Content-Type", "application/xml"), 400, "twice")
		c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", `"properties":{"a":"1","a":"2"}`)), 400, "twice")
	},
	"structures": func(c *cloud) {
		m := c.machine()
		log := c.get(m).href("eventLog")
		// One structure, one way: the summary of an EventLog has its counts as attributes (T2).
		c.Want(c.Do("GET", log, "", "Accept", "application/xml"), 200, `<summary low="`)
		c.Want(c.Do("GET", "/eventLogs", "", "Accept", "application/xml"), 200, `<summary low="`)
	},
	"nested-jobs-inline": func(c *cloud) {
		// A Job that is made for an error alone has no id (4.2.2).
		r := c.Do("GET", "/machines/none", "")
		c.Want(r, 404, `"id": ""`)
		if j := c.parse(r); j["nestedJobs"] != nil {
			for _, n := range j.list("nestedJobs") {
				if n.s("state") == "" {
					c.Errorf("a nested Job is not inlined: %v", n)
				}
			}
		}
	},
	"deleted-entries": func(c *cloud) {
		// A resource leaves every collection it is an entry of (5.5.12).
		m := c.machine()
		one, two := c.system(`{"name":"x","type":"`+ns+`Machine","machine":{"href":"`+m+`"}}`), c.system(`{"name":"x","type":"`+ns+`Machine","machine":{"href":"`+m+`"}}`)
		for _, s := range []string{one, two} {
			if !c.has(c.get(s).href("machines"), m) {
				c.Fatalf("%s is no entry of %s", m, s)
			}
		}
		c.delete(m)
		for _, collection := range []string{"/machines", c.get(one).href("machines"), c.get(two).href("machines")} {
			if c.has(collection, m) {
				c.Errorf("a deleted Machine is an entry of %s", collection)
			}
		}
	},
	"units": func(c *cloud) {
		// Volumes are counted in kilobytes of 1000 bytes, in whole sectors.
		v := c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeConfig":{"capacity":1000}}`)
		image := c.get(c.done(c.act(v, "snapshot", "")).Header.Get("Location")).s("imageLocation")
		if n := len(c.Do("GET", image, "").Text); n != 1_000_448 {
			c.Errorf("1000 kB are %d bytes", n)
		}
		// Memory in kibibytes: 2 GiB in the descriptor.
		s := c.system(`{"name":"vm","type":"` + ns + `Machine","machineTemplate":{"machineConfig":{"cpu":1,"memory":2097152}}}`)
		descriptor := c.Do("GET", c.done(c.act(s, "export", "")).Header.Get("Location"), "").Text
		if !strings.Contains(descriptor, ">2048</rasd:VirtualQuantity>") || !strings.Contains(descriptor, "byte * 2^20") {
			c.Errorf("2097152 KiB are exported as %.3000s", descriptor)
		}
	},
	"limits": func(c *cloud) {
		c.Want(c.Do("GET", "/machines?$filter=name='"+strings.Repeat("x", 9000)+"'", ""), 400, "$filter")
		if r := c.Do("GET", "/machines?"+strings.Repeat("x", 70_000), ""); r.StatusCode != 431 && r.StatusCode != 414 && r.StatusCode != 200 {
			c.Errorf("a very long URI: %d", r.StatusCode)
		}
	},
}
