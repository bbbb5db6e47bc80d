package migrate

import (
	"fmt"

	"github.com/cimimove/cimimove/cimi"
)

// Resumption says where an interrupted move goes on.
type Resumption struct {
	// Granularity: chunk (the destination keeps what has arrived of each disk),
	// byte (where the destination's import is still waiting), package (it is read
	// anew), resource (what is made stays, the rest is made).
	Granularity string `json:"granularity"`
	// ChunkBytes is how much of each disk may have to be sent twice.
	ChunkBytes int64  `json:"chunkBytes,omitempty"`
	Why        string `json:"why"`
}

func (p *Plan) planResume() {
	if p.Via == ViaResources {
		p.Resume = Resumption{"resource", 0, "what was made is found again and used; a disk that was on its way is sent anew"}
		return
	}
	if n := p.target.importCapability(cimi.CapabilityImportChunk); n > 0 {
		p.Resume = Resumption{"chunk", n, fmt.Sprintf("the destination keeps what has arrived of each disk, by %s, for as long as the package is the same", size(n))}
		return
	}
	if p.Via == ViaDirect {
		p.Resume = Resumption{"package", 0, "the destination fetches by itself and goes on by itself; when it has given up, it fetches the package anew"}
		return
	}
	if _, ok := p.opts.Destination.importer(); ok {
		p.Resume = Resumption{"package", 0, "the destination is in this process and dies with it; what had arrived is removed, and digests that are known are not computed again"}
		return
	}
	p.Resume = Resumption{"byte", 0, "the destination fetches by ranges and waits for us; when it has given up, the package is sent anew"}
}
