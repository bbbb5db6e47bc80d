package hosttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// Card is a network card as a hypervisor has it; Model is in lower case.
type Card struct{ Model, MAC string }

// batchSize is how many machines AC-25 asks for.
const batchSize = 50

// Batch imports fifty machines with random cards, several at a time, and
// compares what cards gives of each with its own descriptor: order, models and
// addresses. The machines stay for whoever opened the host to remove.
func Batch(t *testing.T, h host.Host, cards func(*host.System) []Card) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	models := []string{"E1000", "E1000e", "VmxNet3", "PCNet32"}
	want := make([][]Card, batchSize)
	packages := make([][]byte, batchSize)
	for i := range want {
		var items []ovf.Item
		for n := range r.IntN(5) {
			c := Card{Model: models[r.IntN(len(models))], MAC: fmt.Sprintf("00:50:56:%02x:%02x:%02x", i, n, r.IntN(256))}
			want[i] = append(want[i], Card{strings.ToLower(c.Model), c.MAC})
			items = append(items, ovf.Item{ResourceType: ovf.ResourceEthernet, Connection: []string{"lan"}, Address: c.MAC, ResourceSubType: c.Model, AutomaticAllocation: true})
		}
		name := fmt.Sprint("batch", i)
		packages[i] = Archive(t, ovf.Draft{Networks: []ovf.Network{{Name: "lan"}}, Content: ovf.DraftContent{ID: name, Name: name, Hardware: []ovf.DraftHardware{Hardware("", items...)}}})
	}
	ctx := context.Background()
	systems := make([]*host.System, batchSize)
	var all sync.WaitGroup
	turn := make(chan struct{}, 4)
	for i := range packages {
		pkg := Package(t, packages[i])
		all.Add(1)
		go func() {
			defer all.Done()
			turn <- struct{}{}
			defer func() { <-turn }()
			var err error
			if systems[i], err = h.Import(ctx, pkg, host.ImportOptions{}); err != nil {
				t.Errorf("machine %d: %v", i, err)
			}
		}()
	}
	all.Wait()
	for i, s := range systems {
		if s == nil {
			continue
		}
		if got := cards(s); !slices.Equal(got, want[i]) {
			t.Errorf("machine %d has the cards %v, its descriptor has %v", i, got, want[i])
		}
	}
}
