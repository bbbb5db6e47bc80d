package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// monitoring are the tests of 5.17.
var monitoring = map[string]func(c *cloud){
	"job-of-add": func(c *cloud) {
		r := c.Do("POST", "/machines", body("MachineCreate", `"machineTemplate":{"machineConfig":{"cpu":1}}`))
		j := c.job(r)
		var affected []string
		for _, a := range j.list("affectedResources") {
			affected = append(affected, a.s("href"))
		}
		if j.href("targetResource") != c.URL+"/machines" || !slices.Contains(affected, c.URL+"/machines") || !slices.Contains(affected, r.Header.Get("Location")) {
			c.Errorf("the Job of an add: target %s, affected %v", j.href("targetResource"), affected)
		}
		if j.s("progress") != "100" || j.s("state") != "SUCCESS" || j.s("timeOfStatusChange") == "" || j.s("action") == "" {
			c.Errorf("the Job is %v", j)
		}
		if !c.has("/jobs", j.s("id")) {
			c.Error("the Job is not in the collection of Jobs")
		}
	},
	"job-of-delete": func(c *cloud) {
		m := c.machine()
		j := c.job(c.Do("DELETE", m, ""))
		for _, a := range j.list("affectedResources") {
			if a.s("href") == m {
				c.Error("a resource that is gone is listed as affected")
			}
		}
	},
	"job-of-failure": func(c *cloud) {
		m := c.machine()
		c.host.breakDown("*")
		r := c.act(m, "start", "")
		j := c.job(r)
		found := false
		for _, a := range j.list("affectedResources") {
			found = found || a.s("href") == m
		}
		if j.s("state") != "FAILED" || j.s("progress") != "100" || !found || j.s("statusMessage") == "" {
			c.Errorf("the Job is %v", j)
		}
	},
	"jobs-nested": func(c *cloud) {
		s := c.system(`{"name":"a","type":"` + ns + `Machine","quantity":3,"machineTemplate":{"machineConfig":{"cpu":1}}}`)
		ms := c.ids(c.get(s).href("machines"))
		c.host.breakDown(ms[1][strings.LastIndexByte(ms[1], '/')+1:])
		j := c.job(c.act(s, "start", ""))
		states := map[string]int{}
		for _, n := range j.list("nestedJobs") {
			o := c.get(n.s("href"))
			states[o.s("state")]++
			if o.href("parentJob") != j.s("id") || o.s("progress") != "100" {
				c.Errorf("nested Job %v", o)
			}
		}
		if j.s("state") != "FAILED" || states["SUCCESS"] != 2 || states["FAILED"] != 1 {
			c.Errorf("the topmost Job is %s, nested ones %v", j.s("state"), states)
		}
		if got := []string{c.get(ms[0]).s("state"), c.get(ms[1]).s("state"), c.get(ms[2]).s("state")}; !slices.Equal(got, []string{"STARTED", "STOPPED", "STARTED"}) {
			c.Errorf("the Machines are %v", got)
		}
	},
	"job-stop": func(c *cloud) {
		m := c.machine()
		release := c.host.hold("start")
		defer release()
		r := c.act(m, "start", "")
		job := r.Header.Get("CIMI-Job-URI")
		c.state(job, "RUNNING")
		c.act(job, "stop", "")
		c.state(job, "STOPPED")
		if p := c.get(job).s("progress"); p != "100" {
			c.Errorf("progress %s", p)
		}
		if c.get(job).operation("stop") != "" {
			c.Error("a Job that has ended offers stop")
		}
	},
	"job-delete": func(c *cloud) {
		m := c.machine()
		release := c.host.hold("start")
		defer release()
		job := c.act(m, "start", "").Header.Get("CIMI-Job-URI")
		c.state(job, "RUNNING")
		c.Want(c.Do("DELETE", job, ""), 200) // stopped first
		c.Want(c.Do("GET", job, ""), 404)
		c.state(m, "STOPPED")
	},
	"meter-of-target": func(c *cloud) {
		m := c.machine()
		meters := c.get(m).href("meters")
		// Through the entry point the template names the target.
		c.Want(c.Do("POST", "/meters", body("MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"}}`)), 400, "targetResource")
		one := c.add("/meters", "MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"},"targetResource":{"href":"`+m+`"}}`)
		if !c.has(meters, one) || c.get(one).href("targetResource") != m {
			c.Errorf("a Meter of the entry point's collection is not in its target's: %v", c.ids(meters))
		}
		// Through the target's it may say so, too, and nothing else.
		two := c.add(meters, "MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/memory"},"targetResource":{"href":"`+m+`"}}`)
		c.add(meters, "MeterCreate", `"meterTemplate":{"meterConfig":{"aspect":"`+ns+`aspect/disk","units":"kilobytes","sampleInterval":1}}`)
		c.Want(c.Do("POST", meters, body("MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"},"targetResource":{"href":"`+c.machine()+`"}}`)), 400, "targetResource")
		c.delete(two)
		if c.has(meters, two) || c.has("/meters", two) {
			c.Error("a deleted Meter is still an entry")
		}
		c.delete(m)
		c.Want(c.Do("GET", one, ""), 404)
		if n := len(c.ids("/meters")); n != 0 {
			c.Errorf("%d Meters are left of a deleted Machine", n)
		}
	},
	"meter-start-stop": func(c *cloud) {
		m := c.machine()
		meter := c.add("/meters", "MeterCreate", `"meterTemplate":{"meterConfig":{"aspect":"`+ns+`aspect/memory","units":"kibibytes","sampleInterval":1,"timeScope":"Point","associatedResources":["`+ns+`Machine"]},"targetResource":{"href":"`+m+`"}}`)
		samples := c.get(meter).href("samples")
		count := func() int { return len(c.ids(samples)) }
		for range 400 {
			if count() > 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if count() == 0 {
			c.Fatal("no sample after four seconds")
		}
		if o := c.items(samples)[0]; o.s("timestamp") == "" || o.s("value") == "" {
			c.Errorf("a sample is %v", o)
		}
		c.done(c.act(meter, "stop", ""))
		was := count()
		time.Sleep(1500 * time.Millisecond)
		if now := count(); now != was {
			c.Errorf("a stopped Meter went on from %d to %d samples", was, now)
		}
		c.done(c.act(meter, "start", ""))
		for range 400 {
			if count() > was {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		c.Error("a Meter that was started again takes no samples")
	},
	"event-logs": func(c *cloud) {
		m := c.machine()
		log := c.get(m).href("eventLog")
		o := c.get(log)
		if o.href("targetResource") != m || o.s("persistence") == "" {
			c.Errorf("the EventLog is %v", o)
		}
		events := c.items(o.href("events"))
		if len(events) == 0 {
			c.Fatal("no Event tells of the creation")
		}
		sum := 0.0
		for _, level := range []string{"low", "medium", "high", "critical"} {
			n, _ := o["summary"].(map[string]any)[level].(float64)
			sum += n
		}
		if int(sum) != len(events) {
			c.Errorf("the summary counts %v of %d Events", sum, len(events))
		}
		c.delete(log)
		c.Want(c.Do("GET", log, ""), 404)
		c.Want(c.Do("GET", events[0].s("id"), ""), 404)
		if c.get(m).href("eventLog") != "" {
			c.Error("the Machine refers to a deleted EventLog")
		}
	},
	"event-log-linked": func(c *cloud) {
		m := c.machine()
		log := c.get(m).href("eventLog")
		c.delete(m)
		c.Want(c.Do("GET", log, ""), 404)
	},
	"event-log-template": func(c *cloud) {
		m := c.machine(`"eventLogTemplate":{"persistence":"daily"}`)
		if p := c.get(c.get(m).href("eventLog")).s("persistence"); p != "daily" {
			c.Errorf("persistence %s", p)
		}
		nic := c.ids("/interfaces")
		if len(nic) != 0 {
			c.Fatalf("interfaces %v", nic)
		}
		s := c.add(c.get(c.network()).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{"protocol":"Ethernet"}`)
		log := c.add("/eventLogs", "EventLogCreate", `"eventLogTemplate":{"targetResource":{"href":"`+s+`"},"persistence":"weekly"}`)
		if o := c.get(log); o.href("targetResource") != s || o.s("persistence") != "weekly" || c.get(s).href("eventLog") != log {
			c.Errorf("the EventLog is %v", o)
		}
	},
	"events": func(c *cloud) {
		m := c.machine()
		c.done(c.act(m, "start", ""))
		c.host.breakDown("*")
		c.job(c.act(m, "stop", ""))
		find := func(typ, key, value string) object {
			for range 200 {
				for _, e := range c.items(c.get(c.get(m).href("eventLog")).href("events")) {
					if e.s("type") == ns+"event/"+typ && e.s("content", key) == value {
						return e
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
			c.Fatalf("no Event of type %s with %s %s", typ, key, value)
			return nil
		}
		// The structures that each type has.
		model := find("model", "change", "create")
		state := find("state", "state", "STARTED")
		alarm := find("alarm", "code", "10001")
		for _, x := range []struct {
			e     object
			names []string
		}{{model, []string{"resource", "resType", "change"}}, {state, []string{"resName", "resource", "resType", "state", "previous"}}, {alarm, []string{"resource", "restype", "code", "detail"}}} {
			for _, n := range x.names {
				if x.e.s("content", n) == "" {
					c.Errorf("an Event %s lacks %s: %v", x.e.s("type"), n, x.e)
				}
			}
			if x.e.s("timestamp") == "" || x.e.s("outcome") == "" || !slices.Contains([]string{"low", "medium", "high", "critical"}, x.e.s("severity")) {
				c.Errorf("an Event is %v", x.e)
			}
		}
		if state.s("content", "resource", "href") != m || state.s("content", "resType") != ns+"Machine" || state.s("content", "previous") != "STOPPED" {
			c.Errorf("the state Event is %v", state)
		}
	},
	"monitored-types": func(c *cloud) {
		// What is measured must be a resource that the configuration is for.
		c.Want(c.Do("POST", "/meters", body("MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"},"targetResource":{"href":"`+c.volume()+`"}}`)), 400, "meterConfig")
	},
	"template-meters": func(c *cloud) {
		t := c.add("/meterTemplates", "MeterTemplate", `"meterConfig":{"href":"meterConfigs/memory"}`)
		m := c.machine(`"meterTemplates":[{"href":"` + t + `"},{"meterConfig":{"href":"meterConfigs/cpu"}}]`)
		if n := len(c.ids(c.get(m).href("meters"))); n != 2 {
			c.Errorf("%d Meters of two templates", n)
		}
		s := c.add("/systems", "SystemCreate", `"systemTemplate":{"meterTemplates":[{"href":"`+t+`"}],"eventLogTemplate":{"persistence":"yearly"},"componentDescriptors":[`+oneMachine+`]}`)
		if n := len(c.ids(c.get(s).href("meters"))); n != 1 {
			c.Errorf("%d Meters of the System, want 1", n)
		}
		if p := c.get(c.get(s).href("eventLog")).s("persistence"); p != "yearly" {
			c.Errorf("the EventLog of the System is kept %s", p)
		}
	},
	"durations": func(c *cloud) {
		id := c.add("/meterConfigs", "MeterConfiguration", `"aspect":"`+ns+`aspect/cpu","timeScope":"Interval","intervalDuration":"P1D"`)
		c.Want(c.Do("GET", id, ""), 200, `"intervalDuration": "P1D"`)
		c.Want(c.Do("GET", id, "", "Accept", "application/xml"), 200, "<intervalDuration>P1D</intervalDuration>")
		one := c.add("/meterConfigs", "MeterConfiguration", `"name":"z","intervalDuration":"PT36H"`)
		if got := c.items("/meterConfigs?$orderby=intervalDuration:desc"); got[0].s("id") != one {
			c.Errorf("36 hours are not more than a day: %s", got[0])
		}
	},
}

var _ = wire.Reply{}
