package providertest

import (
	"context"
	"errors"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

func (s *suite) entryPoint() {
	if s.cep.TypeName() != "CloudEntryPoint" || s.cep.ID == "" {
		s.Errorf("entry point: type %s, id %q", s.cep.TypeName(), s.cep.ID)
	}
	if len(s.offered()) == 0 {
		s.Error("the entry point names no collection")
	}
}

// collections reads every collection and the first entries of each.
func (s *suite) collections() {
	want := map[string]string{}
	for _, a := range cimi.Attributes("CloudEntryPoint") {
		want[a.Name] = a.Item
	}
	for name, id := range s.offered() {
		c, err := s.p.List(s.ctx, id, cimi.ListOptions{})
		if err != nil {
			s.Errorf("%s: %v", name, err)
			continue
		}
		if c.Item != want[name] {
			s.Errorf("%s holds %q, want %q", name, c.Item, want[name])
		}
		if c.ID != id {
			s.Errorf("%s: id %q, want %q", name, c.ID, id)
		}
		if c.Count == nil || *c.Count < int64(len(c.Items)) {
			s.Errorf("%s: count %v with %d entries", name, c.Count, len(c.Items))
		}
		for _, item := range c.Items[:min(len(c.Items), 3)] {
			r, err := s.p.Get(s.ctx, item.Base().ID, cimi.ReadOptions{})
			if cimi.IsNotFound(err) {
				continue // gone meanwhile
			}
			if err != nil {
				s.Errorf("%s: entry %s: %v", name, item.Base().ID, err)
				continue
			}
			if r.TypeName() != want[name] || r.Base().ID != item.Base().ID {
				s.Errorf("%s: entry %s reads as %s %s", name, item.Base().ID, r.TypeName(), r.Base().ID)
			}
		}
		if c.Operation(cimi.RelAdd) == nil {
			_, err := s.p.Create(s.ctx, id, cimi.New(c.Item))
			s.refused(err, "create in "+name+", which does not offer add")
		}
	}
}

func (s *suite) errors() {
	for name, id := range s.offered() {
		_, err := s.p.Get(s.ctx, id+"/no-such-thing", cimi.ReadOptions{})
		if !cimi.IsNotFound(err) {
			s.Errorf("%s: get of what is not there: %v, want 404", name, err)
		}
		break
	}
	any := ""
	for _, any = range s.offered() {
		break
	}
	missing := any + "/no-such-thing"
	_, err := s.p.List(s.ctx, missing, cimi.ListOptions{})
	if !cimi.IsNotFound(err) {
		s.Errorf("list of what is not there: %v, want 404", err)
	}
	_, err = s.p.Update(s.ctx, missing, &cimi.Machine{}, cimi.UpdateOptions{})
	s.refused(err, "update of what is not there")
	_, err = s.p.Delete(s.ctx, missing)
	s.refused(err, "delete of what is not there")
	_, err = s.p.Invoke(s.ctx, missing, &cimi.Action{Action: cimi.ActionStart})
	s.refused(err, "start of what is not there")
	_, err = s.p.Invoke(s.ctx, any, &cimi.Action{Action: cimi.Namespace + "/action/no-such-action"})
	s.refused(err, "an action that is not offered")
	if _, err = s.p.Open(s.ctx, missing); !cimi.IsNotFound(err) {
		s.Errorf("open of what is not there: %v, want 404", err)
	}
}

// metadata checks that what ResourceMetadata says of extension attributes is usable.
func (s *suite) metadata() {
	id := s.offered()["resourceMetadata"]
	if id == "" {
		s.Skip("the cloud offers no resourceMetadata")
	}
	for r, err := range cimi.All(s.ctx, s.p, id, cimi.ListOptions{}) {
		if err != nil {
			s.Fatal(err)
		}
		full := s.get(r.Base().ID)
		m, ok := full.(*cimi.ResourceMetadata)
		if !ok {
			s.Fatalf("%s is a %s", r.Base().ID, full.TypeName())
		}
		if m.TypeURI == "" || m.Name == "" || !strings.HasSuffix(m.TypeURI, "/"+m.Name) {
			s.Errorf("%s: typeURI %q, name %q (T6)", m.ID, m.TypeURI, m.Name)
		}
		for _, a := range m.Attributes {
			if (a.Namespace == "") != (cimi.AttributeNamed(m.Name, a.Name) != nil) {
				s.Errorf("%s: attribute %s has namespace %q (T6: extensions have one, others not)", m.ID, a.Name, a.Namespace)
			}
		}
	}
}

func (s *suite) cancel() {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	for _, id := range s.offered() {
		if _, err := s.p.List(ctx, id, cimi.ListOptions{}); err != nil && !errors.Is(err, context.Canceled) {
			s.Errorf("list with a cancelled context: %v", err)
		}
		break
	}
}

// query makes three resources where that is possible, and filters, sorts and
// subsets them (4.1.6).
func (s *suite) query() {
	id := s.collection("machineConfigs", cimi.RelAdd)
	for _, c := range []struct {
		name string
		cpu  int64
	}{{"pt-query-a", 4}, {"pt-query-b", 1}, {"pt-query-c", 2}} {
		s.create(id, &cimi.MachineConfiguration{
			Common: cimi.Common{Name: c.name, Properties: map[string]string{"pt": "query"}}, CPU: cimi.Int(c.cpu), Memory: cimi.Int(1024),
		})
	}
	mine := "property['pt']='query'"
	for _, c := range []struct {
		name  string
		opts  cimi.ListOptions
		want  string
		count int64
	}{
		{"filter", cimi.ListOptions{Filter: []string{mine + " and cpu>1"}, OrderBy: []string{"name"}}, "a c", 2},
		{"filter with brackets", cimi.ListOptions{Filter: []string{mine, "(cpu=1 or 4<=cpu) and name!='x'"}, OrderBy: []string{"name:asc"}}, "a b", 2},
		{"orderby", cimi.ListOptions{Filter: []string{mine}, OrderBy: []string{"cpu:desc"}}, "a c b", 3},
		{"first", cimi.ListOptions{Filter: []string{mine}, OrderBy: []string{"cpu"}, First: 2}, "c a", 3},
		{"first and last", cimi.ListOptions{Filter: []string{mine}, OrderBy: []string{"cpu"}, First: 2, Last: 2}, "c", 3},
		{"beyond", cimi.ListOptions{Filter: []string{mine}, First: 10, Last: 20}, "", 3},
		{"none", cimi.ListOptions{Filter: []string{"name='pt-none'"}}, "", 0},
	} {
		got, err := s.p.List(s.ctx, id, c.opts)
		if err != nil {
			s.Errorf("%s: %v", c.name, err)
			continue
		}
		var names []string
		for item, err := range cimi.All(s.ctx, s.p, id, c.opts) {
			if err != nil {
				s.Errorf("%s: %v", c.name, err)
				break
			}
			names = append(names, strings.TrimPrefix(item.Base().Name, "pt-query-"))
		}
		if strings.Join(names, " ") != c.want || cimi.IntValue(got.Count) != c.count {
			s.Errorf("%s: got %v, count %d; want %s, count %d", c.name, names, cimi.IntValue(got.Count), c.want, c.count)
		}
	}
	got, err := s.p.List(s.ctx, id, cimi.ListOptions{Filter: []string{mine}, ReadOptions: cimi.ReadOptions{Select: []string{"name", "cpu"}}})
	if err != nil {
		s.Fatal(err)
	}
	for _, item := range got.Items {
		c := item.(*cimi.MachineConfiguration)
		if c.ID != "" || c.Memory != nil || c.CPU == nil || c.Name == "" {
			s.Errorf("select: got %+v, want name and cpu only (4.1.6.3)", c)
		}
	}
	_, err = s.p.List(s.ctx, id, cimi.ListOptions{Filter: []string{"cpu >"}})
	s.refused(err, "a filter with a syntax error")
	n := 0
	for _, err := range cimi.All(s.ctx, s.p, id, cimi.ListOptions{Filter: []string{mine}}) {
		if err != nil {
			s.Fatal(err)
		}
		n++
	}
	if n != 3 {
		s.Errorf("All gave %d of 3", n)
	}
}
