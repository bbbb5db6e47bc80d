package conformance

import (
	"encoding/base64"
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// machines are the tests of 5.14, and of what 5.8 says of states.
var machines = map[string]func(c *cloud){
	"power": func(c *cloud) {
		m := c.machine()
		for _, x := range []struct{ action, during, after string }{
			{"start", "STARTING", "STARTED"}, {"pause", "PAUSING", "PAUSED"}, {"start", "STARTING", "STARTED"},
			{"suspend", "SUSPENDING", "SUSPENDED"}, {"start", "STARTING", "STARTED"}, {"stop", "STOPPING", "STOPPED"},
		} {
			release := c.host.hold(x.action)
			r := c.act(m, x.action, "")
			c.state(m, x.during)
			if r.StatusCode != 202 {
				c.Errorf("%s that goes on is answered %d", x.action, r.StatusCode)
			}
			release()
			c.done(r)
			c.state(m, x.after)
		}
	},
	"restart": func(c *cloud) {
		m := c.machine()
		c.done(c.act(m, "restart", "")) // from STOPPED it is a start
		c.state(m, "STARTED")
		stop, start := c.host.hold("stop"), c.host.hold("start")
		r := c.act(m, "restart", `"force":true`)
		c.state(m, "STOPPING")
		stop()
		c.state(m, "STARTING")
		start()
		c.done(r)
		c.state(m, "STARTED")
	},
	"stop-again": func(c *cloud) {
		m := c.machine()
		c.done(c.act(m, "start", ""))
		release := c.host.hold("stop")
		defer release()
		first := c.act(m, "stop", `"force":false`)
		c.state(m, "STOPPING")
		again := c.act(m, "stop", `"force":true`)
		release()
		c.done(first)
		c.job(again)
		c.state(m, "STOPPED")
	},
	"states-stay": func(c *cloud) {
		// Only an operation or an error changes a state: no update does.
		m := c.machine()
		c.done(c.Do("PUT", m+"?$select=state,name", body("Machine", `"state":"STARTED","name":"x"`)))
		if s := c.get(m).s("state"); s != "STOPPED" {
			c.Errorf("an update made it %s", s)
		}
		// And an action that its state does not allow is refused and changes nothing.
		r := c.Do("POST", m, body("Action", `"action":"`+ns+`action/pause"`))
		if r.StatusCode != 409 || c.get(m).s("state") != "STOPPED" {
			c.Errorf("pause of a stopped Machine: %d %s", r.StatusCode, r.Text)
		}
	},
	"operations-follow-state": func(c *cloud) {
		m := c.machine()
		offered := func() string {
			out := ""
			o := c.get(m)
			for _, rel := range []string{"start", "stop", "restart", "pause", "suspend", "capture", "snapshot", "restore", "connectvolume", "delete", "edit"} {
				if o.operation(rel) != "" {
					out += rel + " "
				}
			}
			return out
		}
		if got := offered(); got != "start restart capture snapshot restore connectvolume delete edit " {
			c.Errorf("stopped it offers %s", got)
		}
		c.done(c.act(m, "start", ""))
		if got := offered(); got != "stop restart pause suspend edit " {
			c.Errorf("started it offers %s", got)
		}
	},
	"failed-start": func(c *cloud) {
		m := c.machine()
		c.host.breakDown(m[strings.LastIndexByte(m, '/')+1:])
		j := c.job(c.act(m, "start", ""))
		if j.s("state") != "FAILED" || j.s("statusMessage") == "" || j.s("progress") != "100" {
			c.Errorf("the Job is %v", j)
		}
		c.state(m, "STOPPED")
	},
	"initial-state": func(c *cloud) {
		m := c.machine(`"initialState":"SUSPENDED"`)
		if s := c.get(m).s("state"); s != "SUSPENDED" {
			c.Errorf("initialState SUSPENDED made it %s", s)
		}
		if s := c.get(c.machine()).s("state"); s != "STOPPED" {
			c.Errorf("without initialState it is %s, which is not the DefaultInitialState", s)
		}
		n := len(c.ids("/machines"))
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"initialState":"DANCING","machineConfig":{"cpu":1}}`)), 400, "initialState")
		// A state that cannot be reached: the creation fails and leaves nothing.
		release := c.host.hold("start")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"initialState":"STARTED","machineConfig":{"cpu":1}}`))
		})
		for len(c.ids("/machines")) == n {
		}
		c.host.breakDown("*")
		release()
		r := wait()
		if j := c.job(r); j.s("state") != "FAILED" {
			c.Errorf("a Machine that does not start was created: %v", j)
		}
		if len(c.ids("/machines")) != n {
			c.Error("a Machine is left of a creation that failed")
		}
	},
	"creating-deleting": func(c *cloud) {
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/machines", body("MachineCreate", `"name":"slow","machineTemplate":{"machineConfig":{"cpu":1}}`))
		})
		var id string
		for id == "" {
			for _, o := range c.items("/machines") {
				if id = o.s("id"); o.s("state") != "CREATING" || o.operation("start") != "" || o.operation("delete") != "" {
					c.Errorf("while it is created it shows %v", o)
				}
			}
		}
		release()
		c.done(wait())
		c.state(id, "STOPPED")
		release = c.host.hold("delete")
		wait = c.meanwhile(func() wire.Reply { return c.Do("DELETE", id, "") })
		c.state(id, "DELETING")
		if o := c.get(id); o.operation("delete") != "" || o.operation("start") != "" {
			c.Errorf("while it is deleted it offers %v", o["operations"])
		}
		release()
		c.done(wait())
		c.Want(c.Do("GET", id, ""), 404)
	},
	"credential-in-machine": func(c *cloud) {
		// Invalid credentials fail the creation.
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"credential":{"href":"credentials/none"},"machineConfig":{"cpu":1}}`)), 400, "credential")
		credential := c.add("/credentials", "CredentialCreate", `"credentialTemplate":{"userName":"root","password":"x"}`)
		m := c.machine(`"credential":{"href":"` + credential + `"}`)
		if len(c.items(c.get(m).href("disks"))) != 2 {
			c.Error("the credential is not in the new Machine: no disk carries it")
		}
	},
	"user-data": func(c *cloud) {
		data := base64.StdEncoding.EncodeToString([]byte("#cloud-config\nhostname: x\n"))
		m := c.machine(`"userData":"` + data + `"`)
		disks := c.ids(c.get(m).href("disks"))
		if len(disks) != 2 {
			c.Fatalf("%d disks: user data is injected by a disk of its own", len(disks))
		}
		c.done(c.act(m, "restart", ""))
		c.done(c.act(m, "stop", `"force":true`))
		if now := c.ids(c.get(m).href("disks")); len(now) != 2 || now[1] != disks[1] {
			c.Error("after a restart the user data is gone")
		}
		c.Want(c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"userData":"not base64!","machineConfig":{"cpu":1}}`)), 400, "userData")
		found := false
		for _, x := range c.get("/resourceMetadata/Machine").list("capabilities") {
			if x.s("name") == "UserData" {
				found = x.s("value") == "disk"
			}
		}
		if !found {
			c.Error("the capability UserData does not say disk")
		}
	},
	"machine-disks": func(c *cloud) {
		m := c.machine()
		disks := c.get(m).href("disks")
		d := c.add(disks, "Disk", `"capacity":11,"initialLocation":"/dev/sdz"`)
		if o := c.get(d); o.s("capacity") != "11" || o.s("initialLocation") != "/dev/sdz" || o.href("parent") != disks {
			c.Errorf("the disk is %v", o)
		}
		c.delete(m)
		c.Want(c.Do("GET", d, ""), 404)
	},
	"machine-volumes": func(c *cloud) {
		m, v := c.machine(), c.volume()
		volumes := c.get(m).href("volumes")
		c.done(c.Do("POST", c.get(volumes).operation("insert"), body("Action", `"action":"`+ns+`action/insert","initialLocation":"/dev/vdb","volume":{"href":"`+v+`"}`)))
		r := c.Do("GET", volumes, "")
		c.Want(r, 200, `"resourceURI": "`+ns+`locatedVolumeCollection"`, `"initialLocation": "/dev/vdb"`)
		c.Want(c.Do("GET", volumes, "", "Accept", "application/xml"), 200, "<locatedVolume>", "<initialLocation>/dev/vdb</initialLocation>")
		if !c.has(volumes, v) {
			c.Fatalf("the Volume is not there: %s", r.Text)
		}
		c.done(c.Do("POST", c.get(volumes).operation("remove"), body("Action", `"action":"`+ns+`action/remove","volume":{"href":"`+v+`"}`)))
		if c.has(volumes, v) {
			c.Error("the Volume is still there")
		}
		c.get(v) // it exists outside
		c.done(c.act(m, "connectvolume", `"volume":{"href":"`+v+`"}`))
		if !c.has(volumes, v) {
			c.Error("connectvolume has not connected it")
		}
		c.delete(m)
		c.get(v) // deleting the Machine does not delete it
		m = c.machine(`"volumes":[{"volume":{"href":"` + v + `"},"initialLocation":"/dev/vdc"}]`)
		c.delete(v)
		if c.has(c.get(m).href("volumes"), v) {
			c.Error("a deleted Volume is still an entry")
		}
	},
	"machine-template-volumes": func(c *cloud) {
		m := c.machine(`"volumeTemplates":[{"initialLocation":"/dev/vdb","volumeTemplate":{"volumeConfig":{"capacity":21}}}]`)
		v := c.items(c.get(m).href("volumes"))
		if len(v) != 1 || v[0].s("capacity") != "21" || v[0].s("initialLocation") != "/dev/vdb" {
			c.Errorf("the Volumes are %v", v)
		}
	},
	"capture": func(c *cloud) {
		m := c.machine()
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/machineImages", body("MachineImage", `"name":"i","type":"IMAGE","imageLocation":"`+m+`"`))
		})
		c.state(m, "CAPTURING")
		release()
		r := c.done(wait())
		image := c.get(r.Header.Get("Location"))
		if image.s("state") != "AVAILABLE" || image.s("type") != "IMAGE" || strings.Contains(image.s("imageLocation"), "/machines/") || image.s("imageLocation") == "" {
			c.Errorf("the image is %v", image)
		}
		c.state(m, "STOPPED")
		// It can be used for new Machines, and its location be read.
		copied := c.machine(`"machineImage":{"href":"` + image.s("id") + `"}`)
		if len(c.ids(c.get(copied).href("disks"))) != 1 {
			c.Error("the copy has not the image's disk")
		}
		c.Want(c.Do("GET", image.s("imageLocation"), "", "Accept", "*/*"), 200)
		if r := c.act(m, "capture", `"name":"by the action"`); c.get(c.done(r).Header.Get("Location")).s("type") != "IMAGE" {
			c.Error("capture makes no IMAGE")
		}
	},
	"snapshots": func(c *cloud) {
		m := c.machine()
		snapshots := c.get(m).href("snapshots")
		one := c.done(c.act(m, "snapshot", "")).Header.Get("Location")
		two := c.add("/machineImages", "MachineImage", `"type":"SNAPSHOT","imageLocation":"`+m+`"`)
		if !c.has(snapshots, one) || !c.has(snapshots, two) {
			c.Errorf("the snapshots are %v", c.ids(snapshots))
		}
		if i := c.get(two); i.s("type") != "SNAPSHOT" || i.href("relatedImage") != one || strings.Contains(i.s("imageLocation"), "/machines/") {
			c.Errorf("the second snapshot is %v", i)
		}
		if got := c.get(m).href("latestSnapshot"); got != two {
			c.Errorf("latestSnapshot is %s, want %s", got, two)
		}
		three := c.done(c.act(m, "snapshot", "")).Header.Get("Location")
		c.delete(two)
		if got := c.get(three).href("relatedImage"); got != one {
			c.Errorf("relatedImage of a deleted image was not taken over: %q", got)
		}
		if c.has(snapshots, two) {
			c.Error("a deleted snapshot is still an entry")
		}
		c.delete(m)
		c.get(three) // usage: it outlives the Machine
	},
	"partial-snapshots": func(c *cloud) {
		base := c.add("/machineImages", "MachineImage", `"type":"IMAGE","imageLocation":"http://images.example/a"`)
		part := c.add("/machineImages", "MachineImage", `"type":"PARTIAL_SNAPSHOT","imageLocation":"http://images.example/b","relatedImage":{"href":"`+base+`"}`)
		deeper := c.add("/machineImages", "MachineImage", `"type":"PARTIAL_SNAPSHOT","imageLocation":"http://images.example/c","relatedImage":{"href":"`+part+`"}`)
		c.delete(base)
		c.Want(c.Do("GET", part, ""), 404)
		c.Want(c.Do("GET", deeper, ""), 404)
		// Of other types relatedImage is not for consumers to set.
		for _, typ := range []string{"IMAGE", "SNAPSHOT"} {
			c.Want(c.Do("POST", "/machineImages", body("MachineImage", `"type":"`+typ+`","imageLocation":"http://images.example/d","relatedImage":{"href":"machineImages/x"}`)), 400, "relatedImage")
		}
	},
	"restore": func(c *cloud) {
		m := c.machine()
		image := c.done(c.act(m, "snapshot", "")).Header.Get("Location")
		c.done(c.Do("PUT", m+"?$select=cpu", body("Machine", `"cpu":4`)))
		release := c.host.hold("alter")
		wait := c.meanwhile(func() wire.Reply { return c.act(m, "restore", `"image":{"href":"`+image+`"}`) })
		c.state(m, "RESTORING")
		release()
		c.done(wait())
		if o := c.get(m); o.s("cpu") != "1" || o.s("state") != "STOPPED" {
			c.Errorf("restored it is %v", o)
		}
		c.Want(c.act(m, "restore", ""), 400, "image")
	},
	"credential-parameters": func(c *cloud) {
		t := c.add("/credentialTemplates", "CredentialTemplate", `"parameters":{"realm":"r","domain":"d"}`)
		r := c.get(c.add("/credentials", "CredentialCreate", `"credentialTemplate":{"href":"`+t+`"}`))
		if r.s("parameters", "realm") != "r" || r.s("parameters", "domain") != "d" {
			c.Errorf("the parameters of the template are not duplicated: %v", r)
		}
	},
}
