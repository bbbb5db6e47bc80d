package provider

import (
	"context"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
)

// world is what the host holds at one moment, findable by id. It is never
// changed after it was made.
type world struct {
	systems  []*host.System // outermost ones
	system   map[string]systemAt
	machine  map[string]machineAt
	disk     map[string]diskAt
	network  map[string]networkAt
	overlays map[string]overlay
}

type systemAt struct {
	*host.System
	parent, root *host.System // parent is nil for a root
}

type machineAt struct {
	*host.Machine
	in, root *host.System
}

type diskAt struct {
	*host.Disk
	in, root *host.System
}

type networkAt struct {
	*host.Network
	in, root *host.System
}

// worldCache keeps a world as long as the host says that nothing has changed.
type worldCache struct {
	mu       sync.Mutex
	version  int64
	overlays int64 // counts changes of overlays
	seen     int64
	w        *world
}

// overlayChanged makes the next read see new properties.
func (c *worldCache) overlayChanged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overlays++
}

// look is the host's world as it is now.
func (p *Provider) look(ctx context.Context) (*world, error) {
	c := &p.world
	v, versioned := p.host.(host.Versioned)
	c.mu.Lock()
	defer c.mu.Unlock()
	version := int64(0)
	if versioned {
		// Asked before reading: a change while reading is read again next time.
		if version = v.Version(); c.w != nil && c.version == version && c.seen == c.overlays {
			return c.w, nil
		}
	}
	seen := c.overlays
	w, err := p.readWorld(ctx)
	if err != nil {
		return nil, asError(err)
	}
	if versioned {
		c.w, c.version, c.seen = w, version, seen
	}
	return w, nil
}

func (p *Provider) readWorld(ctx context.Context) (*world, error) {
	w := &world{system: map[string]systemAt{}, machine: map[string]machineAt{}, disk: map[string]diskAt{}, network: map[string]networkAt{}}
	var err error
	if w.overlays, err = p.db.overlays(ctx); err != nil {
		return nil, err
	}
	for s, err := range p.host.Systems(ctx) {
		if err != nil {
			return nil, err
		}
		w.systems = append(w.systems, s)
		w.add(s, nil, s)
	}
	return w, nil
}

func (w *world) add(s, parent, root *host.System) {
	w.system[s.ID] = systemAt{s, parent, root}
	for _, m := range s.Machines {
		w.machine[m.ID] = machineAt{m, s, root}
	}
	for _, d := range s.Disks {
		w.disk[d.ID] = diskAt{d, s, root}
	}
	for _, n := range s.Networks {
		w.network[n.ID] = networkAt{n, s, root}
	}
	for _, k := range s.Systems {
		w.add(k, s, root)
	}
}

// idsOf are the ids of all resources that a System is shown as.
func idsOf(root *host.System) []string {
	var out []string
	for s := range root.All() {
		out = append(out, "systems/"+s.ID)
		for _, m := range s.Machines {
			out = append(out, "machines/"+m.ID)
			for i := range m.NICs {
				out = append(out, interfaceID(m, i), endpointID(m, i))
			}
		}
		for _, d := range s.Disks {
			out = append(out, "volumes/"+d.ID)
		}
		for _, n := range s.Networks {
			out = append(out, "networks/"+n.ID, "segments/"+n.ID)
		}
	}
	return out
}
