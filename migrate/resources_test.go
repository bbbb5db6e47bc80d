package migrate_test

import (
	"context"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
)

// images lists the images that a cloud holds: none is left by a run.
func (c *cloud) images() []string {
	c.t.Helper()
	return append(c.names("volumeImages"), c.names("machineImages")...)
}

func (c *cloud) names(collection string) []string {
	c.t.Helper()
	col, err := c.p.List(context.Background(), collection, cimi.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	out := []string{}
	for _, r := range col.Items {
		out = append(out, r.Base().Name)
	}
	return out
}

// checkNoImages: nothing that was only needed on the way is left.
func checkNoImages(t *testing.T, clouds ...*cloud) {
	t.Helper()
	for _, c := range clouds {
		if left := c.images(); len(left) > 0 {
			t.Errorf("images are left: %v", left)
		}
	}
}

// TestResources moves a System between clouds that know no packages.
func TestResources(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct{ src, dst cimi.Version }{
		"2.0 to 2.0": {cimi.V2, cimi.V2}, "1.x to 2.0": {cimi.V1, cimi.V2}, "2.0 to 1.x": {cimi.V2, cimi.V1}, "1.x to 1.x": {cimi.V1, cimi.V1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hosttest.NewSample(t, "shop", 1)
			a, b := newCloud(t), newCloud(t)
			a.load(s)
			src, dst := a.bared(v.src, asBare), b.bared(v.dst, asBare)
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
			if err != nil {
				t.Fatal(err)
			}
			if rep.Via != "resources" {
				t.Errorf("via %s", rep.Via)
			}
			checkMoved(t, s, rep, b)
			checkNoImages(t, a, b)
			for _, c := range rep.Configuration {
				if !c.Equal {
					t.Errorf("%s", c)
				}
			}
		})
	}
}
