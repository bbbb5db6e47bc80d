package migrate

import (
	"encoding/json"

	"github.com/cimimove/cimimove/cimi"
)

// planParallel says how many disks move at the same time: as many as was asked
// for, as the endpoints allow, and as the destination writes.
func (p *Plan) planParallel() {
	n := p.opts.ParallelDisks
	for _, e := range []Endpoint{p.src, p.dst} {
		if e.Limits.Disks > 0 {
			n = min(n, e.Limits.Disks)
		}
	}
	content := 0
	for _, d := range p.Disks {
		if !d.Blank {
			content++
		}
	}
	n = min(n, content, int(p.target.importCapability(cimi.CapabilityParallelDisks)))
	if p.Via == ViaResources {
		n = 1 // they are made one after the other
	}
	p.ParallelDisks = max(1, n)
}

// importCapability is a number that the destination's ResourceMetadata of the
// System gives; 0 where it does not.
func (t target) importCapability(name string) int64 {
	m := t.metadata["System"]
	if m == nil {
		return 0
	}
	switch v := m.Capability(name).(type) {
	case json.Number:
		n, _ := v.Int64()
		return n
	case float64:
		return int64(v)
	case int64:
		return v
	case int:
		return int64(v)
	}
	return 0
}
