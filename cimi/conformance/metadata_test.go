package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// metadata are the tests of 5.11.
var metadata = map[string]func(c *cloud){
	"metadata": func(c *cloud) {
		for _, m := range c.items("/resourceMetadata") {
			m = c.get(m.s("id"))
			typeName := m.s("name")
			if m.s("typeURI") != ns+typeName {
				c.Errorf("%s: typeURI %s", typeName, m.s("typeURI"))
			}
			for _, a := range m.list("attributes") {
				if (a["namespace"] == nil) != (a["type"] == nil) || a["name"] == nil || a["mutable"] == nil || a["consumerWritable"] == nil || a["providerMandatory"] == nil {
					c.Errorf("%s: attribute %v", typeName, a)
				}
				if !identifier.MatchString(a.s("name")) {
					c.Errorf("%s: attribute %q", typeName, a.s("name"))
				}
			}
			names := map[string]bool{}
			for _, x := range m.list("capabilities") {
				if x.s("uri") != ns+"capability/"+typeName+"/"+x.s("name") || names[x.s("name")] {
					c.Errorf("%s: capability %v", typeName, x)
				}
				names[x.s("name")] = true
			}
		}
	},
	"metadata-actions": func(c *cloud) {
		// The actions of the metadata include all that instances offer.
		made := c.populate()
		for typeName, id := range made {
			described := map[string]bool{}
			for _, a := range c.get("/resourceMetadata/" + typeName).list("actions") {
				described[a.s("uri")] = true
			}
			for _, op := range c.get(id).list("operations") {
				if rel := op.s("rel"); !slices.Contains(uniform, rel) && !described[rel] {
					c.Errorf("%s offers %s, its metadata does not know it", typeName, rel)
				}
			}
		}
	},
	"value-scopes": func(c *cloud) {
		m := c.add("/resourceMetadata", "ResourceMetadata", `"name":"Machine","typeURI":"`+ns+`Machine","vscope":[{"cpu":{"minimum":2,"maximum":8,"increment":2}},{"cpu":{"value":16}}]`)
		create := func(cpu int) wire.Reply {
			return c.Do("POST", "/machines", body("MachineCreate", fmt.Sprintf(`"machineTemplate":{"machineConfig":{"cpu":%d},"genResourceMetadata":{"href":"%s"}}`, cpu, m)))
		}
		for cpu, ok := range map[int]bool{2: true, 4: true, 16: true, 1: false, 3: false, 10: false} {
			if r := create(cpu); (r.StatusCode/100 == 2) != ok || !ok && r.StatusCode/100 != 4 {
				c.Errorf("cpu %d: %d %s", cpu, r.StatusCode, r.Text)
			}
		}
		r := create(2)
		made := c.done(r).Header.Get("Location")
		c.Want(c.Do("PUT", made+"?$select=cpu", body("Machine", `"cpu":3`)), 400, "cpu")
		c.done(c.Do("PUT", made+"?$select=cpu", body("Machine", `"cpu":8`)))
		scope := c.get(m)["vscope"]
		if list, _ := scope.([]any); len(list) != 2 {
			c.Errorf("vscope is %v", scope)
		}
		c.Want(c.Do("GET", m, "", "Accept", "application/xml"), 200, "<minimum>2</minimum>", "<maximum>8</maximum>", "<increment>2</increment>")
	},
	"capabilities": func(c *cloud) {
		// What is said to be possible is: each capability of T7 that is true.
		can := map[string]string{}
		for _, m := range c.items("/resourceMetadata") {
			for _, x := range c.get(m.s("id")).list("capabilities") {
				can[m.s("name")+"/"+x.s("name")] = x.s("value")
			}
		}
		said := maps.Clone(can)
		for name, want := range map[string]string{"Machine/DefaultInitialState": "STOPPED", "Network/DefaultInitialState": "STOPPED", "NetworkInterface/DefaultInitialState": "DISABLED",
			"NetworkService/DefaultInitialState": "STOPPED", "ProtocolEndpoint/DefaultInitialState": "DISABLED", "ProtocolSegment/DefaultInitialState": "STOPPED"} {
			if said[name] != want {
				c.Errorf("%s is %q", name, said[name])
			}
		}
		image := c.add("/machineImages", "MachineImage", `"type":"IMAGE","imageLocation":"`+c.machine()+`"`)
		location := c.get(image).s("imageLocation")
		m := c.machine()
		network := c.network()
		volumeImage := c.get(c.done(c.act(c.volume(), "snapshot", "")).Header.Get("Location")).s("imageLocation")
		for name, use := range map[string]func(){
			"CloudEntryPoint/ExpandParameter":   func() { c.Want(c.Do("GET", "/cloudEntryPoint?$expand=machines", ""), 200, m) },
			"CloudEntryPoint/FilterParameter":   func() { c.Want(c.Do("GET", "/machines?$filter=name='none'", ""), 200, `"count": 0`) },
			"CloudEntryPoint/FirstParameter":    func() { c.Want(c.Do("GET", "/machines?$first=9999", ""), 200, `"count"`) },
			"CloudEntryPoint/SelectParameter":   func() { c.Want(c.Do("GET", m+"?$select=cpu", ""), 200, `"cpu"`) },
			"CloudEntryPoint/FormatParameter":   func() { c.Want(c.Do("GET", m+"?$format=xml", ""), 200, "<Machine") },
			"CloudEntryPoint/OrderByParameter":  func() { c.Want(c.Do("GET", "/machines?$orderby=name", ""), 200) },
			"CloudEntryPoint/QueryPathNotation": func() { c.Want(c.Do("GET", "/machines?$select=machines/cpu", ""), 200, `"cpu"`) },
			"CloudEntryPoint/MaxPropertyItems": func() {
				properties := func(n int) string {
					var out []string
					for i := range n {
						out = append(out, fmt.Sprintf(`"k%d":"v"`, i))
					}
					return `"properties":{` + strings.Join(out, ",") + `}`
				}
				n := 0
				fmt.Sscan(said["CloudEntryPoint/MaxPropertyItems"], &n)
				c.config(properties(n))
				c.Want(c.Do("POST", "/machineConfigs", body("MachineConfiguration", properties(n+1))), 400, "MaxPropertyItems")
			},
			"CloudEntryPoint/ValueScopes": func() {
				config := c.config(`"vscope":[{"cpu":{"values":[2,4],"default":4}}]`)
				made := c.add("/machines", "MachineCreate", `"machineTemplate":{"machineConfig":{"href":"`+config+`"}}`)
				if got := c.get(made).s("cpu"); got != "4" {
					c.Errorf("the default of a value scope gives cpu %s", got)
				}
			},
			"System/SystemComponentTemplateByValue": func() { c.system(oneMachine) },
			"Machine/DefaultInitialState": func() {
				if got := c.get(m).s("state"); got != "STOPPED" {
					c.Errorf("a new Machine is %s", got)
				}
			},
			"Machine/InitialStates": func() {
				for _, s := range []string{"STOPPED", "STARTED", "PAUSED", "SUSPENDED"} {
					c.state(c.machine(`"initialState":"`+s+`"`), s)
				}
			},
			"Machine/MachineTemplateByValue":        func() { c.machine() },
			"Machine/MachineConfigByValue":          func() { c.machine() },
			"Machine/MachineCredentialByValue":      func() { c.machine(`"credential":{"userName":"u","password":"p"}`) },
			"Machine/MachineImageByValue":           func() { c.machine(`"machineImage":{"type":"IMAGE","imageLocation":"` + location + `"}`) },
			"Machine/MachineVolumeTemplatesByValue": func() { c.machine(`"volumeTemplates":[{"volumeTemplate":{"volumeConfig":{"capacity":5}}}]`) },
			"Machine/RestoreFromImage":              func() { c.done(c.act(m, "restore", `"image":{"href":"`+image+`"}`)) },
			"Machine/MachineStopForce": func() {
				id := c.machine(`"initialState":"STARTED"`)
				c.done(c.act(id, "restart", `"force":true`))
				c.done(c.act(id, "stop", `"force":true`))
			},
			"Credential/CredentialTemplateByValue": func() { c.add("/credentials", "CredentialCreate", `"credentialTemplate":{"userName":"u"}`) },
			"Volume/SharedVolumeSupport": func() {
				v := c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeConfig":{"capacity":9,"type":"`+ns+`mapped"}}`)
				for range 2 {
					c.machine(`"volumes":[{"volume":{"href":"` + v + `"}}]`)
				}
			},
			"Volume/VolumeTemplateByValue": func() { c.volume() },
			"Volume/VolumeConfigByValue":   func() { c.volume() },
			"Volume/VolumeImageByValue": func() {
				c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeImage":{"imageLocation":"`+volumeImage+`"}}`)
			},
			"Volume/VolumeSnapshot":          func() { c.done(c.act(c.volume(), "snapshot", "")) },
			"Network/NetworkTemplateByValue": func() { c.network() },
			"Network/DefaultInitialState":    func() { c.state(c.network(), "STOPPED") },
			"Network/InitialStates":          func() { c.state(c.network(`"initialState":"STARTED"`), "STARTED") },
			"NetworkInterface/NetworkInterfaceTemplateByValue": func() {
				id := c.add(c.get(m).href("interfaces"), "NetworkInterfaceCreate", `"networkInterfaceTemplate":{}`)
				c.state(id, "DISABLED")
			},
			"NetworkService/NetworkServiceTemplateByValue": func() {
				id := c.add(c.get(network).href("services"), "NetworkServiceCreate", `"networkServiceTemplate":{"type":"Firewall"}`)
				c.state(id, "STOPPED")
			},
			"ProtocolEndpoint/ProtocolEndpointTemplateByValue": func() {
				id := c.add("/endpoints", "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"DYNAMIC"}`)
				c.state(id, "DISABLED")
			},
			"ProtocolSegment/ProtocolSegmentTemplateByValue": func() {
				id := c.add(c.get(network).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`}`)
				c.state(id, "STOPPED")
			},
			"Job/JobRetention": func() { c.job(c.Do("PUT", m+"?$select=name", body("Machine", `"name":"x"`))) },
			"Meter/MeterTemplateByValue": func() {
				c.add(c.get(m).href("meters"), "MeterCreate", `"meterTemplate":{"meterConfig":{"href":"meterConfigs/cpu"}}`)
			},
			"Meter/MeterConfigByValue": func() {
				c.add(c.get(m).href("meters"), "MeterCreate", `"meterTemplate":{"meterConfig":{"aspect":"`+ns+`aspect/cpu"}}`)
			},
			"EventLog/Linked": func() {
				id := c.machine()
				log := c.get(id).href("eventLog")
				c.delete(id)
				c.Want(c.Do("GET", log, ""), 404)
			},
		} {
			if v := can[name]; v == "" || v == "false" {
				c.Errorf("%s is %q here", name, v)
				continue
			}
			delete(can, name)
			use()
		}
		// Shown by the ones above, or by tests of their own; the first seven are no capabilities of T7.
		for _, name := range []string{"System/ImportChunk", "System/ImportParallelDisks", "System/ImportDevices", "System/ImportUniqueName", "System/LiveExport", "Volume/DeltaBytes", "Volume/ProveChangedOnly", "Machine/UserData", "Machine/MachineStopForceDefault", "NetworkInterface/DefaultInitialState", "NetworkInterface/InitialStates", "NetworkService/DefaultInitialState",
			"NetworkService/InitialStates", "ProtocolEndpoint/DefaultInitialState", "ProtocolEndpoint/InitialStates", "ProtocolSegment/DefaultInitialState", "ProtocolSegment/InitialStates"} {
			delete(can, name)
		}
		for _, name := range slices.Sorted(maps.Keys(can)) {
			c.Errorf("capability %s: %s is not shown to be true", name, can[name])
		}
	},
}
