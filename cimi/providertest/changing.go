package providertest

import (
	"github.com/cimimove/cimimove/cimi"
)

// templates creates, reads, updates wholly and in part, and deletes.
func (s *suite) templates() {
	id := s.collection("machineTemplates", cimi.RelAdd)
	r := s.create(id, &cimi.MachineTemplate{
		Common:       cimi.Common{Name: "pt-template", Description: "first", Properties: map[string]string{"k": " v\n"}},
		InitialState: "STOPPED",
		MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(2), Memory: cimi.Int(2048),
			Disks: []cimi.DiskConfiguration{{Capacity: cimi.Int(1000), Format: "ext4"}}}),
	})
	m, ok := r.(*cimi.MachineTemplate)
	if !ok {
		s.Fatalf("got a %s", r.TypeName())
	}
	if m.Name != "pt-template" || m.Properties["k"] != " v\n" || m.MachineConfig == nil || m.InitialState != "STOPPED" {
		s.Errorf("reads as %+v", m)
	}
	if m.MachineConfig != nil && m.MachineConfig.Href == "" {
		v := m.MachineConfig.Value
		if v == nil || cimi.IntValue(v.CPU) != 2 || cimi.IntValue(v.Memory) != 2048 || len(v.Disks) != 1 {
			s.Errorf("machineConfig by value reads as %+v", v)
		}
	}
	// A partial update touches what $select names, and nothing else (4.2.1.3.1).
	part := &cimi.MachineTemplate{Common: cimi.Common{Name: "pt-renamed"}}
	acc, err := s.p.Update(s.ctx, m.ID, part, cimi.UpdateOptions{Select: []string{"name", "description"}})
	s.finish(acc, err, m.ID)
	m2 := s.get(m.ID).(*cimi.MachineTemplate)
	if m2.Name != "pt-renamed" || m2.Description != "" || m2.InitialState != "STOPPED" || m2.MachineConfig == nil {
		s.Errorf("after a partial update: %+v", m2)
	}
	part.InitialState = "STARTED"
	_, err = s.p.Update(s.ctx, m.ID, part, cimi.UpdateOptions{Select: []string{"name"}})
	s.refused(err, "a partial update with an attribute that $select does not name")
	// A whole update removes what is absent, and ignores read-only attributes (4.2.1.3).
	whole := cimi.Clone(m2)
	whole.Properties = nil
	whole.Created = nil
	acc, err = s.p.Update(s.ctx, m.ID, whole, cimi.UpdateOptions{})
	s.finish(acc, err, m.ID)
	m3 := s.get(m.ID).(*cimi.MachineTemplate)
	if m3.Properties != nil || m3.Name != "pt-renamed" {
		s.Errorf("after a whole update: %+v", m3)
	}
	if m2.Created != nil && (m3.Created == nil || m3.Created.String() != m2.Created.String()) {
		s.Errorf("created was changed from %v to %v", m2.Created, m3.Created)
	}
	acc, err = s.p.Delete(s.ctx, m.ID)
	s.finish(acc, err, "")
	if _, err := s.p.Get(s.ctx, m.ID, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
		s.Errorf("after the delete: %v, want 404", err)
	}
	_, err = s.p.Create(s.ctx, id, &cimi.Volume{Common: cimi.Common{Name: "pt-wrong"}})
	s.refused(err, "a Volume among the MachineTemplates")
}

