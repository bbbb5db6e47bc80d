package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestBandwidthOfWorkers: what a runbook or an endpoint bounds is bounded for
// all workers together.
func TestBandwidthOfWorkers(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	db := pgtest.Shared(t)
	const limit, systems = 800 << 10, 6
	for _, of := range []string{"runbook", "endpoint"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			url := db.URL(of)
			src, dst := newCloud(t), newCloud(t)
			text := "systems:\n"
			for n := range systems {
				name := fmt.Sprintf("app-%d", n)
				src.Load(hosttest.NewSample(t, name, byte(n)).OVA(t))
				text += fmt.Sprintf("  - {system: %s, verify: digest}\n", name)
			}
			endpoint, whole := fmt.Sprintf("bandwidth: %d", limit), ""
			if of == "runbook" {
				endpoint, whole = "", fmt.Sprintf("limits: {bandwidth: %d, systems: %d}\n", limit, systems)
			}
			v := submit(t, url, src, dst, endpoint, whole+text)
			ctx, stop := context.WithCancel(t.Context())
			began := time.Now()
			for range 2 {
				defer work(ctx, t, url, member(t, url, journal.SharedOptions{Heartbeat: time.Second}), 500*time.Millisecond)()
			}
			defer stop()
			// Who follows sees what others move, each disk by itself.
			seen := make(chan bool, 1)
			go func() {
				for ctx.Err() == nil {
					for n := range systems {
						disks := map[string]bool{}
						moves := false
						for _, p := range v.Progress(fmt.Sprintf("app-%d", n)) {
							if p.Disk != "" {
								disks[p.Disk] = true
							}
							moves = moves || p.Disk != "" && p.Done > 0 && p.Done < p.Total && p.Rate > 0
						}
						if moves && len(disks) > 1 {
							seen <- true
							return
						}
					}
					time.Sleep(20 * time.Millisecond)
				}
				seen <- false
			}()
			rep, err := followed(t, v)
			took := time.Since(began)
			if err != nil || rep.Verified != systems {
				t.Fatalf("%v: %+v", err, rep)
			}
			stop()
			if !<-seen || len(v.Log("app-0")) < 2 || !slices.ContainsFunc(v.Throughput(), func(s evacuate.Sample) bool { return s.Rate > 0 }) {
				t.Errorf("who follows sees nothing of it: log %+v, throughput %+v", v.Log("app-0"), v.Throughput())
			}
			moved := src.Sent.Load()
			least := time.Duration(float64(moved-limit/2) / limit * float64(time.Second))
			t.Logf("%d KiB in %v, at least %v", moved>>10, took, least)
			if took < least {
				t.Errorf("%d bytes in %v; at %d a second that takes %v", moved, took, limit, least)
			}
		})
	}
}
