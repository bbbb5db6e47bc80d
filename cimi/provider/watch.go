package provider

import (
	"context"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// watch does what nobody asks for: it takes samples, notices what the host
// changes by itself, and drops what need not be kept any more.
func (p *Provider) watch(ctx context.Context) {
	defer close(p.watched)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	pruned := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, ok := p.host.(host.Versioned); ok { // others would be read whole each time
			_ = p.refresh(ctx) // what fails now is tried again at once
		}
		p.sample(ctx)
		if time.Since(pruned) > 5*time.Minute {
			pruned = time.Now()
			_, _ = p.jobs.prune(), p.pruneEvents()
			p.exports.expire(ctx)
		}
	}
}
