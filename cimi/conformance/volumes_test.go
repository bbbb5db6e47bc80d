package conformance

import (
	"strings"

	"github.com/cimimove/cimimove/cimi/providertest/wire"
)

// volumes are the tests of 5.15.
var volumes = map[string]func(c *cloud){
	"volume-states": func(c *cloud) {
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/volumes", body("VolumeCreate", `"name":"v","volumeTemplate":{"volumeConfig":{"capacity":9}}`))
		})
		var v string
		for v == "" {
			for _, o := range c.items("/volumes") {
				if v = o.s("id"); o.s("state") != "CREATING" {
					c.Errorf("while it is created it is %s", o.s("state"))
				}
			}
		}
		release()
		c.done(wait())
		if o := c.get(v); o.s("state") != "AVAILABLE" || o.s("capacity") != "9" {
			c.Errorf("the Volume is %v", o)
		}
		release = c.host.hold("delete")
		wait = c.meanwhile(func() wire.Reply { return c.Do("DELETE", v, "") })
		c.state(v, "DELETING")
		release()
		c.done(wait())
		c.Want(c.Do("GET", v, ""), 404)
	},
	"mapped-volumes": func(c *cloud) {
		v := c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeConfig":{"capacity":9,"type":"`+ns+`mapped"}}`)
		if got := c.get(v).s("type"); got != ns+"mapped" {
			c.Errorf("type %q", got)
		}
		// Available to several Machines.
		for range 2 {
			c.machine(`"volumes":[{"volume":{"href":"` + v + `"}}]`)
		}
	},
	"volume-snapshot": func(c *cloud) {
		v := c.volume()
		images := c.get(v).href("images")
		release := c.host.hold("make")
		wait := c.meanwhile(func() wire.Reply {
			return c.Do("POST", "/volumeImages", body("VolumeImage", `"imageLocation":"`+v+`"`))
		})
		c.state(v, "CAPTURING")
		release()
		one := c.done(wait()).Header.Get("Location")
		if o := c.get(one); o.s("state") != "AVAILABLE" || strings.Contains(o.s("imageLocation"), "/volumes/") || o.s("imageLocation") == "" {
			c.Errorf("the image is %v", o)
		}
		two := c.done(c.act(v, "snapshot", "")).Header.Get("Location")
		if !c.has(images, one) || !c.has(images, two) {
			c.Errorf("images of the Volume: %v", c.ids(images))
		}
		copied := c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeImage":{"href":"`+one+`"}}`)
		if c.get(copied).s("capacity") != "9" {
			c.Errorf("made of an image: %v", c.get(copied))
		}
		c.delete(v)
		c.get(one) // usage: it outlives the Volume
	},
	"volume-restore": func(c *cloud) {
		v := c.volume()
		image := c.done(c.act(v, "snapshot", "")).Header.Get("Location")
		release := c.host.hold("alter")
		wait := c.meanwhile(func() wire.Reply { return c.act(v, "restore", `"image":{"href":"`+image+`"}`) })
		c.state(v, "RESTORING")
		release()
		c.done(wait())
		c.state(v, "AVAILABLE")
		c.Want(c.act(v, "restore", ""), 400, "image")
	},
	"volume-template": func(c *cloud) {
		m := c.add("/resourceMetadata", "ResourceMetadata", `"name":"Volume","typeURI":"`+ns+`Volume"`)
		v := c.add("/volumes", "VolumeCreate", `"volumeTemplate":{"volumeConfig":{"capacity":9},"genResourceMetadata":{"href":"`+m+`"},
			"meterTemplates":[{"meterConfig":{"href":"meterConfigs/disk"}}],"eventLogTemplate":{"persistence":"daily"}}`)
		o := c.get(v)
		if o.href("resourceMetadata") != m {
			c.Errorf("resourceMetadata %s, want %s", o.href("resourceMetadata"), m)
		}
		if n := len(c.ids(o.href("meters"))); n != 1 {
			c.Errorf("%d Meters, want 1", n)
		}
		if p := c.get(o.href("eventLog")).s("persistence"); p != "daily" {
			c.Errorf("the EventLog is kept %s", p)
		}
	},
}
