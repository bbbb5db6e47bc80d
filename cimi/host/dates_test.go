package host

import (
	"testing"
	"time"
)

// TestDates: what was there keeps its date wherever it goes, what is new gets
// one, and what is as old as its root needs none.
func TestDates(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	a := &System{ID: "a", Created: day(1), Machines: []*Machine{{ID: "m", NICs: []NIC{{}}}, {ID: "late", Created: day(2)}},
		Systems: []*System{{ID: "inner", Disks: []*Disk{{ID: "d"}}}}}
	b := &System{ID: "b", Created: day(3), Networks: []*Network{{ID: "n"}}}
	dates := DatesOf(a, b)
	b.Machines, a.Machines = a.Machines, []*Machine{{ID: "new"}}
	b.Machines[0].NICs = append(b.Machines[0].NICs, NIC{ID: "card"})
	b.Systems, a.Systems = a.Systems, nil
	dates.Keep(a, day(4))
	dates.Keep(b, day(4))
	var none time.Time
	m := b.Machines[0]
	for _, x := range []struct {
		what      string
		got, want time.Time
	}{
		{"root a", a.Created, day(1)}, {"root b", b.Created, day(3)}, {"made now", a.Machines[0].Created, day(4)},
		{"moved with its root's date", m.Created, day(1)}, {"its card", m.NICs[0].Created, day(1)}, {"a new card", m.NICs[1].Created, day(4)},
		{"moved with its own date", b.Machines[1].Created, day(2)}, {"moved System", b.Systems[0].Created, day(1)},
		{"a disk in it", b.Systems[0].Disks[0].Created, day(1)}, {"stayed", b.Networks[0].Created, none},
	} {
		if !x.got.Equal(x.want) {
			t.Errorf("%s: %v, want %v", x.what, x.got, x.want)
		}
	}
}