// machines creates by value, by reference, and by reference with overrides (4.2.1.1).
func (s *suite) machines() {
	machines := s.collection("machines", cimi.RelAdd)
	byValue := &cimi.MachineTemplate{MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(2), Memory: cimi.Int(4096)})}
	m := s.create(machines, &cimi.MachineCreate{Common: cimi.Common{Name: "pt-value"}, MachineTemplate: cimi.RefBy(byValue)}).(*cimi.Machine)
	if m.Name != "pt-value" || cimi.IntValue(m.CPU) != 2 || cimi.IntValue(m.Memory) != 4096 || m.State == "" {
		s.Errorf("by value: %+v", m)
	}
	if start := m.Operation(cimi.ActionStart); start != nil {
		acc, err := s.p.Invoke(s.ctx, m.ID, &cimi.Action{Action: cimi.ActionStart})
		s.finish(acc, err, m.ID)
		if st := s.get(m.ID).(*cimi.Machine).State; st != cimi.StateStarted {
			s.Errorf("after start: %s", st)
		}
		acc, err = s.p.Invoke(s.ctx, m.ID, &cimi.Action{Action: cimi.ActionStop, Force: cimi.Bool(true)})
		s.finish(acc, err, m.ID)
	}
	templates := s.collection("machineTemplates", cimi.RelAdd)
	t := s.create(templates, byValue)
	m = s.create(machines, &cimi.MachineCreate{Common: cimi.Common{Name: "pt-ref"}, MachineTemplate: cimi.RefTo[cimi.MachineTemplate](t.Base().ID)}).(*cimi.Machine)
	if cimi.IntValue(m.CPU) != 2 {
		s.Errorf("by reference: %+v", m)
	}
	over := &cimi.Ref[cimi.MachineTemplate]{Href: t.Base().ID, Value: &cimi.MachineTemplate{
		MachineConfig: cimi.RefBy(&cimi.MachineConfiguration{CPU: cimi.Int(3), Memory: cimi.Int(4096)})}}
	m = s.create(machines, &cimi.MachineCreate{Common: cimi.Common{Name: "pt-over"}, MachineTemplate: over}).(*cimi.Machine)
	if cimi.IntValue(m.CPU) != 3 {
		s.Errorf("by reference with overrides: %+v", m)
	}
	_, err := s.p.Create(s.ctx, machines, &cimi.MachineCreate{MachineTemplate: cimi.RefTo[cimi.MachineTemplate](templates + "/no-such-thing")})
	s.refused(err, "a template that is not there")
}

func (s *suite) volumes() {
	id := s.collection("volumes", cimi.RelAdd)
	v := s.create(id, &cimi.VolumeCreate{Common: cimi.Common{Name: "pt-volume"},
		VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(2000)})})}).(*cimi.Volume)
	if v.Name != "pt-volume" || cimi.IntValue(v.Capacity) < 2000 || v.State == "" {
		s.Errorf("reads as %+v", v)
	}
}

// credentials: the password goes in and never comes out.
func (s *suite) credentials() {
	id := s.collection("credentials", cimi.RelAdd)
	c := s.create(id, &cimi.CredentialCreate{Common: cimi.Common{Name: "pt-credential"},
		CredentialTemplate: cimi.RefBy(&cimi.CredentialTemplate{UserName: "root", Password: "secret"})}).(*cimi.Credential)
	if c.UserName != "root" || c.Password != "" {
		s.Errorf("reads as user %q, password %q; want root and none", c.UserName, c.Password)
	}
	acc, err := s.p.Update(s.ctx, c.ID, c, cimi.UpdateOptions{})
	s.finish(acc, err, c.ID)
	if acc.Resource != nil && acc.Resource.(*cimi.Credential).Password != "" {
		s.Error("the answer to an update shows the password")
	}
}

// ifMatch: of two changes of the same state one fails (4.1.7.2).
func (s *suite) ifMatch() {
	id := s.collection("machineConfigs", cimi.RelAdd)
	r := s.create(id, &cimi.MachineConfiguration{Common: cimi.Common{Name: "pt-tag"}, CPU: cimi.Int(1), Memory: cimi.Int(1)})
	tag := cimi.ETag(r)
	first := cimi.Clone(r).(*cimi.MachineConfiguration)
	first.CPU = cimi.Int(2)
	acc, err := s.p.Update(s.ctx, first.ID, first, cimi.UpdateOptions{IfMatch: tag})
	s.finish(acc, err, first.ID)
	second := cimi.Clone(r).(*cimi.MachineConfiguration)
	second.CPU = cimi.Int(3)
	_, err = s.p.Update(s.ctx, second.ID, second, cimi.UpdateOptions{IfMatch: tag})
	if cimi.StatusOf(err) != 412 {
		s.Errorf("the second change of the same state: %v, want 412", err)
	}
	if got := s.get(first.ID).(*cimi.MachineConfiguration); cimi.IntValue(got.CPU) != 2 {
		s.Errorf("the lost update: cpu is %d, want 2", cimi.IntValue(got.CPU))
	}
}
