package host

import (
	"strconv"
	"time"
)

// Dates tells when each part of some Systems was made (DSP0263 5.7.1), by its
// id. A part without a date of its own was made with its root.
type Dates map[string]time.Time

// DatesOf are the dates of Systems as they are, before they are changed.
func DatesOf(roots ...*System) Dates {
	d := Dates{}
	for _, root := range roots {
		root.dates(func(id string, created *time.Time) {
			if d[id] = *created; created.IsZero() {
				d[id] = root.Created
			}
		})
	}
	return d
}

// Keep gives the parts of a changed System, the root excepted, the dates that
// they had, and those that were not there before the date at.
func (d Dates) Keep(root *System, at time.Time) {
	root.dates(func(id string, created *time.Time) {
		if created == &root.Created {
			return
		}
		was, ok := d[id]
		if !ok {
			was = at
		}
		if *created = was; was.Equal(root.Created) {
			*created = time.Time{}
		}
	})
}

// dates shows the date of each part, zero where it has none of its own.
func (s *System) dates(show func(id string, created *time.Time)) {
	for k := range s.All() {
		show(k.ID, &k.Created)
	}
	for m := range s.AllMachines() {
		show(m.ID, &m.Created)
		for i := range m.NICs {
			show(m.ID+"."+m.CardID(i), &m.NICs[i].Created)
		}
	}
	for d := range s.AllDisks() {
		show(d.ID, &d.Created)
	}
	for n := range s.AllNetworks() {
		show(n.ID, &n.Created)
	}
}

// CardID tells a card from the others of its machine: its position, unless it
// was given an id when cards came or went.
func (m *Machine) CardID(i int) string {
	if id := m.NICs[i].ID; id != "" {
		return id
	}
	return strconv.Itoa(i)
}
