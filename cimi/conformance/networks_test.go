package conformance

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// ipv4 is a protocol with the parameters that it must have (T34).
const ipv4 = `"protocol":"IPv4","parameters":{"netmask":"255.0.0.0","subnetAddress":"10.0.0.0"}`

// networks are the tests of 5.16.
var networks = map[string]func(c *cloud){
	"network-states": func(c *cloud) {
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply { return c.Do("POST", "/networks", body("NetworkCreate", `"networkTemplate":{}`)) })
		var n string
		for n == "" {
			for _, o := range c.items("/networks") {
				if n = o.s("id"); o.s("state") != "CREATING" {
					c.Errorf("while it is created it is %s", o.s("state"))
				}
			}
		}
		release()
		c.done(wait())
		c.state(n, "STOPPED") // the DefaultInitialState
		if o := c.get(n); o.operation("start") == "" || o.operation("stop") != "" {
			c.Errorf("a stopped Network offers %v", o["operations"])
		}
		release = c.host.hold("delete")
		wait = c.meanwhile(func() wire.Reply { return c.Do("DELETE", n, "") })
		c.state(n, "DELETING")
		release()
		c.done(wait())
	},
	"network-initial-state": func(c *cloud) {
		if s := c.get(c.network(`"initialState":"STARTED"`)).s("state"); s != "STARTED" {
			c.Errorf("initialState STARTED made it %s", s)
		}
		c.Want(c.Do("POST", "/networks", body("NetworkCreate", `"networkTemplate":{"initialState":"PAUSED"}`)), 400, "initialState")
		if n := len(c.ids("/networks")); n != 1 {
			c.Errorf("%d Networks: one is left of a creation that failed", n)
		}
	},
	"network-recursive": func(c *cloud) {
		n := c.network(`"segmentTemplates":[{`+ipv4+`}]`, `"serviceTemplates":[{"type":"DHCP"}]`, `"subnetworkTemplates":[{}]`)
		segment := c.ids(c.get(n).href("segments"))
		endpoint := c.add(c.get(segment[len(segment)-1]).href("endpoints"), "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.1"}`)
		parts := append(segment, append(c.ids(c.get(n).href("services")), c.ids(c.get(n).href("subnetworks"))...)...)
		if len(parts) < 3 {
			c.Fatalf("the Network consists of %v", parts)
		}
		c.done(c.act(n, "start", ""))
		for _, id := range append(parts, n) {
			c.state(id, "STARTED")
		}
		c.state(endpoint, "ENABLED")
		c.done(c.act(n, "stop", ""))
		for _, id := range append(parts, n) {
			c.state(id, "STOPPED")
		}
		c.state(endpoint, "DISABLED")
	},
	"network-existing": func(c *cloud) {
		other, sub := c.network(), c.network()
		segment := c.add(c.get(other).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{"protocol":"Ethernet"}`)
		service := c.add(c.get(other).href("services"), "NetworkServiceCreate", `"networkServiceTemplate":{"type":"DNS"}`)
		n := c.get(c.network(`"segments":[{"href":"`+segment+`"}]`, `"services":[{"href":"`+service+`"}]`, `"subnetworks":[{"href":"`+sub+`"}]`,
			`"meterTemplates":[]`, `"eventLogTemplate":{"persistence":"daily"}`))
		for name, id := range map[string]string{"segments": segment, "services": service, "subnetworks": sub} {
			if !c.has(n.href(name), id) {
				c.Errorf("%s: %v, want %s in it", name, c.ids(n.href(name)), id)
			}
		}
		if p := c.get(n.href("eventLog")).s("persistence"); p != "daily" {
			c.Errorf("the EventLog is kept %s", p)
		}
	},
	"segment-template-network": func(c *cloud) {
		n, other := c.network(), c.network()
		c.Want(c.Do("POST", "/segments", body("ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`}`)), 400, "network")
		s := c.add("/segments", "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"network":{"href":"`+n+`"}}`)
		if !c.has(c.get(n).href("segments"), s) {
			c.Error("the segment is not in its Network")
		}
		c.Want(c.Do("POST", c.get(n).href("segments"), body("ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"network":{"href":"`+other+`"}}`)), 400, "network")
		c.add(c.get(n).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"network":{"href":"`+n+`"}}`)
		c.Want(c.Do("POST", "/networkServices", body("NetworkServiceCreate", `"networkServiceTemplate":{"type":"VPN"}`)), 400, "network")
		v := c.add("/networkServices", "NetworkServiceCreate", `"networkServiceTemplate":{"type":"VPN","network":{"href":"`+n+`"}}`)
		if !c.has(c.get(n).href("services"), v) {
			c.Error("the service is not in its Network")
		}
		c.Want(c.Do("POST", c.get(n).href("services"), body("NetworkServiceCreate", `"networkServiceTemplate":{"type":"VPN","network":{"href":"`+other+`"}}`)), 400, "network")
	},
	"segments": func(c *cloud) {
		n := c.network()
		s := c.add(c.get(n).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{"protocol":"IPv4","parameters":{"netmask":"255.0.0.0","subnetAddress":"10.0.0.0","custom":"x"},"noDefaultRouting":true,
			"endpointTemplates":[{"origin":"STATIC","address":"10.0.0.1"}],"eventLogTemplate":{"persistence":"daily"}}`)
		o := c.get(s)
		if o.s("state") != "STOPPED" || o.s("noDefaultRouting") != "true" || o.s("parameters", "custom") != "x" || len(c.ids(o.href("endpoints"))) != 1 || c.get(o.href("eventLog")).s("persistence") != "daily" {
			c.Errorf("the segment is %v", o)
		}
		c.done(c.act(s, "start", ""))
		c.state(s, "STARTED")
		c.done(c.act(s, "stop", ""))
		c.state(s, "STOPPED")
		if got := c.get(c.add(c.get(n).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"initialState":"STARTED"}`)).s("state"); got != "STARTED" {
			c.Errorf("initialState STARTED made it %s", got)
		}
		c.Want(c.Do("POST", c.get(n).href("segments"), body("ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"initialState":"ENABLED"}`)), 400, "initialState")
		service := c.add(c.get(n).href("services"), "NetworkServiceCreate", `"networkServiceTemplate":{"type":"DHCP","segments":[{"href":"`+s+`"}]}`)
		c.delete(s)
		if c.has("/segments", s) || c.has(c.get(n).href("segments"), s) || c.has(c.get(service).href("segments"), s) {
			c.Error("a deleted segment is still an entry")
		}
	},
	"endpoints": func(c *cloud) {
		n := c.network()
		s := c.add(c.get(n).href("segments"), "ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`}`)
		e := c.add("/endpoints", "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.1","parameters":{"hostname":"h"},"eventLogTemplate":{"persistence":"daily"}}`)
		if o := c.get(e); o.s("state") != "DISABLED" || o.s("address") != "10.0.0.1" || o.s("parameters", "hostname") != "h" || c.get(o.href("eventLog")).s("persistence") != "daily" {
			c.Errorf("the endpoint is %v", o)
		}
		c.Want(c.Do("POST", "/endpoints", body("ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"DYNAMIC","address":"10.0.0.1"}`)), 400, "address")
		c.done(c.act(e, "enable", ""))
		c.state(e, "ENABLED")
		c.done(c.act(e, "disable", ""))
		c.state(e, "DISABLED")
		if got := c.get(c.add("/endpoints", "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.2","initialState":"ENABLED"}`)).s("state"); got != "ENABLED" {
			c.Errorf("initialState ENABLED made it %s", got)
		}
		c.Want(c.Do("POST", "/endpoints", body("ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.3","initialState":"STARTED"}`)), 400, "initialState")
		endpoints := c.get(s).href("endpoints")
		c.done(c.Do("POST", c.get(endpoints).operation("insert"), body("Action", `"action":"`+ns+`action/insert","protocolEndpoint":{"href":"`+e+`"}`)))
		service := c.add(c.get(n).href("services"), "NetworkServiceCreate", `"networkServiceTemplate":{"type":"DHCP","endpoints":[{"href":"`+e+`"}]}`)
		if !c.has(endpoints, e) || !c.has(c.get(service).href("endpoints"), e) {
			c.Error("the endpoint is not where it was put")
		}
		c.delete(e)
		if c.has("/endpoints", e) || c.has(endpoints, e) || c.has(c.get(service).href("endpoints"), e) {
			c.Error("a deleted endpoint is still an entry")
		}
	},
	"interfaces": func(c *cloud) {
		m := c.machine(`"interfaceTemplates":[{"mtu":1500,"speed":1000}]`)
		interfaces := c.get(m).href("interfaces")
		i := c.ids(interfaces)[0]
		if o := c.get(i); o.s("state") == "" || o.s("mtu") != "1500" || o.s("speed") != "1000" {
			c.Errorf("the interface is %v", o)
		}
		made := c.add(interfaces, "NetworkInterfaceCreate", `"networkInterfaceTemplate":{"initialState":"ENABLED"}`)
		c.state(made, "ENABLED")
		c.state(c.add(interfaces, "NetworkInterfaceCreate", `"networkInterfaceTemplate":{}`), "DISABLED")
		c.done(c.act(made, "disable", ""))
		c.state(made, "DISABLED")
		c.done(c.act(made, "enable", ""))
		c.state(made, "ENABLED")
		c.Want(c.Do("POST", interfaces, body("NetworkInterfaceCreate", `"networkInterfaceTemplate":{"initialState":"STARTED"}`)), 400, "initialState")
		e := c.add("/endpoints", "ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"52:54:00:00:00:01"}`)
		with := c.add(interfaces, "NetworkInterfaceCreate", `"networkInterfaceTemplate":{"endpoints":[{"href":"`+e+`"}]}`)
		if !c.has(c.get(with).href("endpoints"), e) || c.get(e).href("interface") != with {
			c.Errorf("the endpoint is %v", c.get(e))
		}
		c.delete(with)
		if c.has("/interfaces", with) || c.has(interfaces, with) {
			c.Error("a deleted interface is still an entry")
		}
		if got := c.get(e).href("interface"); got != "" {
			c.Errorf("the endpoint refers to an interface that is gone: %s", got)
		}
	},
	"network-services": func(c *cloud) {
		n := c.network()
		services := c.get(n).href("services")
		s := c.add(services, "NetworkServiceCreate", `"networkServiceTemplate":{"type":"Load Balancer","policies":{"algorithm":"round"},"eventLogTemplate":{"persistence":"daily"}}`)
		if o := c.get(s); o.s("state") != "STOPPED" || o.s("type") != "Load Balancer" || o.s("policies", "algorithm") != "round" || c.get(o.href("eventLog")).s("persistence") != "daily" {
			c.Errorf("the service is %v", o)
		}
		c.done(c.act(s, "start", ""))
		c.state(s, "STARTED")
		c.done(c.act(s, "stop", ""))
		c.state(s, "STOPPED")
		if got := c.get(c.add(services, "NetworkServiceCreate", `"networkServiceTemplate":{"type":"QoS","initialState":"STARTED"}`)).s("state"); got != "STARTED" {
			c.Errorf("initialState STARTED made it %s", got)
		}
		c.Want(c.Do("POST", services, body("NetworkServiceCreate", `"networkServiceTemplate":{"type":"QoS","initialState":"PAUSED"}`)), 400, "initialState")
		// The group and the XML of 5.16.18.
		c.Want(c.Do("GET", services, ""), 200, `"services": [`)
		c.Want(c.Do("GET", services, "", "Accept", "application/xml"), 200, "<services>", "<NetworkService>")
		c.delete(s)
		if c.has("/networkServices", s) || c.has(services, s) {
			c.Error("a deleted service is still an entry")
		}
	},
	"template-circles": func(c *cloud) {
		// Templates that are within themselves describe nothing that ends.
		one := c.add("/networkTemplates", "NetworkTemplate", `"name":"one"`)
		two := c.add("/networkTemplates", "NetworkTemplate", `"subnetworkTemplates":[{"href":"`+one+`"}]`)
		c.done(c.Do("PUT", one+"?$select=subnetworkTemplates", body("NetworkTemplate", `"subnetworkTemplates":[{"href":"`+two+`"}]`)))
		c.Want(c.Do("POST", "/networks", body("NetworkCreate", `"networkTemplate":{"href":"`+one+`"}`)), 400, "within itself")
		c.Want(c.Do("POST", "/networks", body("NetworkCreate", `"networkTemplate":{"subnetworkTemplates":[{"href":"`+one+`"}]}`)), 400, "within itself")
		c.Want(c.Do("POST", "/systems", body("SystemCreate", `"systemTemplate":{"componentDescriptors":[{"name":"n","type":"`+ns+`Network","networkTemplate":{"href":"`+two+`"}}]}`)), 400, "within itself")
		s := c.add("/systemTemplates", "SystemTemplate", `"name":"s"`)
		c.done(c.Do("PUT", s+"?$select=componentDescriptors", body("SystemTemplate", `"componentDescriptors":[{"name":"in","type":"`+ns+`System","systemTemplate":{"href":"`+s+`"}}]`)))
		c.Want(c.Do("POST", "/systems", body("SystemCreate", `"systemTemplate":{"href":"`+s+`"}`)), 400, "within itself")
		if n := len(c.ids("/networks")); n != 0 {
			c.Errorf("%d Networks are left", n)
		}
	},
	"unreachable-states": func(c *cloud) {
		// What creation refuses leaves nothing behind.
		before := fmt.Sprint(len(c.ids("/segments")), len(c.ids("/endpoints")), len(c.ids("/networkServices")))
		n := c.network()
		c.Do("POST", c.get(n).href("services"), body("NetworkServiceCreate", `"networkServiceTemplate":{"type":"QoS","initialState":"PAUSED"}`))
		c.Do("POST", "/endpoints", body("ProtocolEndpointCreate", `"protocolEndpointTemplate":{"origin":"STATIC","address":"10.0.0.3","initialState":"STARTED"}`))
		c.Do("POST", c.get(n).href("segments"), body("ProtocolSegmentCreate", `"protocolSegmentTemplate":{`+ipv4+`,"initialState":"ENABLED"}`))
		c.delete(n)
		if after := fmt.Sprint(len(c.ids("/segments")), len(c.ids("/endpoints")), len(c.ids("/networkServices"))); after != before {
			c.Errorf("%s, before %s", after, before)
		}
		c.Want(c.Do("POST", "/networks", body("NetworkCreate", `"networkTemplate":{"segmentTemplates":[{"protocol":"Token Ring"}]}`)), 400, "protocol")
		if len(c.ids("/networks")) != 0 {
			c.Error(strings.Join(c.ids("/networks"), " "))
		}
	},
}
