package conformance

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// systems are the tests of 5.13.
var systems = map[string]func(c *cloud){
	"system-components": func(c *cloud) {
		network, volume := c.network(), c.volume()
		s := c.system(oneMachine,
			`{"name":"data","type":"`+ns+`Volume","volumeTemplate":{"volumeConfig":{"capacity":5}}}`,
			`{"name":"lan","type":"`+ns+`Network","networkTemplate":{}}`,
			`{"name":"login","type":"`+ns+`Credential","credentialTemplate":{"userName":"u"}}`,
			`{"name":"inner","type":"`+ns+`System","systemTemplate":{"componentDescriptors":[`+oneMachine+`]}}`,
			`{"name":"shared","type":"`+ns+`Network","network":{"href":"`+network+`"}}`,
			`{"name":"old","type":"`+ns+`Volume","volume":{"href":"`+volume+`"}}`)
		o := c.get(s)
		for name, want := range map[string]int{"machines": 1, "volumes": 2, "networks": 2, "credentials": 1, "systems": 1} {
			items := c.items(o.href(name))
			if len(items) != want {
				c.Errorf("%s: %d, want %d", name, len(items), want)
			}
			for _, x := range items {
				// What the System made is its child, what it found is not.
				own := x.s("id") != network && x.s("id") != volume
				if got := x.href("parent"); (got == o.href(name)) != own {
					c.Errorf("%s: parent %s", x.s("id"), got)
				}
			}
			if got := c.get(o.href(name)).href("parent"); got != s {
				c.Errorf("%s: parent %s", name, got)
			}
		}
		var children []string
		for _, name := range []string{"machines", "systems", "credentials"} {
			children = append(children, c.ids(o.href(name))...)
		}
		c.delete(s)
		for _, id := range children {
			c.Want(c.Do("GET", id, ""), 404)
		}
		c.get(network)
		c.get(volume)
	},
	"system-volumes": func(c *cloud) {
		volume := c.volume()
		s := c.system(`{"name":"vm","type":"` + ns + `Machine","machineTemplate":{"machineConfig":{"cpu":1},"volumeTemplates":[{"volumeTemplate":{"volumeConfig":{"capacity":5}}}],"volumes":[{"volume":{"href":"` + volume + `"}}]}}`)
		o := c.get(s)
		if n := len(c.ids(o.href("volumes"))); n != 1 || c.has(o.href("volumes"), volume) {
			c.Errorf("%d Volumes: the one that was made and not the one that existed", n)
		}
		if n := len(c.ids(c.get(c.ids(o.href("machines"))[0]).href("volumes"))); n != 2 {
			c.Errorf("the Machine has %d Volumes, want 2", n)
		}
	},
	"system-states": func(c *cloud) {
		if s := c.get(c.system()).s("state"); s != "MIXED" {
			c.Errorf("a System without Machines is %s", s)
		}
		s := c.system(`{"name":"a","type":"` + ns + `Machine","quantity":2,"machineTemplate":{"machineConfig":{"cpu":1}}}`)
		ms := c.ids(c.get(s).href("machines"))
		c.state(s, "STOPPED")
		c.done(c.act(ms[0], "start", ""))
		c.state(s, "MIXED")
		c.done(c.act(s, "start", ""))
		c.state(s, "STARTED")
		c.done(c.act(s, "pause", ""))
		c.state(s, "PAUSED")
		c.done(c.act(s, "start", ""))
		c.done(c.act(s, "suspend", ""))
		c.state(s, "SUSPENDED")
		c.done(c.act(s, "start", ""))
		release := c.host.hold("stop")
		r := c.act(ms[0], "stop", "")
		c.state(ms[0], "STOPPING")
		c.state(s, "MIXED")
		release()
		c.done(r)
		c.done(c.act(s, "stop", `"force":true`))
		c.state(s, "STOPPED")
		c.done(c.act(s, "restart", ""))
		c.state(s, "STARTED")
	},
	"system-creating-deleting": func(c *cloud) {
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/systems", body("SystemCreate", `"systemTemplate":{"componentDescriptors":[`+oneMachine+`]}`))
		})
		var s string
		for s == "" {
			for _, o := range c.items("/systems") {
				if s = o.s("id"); o.s("state") != "CREATING" {
					c.Errorf("while it is created it is %s", o.s("state"))
				}
			}
		}
		release()
		c.done(wait())
		release = c.host.hold("delete")
		wait = c.meanwhile(func() wire.Reply { return c.Do("DELETE", s, "") })
		c.state(s, "DELETING")
		release()
		c.done(wait())
	},
	"system-recursive": func(c *cloud) {
		s := c.system(oneMachine, `{"name":"inner","type":"`+ns+`System","systemTemplate":{"componentDescriptors":[`+oneMachine+`]}}`)
		c.done(c.act(s, "start", ""))
		inner := c.ids(c.get(s).href("systems"))[0]
		c.state(inner, "STARTED")
		c.state(c.ids(c.get(inner).href("machines"))[0], "STARTED")
	},
	"export": func(c *cloud) {
		s := c.system(oneMachine)
		r := c.done(c.act(s, "export", ""))
		location := r.Header.Get("Location")
		got := c.Do("GET", location, "", "Accept", "application/ovf")
		c.Want(got, 200)
		if got.Header.Get("Content-Type") != "application/ovf" || !strings.Contains(got.Text[:512], ".ovf") {
			c.Errorf("the package is of type %s and begins with %.100q", got.Header.Get("Content-Type"), got.Text)
		}
		c.Want(c.act(s, "export", `"format":"application/zip"`), 400, "format")
		var put []byte
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				put, _ = io.ReadAll(r.Body)
			}
		}))
		defer srv.Close()
		c.done(c.act(s, "export", `"format":"application/ovf","destination":"`+srv.URL+`/x.ova"`))
		if string(put) != got.Text {
			c.Errorf("%d bytes were put at the destination, want %d", len(put), len(got.Text))
		}
	},
	"export-shared": func(c *cloud) {
		// A System is exported with what it uses, a disk of another's too.
		v := c.add("/volumes", "VolumeCreate", `"name":"shared","volumeTemplate":{"volumeConfig":{"capacity":100,"type":"`+ns+`mapped"}}`)
		using := `{"name":"vm","type":"` + ns + `Machine","machineTemplate":{"machineConfig":{"cpu":1},"volumes":[{"volume":{"href":"` + v + `"}}]}}`
		for _, s := range []string{c.system(using), c.system(using)} {
			location := c.done(c.act(s, "export", "")).Header.Get("Location")
			again := c.done(c.Do("POST", "/systems", body("Action", `"action":"`+ns+`action/import","source":"`+location+`"`))).Header.Get("Location")
			m := c.ids(c.get(again).href("machines"))
			if len(m) != 1 {
				c.Fatalf("%d Machines", len(m))
			}
			if n := len(c.ids(c.get(m[0]).href("volumes"))); n != 1 {
				c.Errorf("the shared Volume is not in the package: %d Volumes", n)
			}
		}
		if users := len(c.ids("/volumes")); users != 3 {
			c.Errorf("%d Volumes: the one that is shared, and a copy with each import", users)
		}
	},
	"moved": func(c *cloud) {
		// A Machine goes to another System with its disks, by its parent.
		one, two := c.system(`{"name":"vm","type":"`+ns+`Machine","machineTemplate":{"machineConfig":{"cpu":1,"disks":[{"capacity":7}]}}}`), c.system()
		from, to := c.get(one).href("machines"), c.get(two).href("machines")
		m := c.ids(from)[0]
		disk := c.ids(c.get(m).href("disks"))[0]
		c.done(c.Do("PUT", m+"?$select=parent", body("Machine", `"parent":{"href":"`+to+`"}`)))
		if c.has(from, m) || !c.has(to, m) || c.get(m).href("parent") != to || !c.has(c.get(m).href("disks"), disk) {
			c.Errorf("the Machine is %v", c.get(m))
		}
		c.delete(one)
		c.get(disk)
		c.done(c.act(two, "export", ""))
		c.delete(two)
		c.Want(c.Do("GET", m, ""), 404)
	},
	"import": func(c *cloud) {
		location := c.done(c.act(c.system(oneMachine), "export", "")).Header.Get("Location")
		r := c.done(c.Do("POST", c.get("/systems").operation("import"), body("Action", `"action":"`+ns+`action/import","source":"`+location+`"`)))
		s := r.Header.Get("Location")
		if n := len(c.ids(c.get(s).href("machines"))); n != 1 {
			c.Errorf("%d Machines were imported", n)
		}
		c.Want(c.Do("POST", "/systems", body("Action", `"action":"`+ns+`action/import"`)), 400, "source")
	},
	"import-template": func(c *cloud) {
		location := c.done(c.act(c.system(oneMachine), "export", "")).Header.Get("Location")
		t := c.done(c.Do("POST", c.get("/systemTemplates").operation("import"), body("Action", `"action":"`+ns+`action/import","source":"`+location+`"`))).Header.Get("Location")
		o := c.get(t)
		if len(o.list("componentDescriptors")) == 0 || o.s("importImage") == "" {
			c.Errorf("the template is %v", o)
		}
		if n := len(c.ids("/machineTemplates")); n != 1 {
			c.Errorf("%d MachineTemplates, want one for each machine of the package", n)
		}
		r := c.done(c.act(t, "export", ""))
		c.Want(c.Do("GET", r.Header.Get("Location"), "", "Accept", "application/ovf"), 200)
		s := c.add("/systems", "SystemCreate", `"systemTemplate":{"href":"`+t+`"}`)
		if n := len(c.ids(c.get(s).href("machines"))); n != 1 {
			c.Errorf("%d Machines of an imported template", n)
		}
	},
	"component-references": func(c *cloud) {
		s := c.system(`{"name":"vm","type":"`+ns+`Machine","machineTemplate":{"machineConfig":{"cpu":1},"credential":{"href":"#login"},"volumes":[{"volume":{"href":"#data"}}]}}`,
			`{"name":"data","type":"`+ns+`Volume","volumeTemplate":{"volumeConfig":{"capacity":5}}}`,
			`{"name":"login","type":"`+ns+`Credential","credentialTemplate":{"userName":"u","password":"p"}}`)
		o := c.get(s)
		m := c.get(c.ids(o.href("machines"))[0])
		if !c.has(m.href("volumes"), c.ids(o.href("volumes"))[0]) {
			c.Error("#data was not replaced by the URI of the Volume")
		}
		// Overrides of a template by reference can refer to components, too.
		t := c.add("/machineTemplates", "MachineTemplate", `"machineConfig":{"cpu":3}`)
		s = c.system(`{"name":"vm","type":"`+ns+`Machine","machineTemplate":{"href":"`+t+`","volumes":[{"volume":{"href":"#data"}}]}}`,
			`{"name":"data","type":"`+ns+`Volume","volumeTemplate":{"volumeConfig":{"capacity":5}}}`)
		m = c.get(c.ids(c.get(s).href("machines"))[0])
		if m.s("cpu") != "3" || len(c.ids(m.href("volumes"))) != 1 {
			c.Errorf("of a template with an override: %v", m)
		}
		c.Want(c.Do("POST", "/systems", body("SystemCreate", `"systemTemplate":{"componentDescriptors":[{"name":"vm","type":"`+ns+`Machine","machineTemplate":{"volumes":[{"volume":{"href":"#none"}}]}}]}`)), 400, "#none")
	},
	"quantity": func(c *cloud) {
		s := c.system(`{"name":"mymachine","description":"d","properties":{"k":"v"},"type":"` + ns + `Machine","quantity":3,"machineTemplate":{"name":"other","machineConfig":{"cpu":1}}}`)
		names := ""
		for _, m := range c.items(c.get(s).href("machines")) {
			names += m.s("name") + " "
			if m.s("description") != "d" || m.s("properties", "k") != "v" {
				c.Errorf("the Machine is %v", m)
			}
		}
		if names != "mymachine1 mymachine2 mymachine3 " {
			c.Errorf("names: %s", names)
		}
	},
	"generated-metadata": func(c *cloud) {
		m := c.add("/resourceMetadata", "ResourceMetadata", `"name":"System","typeURI":"`+ns+`System"`)
		s := c.add("/systems", "SystemCreate", `"systemTemplate":{"genResourceMetadata":{"href":"`+m+`"},"componentDescriptors":[]}`)
		if got := c.get(s).href("resourceMetadata"); got != m {
			c.Errorf("resourceMetadata %s, want %s", got, m)
		}
	},
	"high-reliability": func(c *cloud) {
		s := c.system(`{"name":"a","type":"` + ns + `Machine","quantity":2,"machineTemplate":{"machineConfig":{"cpu":1}}}`)
		ms := c.ids(c.get(s).href("machines"))
		c.Want(c.Do("POST", c.get(s).href("services"), body("SystemService", `"serviceType":"http://example.com/other"`)), 400, "serviceType")
		service := c.add(c.get(s).href("services"), "SystemService", `"serviceType":"`+ns+`SystemService/highreliability/active"`)
		entries := c.get(service).href("machines")
		backup := func(node string) string {
			for _, e := range c.items(entries) {
				if e.s("id") == node {
					return e.href("backupmachine")
				}
			}
			return ""
		}
		c.done(c.act(service, "addRM", `"node":{"href":"`+ms[0]+`"}`))
		made := backup(ms[0])
		if made == "" || len(c.ids(c.get(s).href("machines"))) != 3 {
			c.Fatalf("no backup was made: %v", c.items(entries))
		}
		c.done(c.act(service, "forceSync", `"node":{"href":"`+ms[0]+`"}`))
		c.done(c.act(service, "swapBackup", `"node":{"href":"`+ms[0]+`"}`))
		if backup(made) != ms[0] {
			c.Errorf("after the swap: %v", c.items(entries))
		}
		c.done(c.act(service, "swapBackup", `"node":{"href":"`+made+`"}`))
		c.done(c.act(service, "removeRM", `"node":{"href":"`+ms[0]+`"}`))
		c.Want(c.Do("GET", made, ""), 404) // the backup is discarded
		c.get(ms[0])
		c.done(c.act(service, "addRM", `"node":{"href":"`+ms[0]+`"},"backup":{"href":"`+ms[1]+`"}`))
		if backup(ms[0]) != ms[1] || len(c.ids(c.get(s).href("machines"))) != 2 {
			c.Errorf("a backup that was given: %v", c.items(entries))
		}
		c.delete(service)
		c.get(ms[0])
		c.get(ms[1])
	},
	"disaster-recovery": func(c *cloud) {
		s := c.system(oneMachine)
		m := c.ids(c.get(s).href("machines"))[0]
		service := c.add(c.get(s).href("services"), "SystemService", `"serviceType":"`+ns+`SystemService/disasterrecovery"`)
		c.done(c.act(service, "addRM", `"node":{"href":"`+m+`"}`))
		if !c.has(c.get(service).href("machines"), m) {
			c.Error("addRM has not added it")
		}
		c.done(c.act(service, "removeRM", `"node":{"href":"`+m+`"}`))
		if c.has(c.get(service).href("machines"), m) {
			c.Error("removeRM has not removed it")
		}
		c.get(m)
	},
	"service-descriptors": func(c *cloud) {
		s := c.add("/systems", "SystemCreate", `"systemTemplate":{"componentDescriptors":[{"name":"web","type":"`+ns+`Machine","machineTemplate":{"machineConfig":{"cpu":1}}}],
			"serviceDescriptors":[{"name":"ha","serviceType":"`+ns+`SystemService/highreliability/passive","parameters":{"machines":"#web","heartbeat":"500"}}]}`)
		services := c.items(c.get(s).href("services"))
		if len(services) != 1 || services[0].s("name") != "ha" || services[0].s("parameters", "heartbeat") != "500" {
			c.Fatalf("the services are %v", services)
		}
		if n := len(c.ids(services[0].href("machines"))); n != 1 {
			c.Errorf("the service manages %d Machines, want 1", n)
		}
	},
	"insert-remove": func(c *cloud) {
		s, n := c.system(), c.network()
		networks := c.get(s).href("networks")
		insert := body("Action", `"action":"`+ns+`action/insert","network":{"href":"`+n+`"}`)
		remove := strings.Replace(insert, "action/insert", "action/remove", 1)
		c.done(c.Do("POST", c.get(networks).operation("insert"), insert))
		if !c.has(networks, n) {
			c.Fatal("it was not inserted")
		}
		c.Want(c.Do("POST", networks, insert), 409)
		c.done(c.Do("POST", c.get(networks).operation("remove"), remove))
		if c.has(networks, n) {
			c.Error("it was not removed")
		}
		c.get(n)
		c.done(c.Do("POST", networks, insert))
		c.delete(n)
		if len(c.ids(networks)) != 0 {
			c.Error("a deleted Network is still an entry")
		}
		for _, rel := range []string{"insert", "remove"} { // as 5.5.12 spells them
			c.Want(c.Do("GET", networks, ""), 200, `"rel": "`+rel+`"`)
		}
	},
}
