package migrate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
)

// nested is a cloud that holds Systems and nothing else: inner are the names of
// those within each.
type nested struct {
	cimi.Provider
	inner map[string][]string
}

func (n nested) system(name string) *cimi.System {
	s := &cimi.System{State: cimi.StateStopped, Systems: &cimi.Ref[cimi.Collection]{Href: "systems/" + name + "/systems"}}
	s.ID, s.Name = "systems/"+name, name
	return s
}

func (n nested) EntryPoint(context.Context) (*cimi.CloudEntryPoint, error) {
	return &cimi.CloudEntryPoint{Systems: &cimi.Ref[cimi.Collection]{Href: "systems"}}, nil
}

func (n nested) Get(_ context.Context, id string, _ cimi.ReadOptions) (cimi.Resource, error) {
	return n.system(strings.TrimPrefix(id, "systems/")), nil
}

func (n nested) List(_ context.Context, id string, _ cimi.ListOptions) (*cimi.Collection, error) {
	of := strings.TrimSuffix(strings.TrimPrefix(id, "systems/"), "/systems")
	if id == "systems" {
		of = ""
	}
	c := &cimi.Collection{Count: cimi.Int(int64(len(n.inner[of])))}
	for _, name := range n.inner[of] {
		c.Items = append(c.Items, n.system(name))
	}
	return c, nil
}

// TestSystemsInACircle: a cloud whose Systems are within themselves is at
// fault, and the message shows the way round.
func TestSystemsInACircle(t *testing.T) {
	for name, inner := range map[string]map[string][]string{
		"itself":   {"": {"a"}, "a": {"a"}},
		"each":     {"": {"a"}, "a": {"b"}, "b": {"a"}},
		"two ways": {"": {"a"}, "a": {"b", "c"}, "b": {"c", "a"}, "c": {"b", "a"}},
		"inside":   {"": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			dst := newCloud(t).inProcess()
			_, err := migrate.NewPlan(t.Context(), migrate.Options{Source: migrate.Endpoint{Name: "old", Provider: nested{inner: inner}}, Destination: dst, System: "a"})
			if migrate.ClassOf(err) != migrate.ClassRemote || !strings.Contains(err.Error(), "circle: systems/") || !strings.Contains(err.Error(), " > systems/") {
				t.Errorf("class %v: %v", migrate.ClassOf(err), err)
			}
		})
	}
}
