package provider

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// maxSamples is how many samples of a Meter are kept: the oldest go first.
const maxSamples = 10_000

// meters are those that record samples, with when each is due.
type meters struct {
	mu  sync.Mutex
	due map[string]*metered
}

type metered struct {
	*cimi.Meter
	next time.Time
}

// add makes a Meter known, new or changed: its first sample is due now.
func (ms *meters) add(m *cimi.Meter) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.due == nil {
		ms.due = map[string]*metered{}
	}
	ms.due[m.ID] = &metered{m, time.Now()}
}

func (ms *meters) drop(id string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.due, id)
}

// take gives the Meters that are due, and those whose time is over.
func (ms *meters) take(at time.Time) (due []*cimi.Meter, expired []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for id, m := range ms.due {
		switch {
		case m.ExpiresTime != nil && m.ExpiresTime.Before(at):
			expired = append(expired, id)
		case runs(m.Meter, at) && !m.next.After(at):
			due = append(due, m.Meter)
			m.next = at.Add(time.Duration(cimi.IntValue(m.SampleInterval)) * time.Second)
		}
	}
	return due, expired
}

// openMeters takes up those of earlier processes.
func (p *Provider) openMeters(ctx context.Context) error {
	rs, err := p.db.list(ctx, "meters", 0, -1)
	for _, r := range rs {
		if m, ok := r.(*cimi.Meter); ok {
			p.meters.add(m)
		}
	}
	return err
}

// sample takes the samples that are due, and removes Meters whose time is over.
func (p *Provider) sample(ctx context.Context) {
	due, expired := p.meters.take(time.Now())
	for _, id := range expired {
		_, _ = p.Delete(ctx, id) // tried again the next time
	}
	if len(due) == 0 {
		return
	}
	type taken struct {
		meter, value string
		at           int64
	}
	var samples []taken
	for _, m := range due {
		if v, ok := p.measure(ctx, m.Aspect, cimi.HrefOf(m.TargetResource)); ok {
			samples = append(samples, taken{m.ID, v, time.Now().UnixNano()})
		}
	}
	if len(samples) == 0 {
		return
	}
	// A sample that cannot be kept is one that is missing; the next one comes.
	_ = p.db.change(func(tx *sql.Tx) error {
		for _, s := range samples {
			if _, err := tx.Exec("INSERT INTO samples(meter, at, value) VALUES (?,?,?)", s.meter, s.at, s.value); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM samples WHERE meter = ? AND seq < (SELECT seq FROM samples WHERE meter = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)", s.meter, s.meter, maxSamples-1); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure asks the host; ok is false where it does not know.
func (p *Provider) measure(ctx context.Context, aspect, target string) (value string, ok bool) {
	gauge, ok := p.host.(host.Gauge)
	if !ok {
		return "", false
	}
	machines, disks, err := p.measured(ctx, target)
	if err != nil {
		return "", false
	}
	switch aspect {
	case aspectDisk:
		var sum int64
		for _, d := range disks {
			n, err := gauge.DiskUse(ctx, d)
			if gone(err) {
				continue
			}
			if err != nil || n < 0 {
				return "", false
			}
			sum += n
		}
		return strconv.FormatInt(roundUp(sum, 1000), 10), true
	case aspectCPU, aspectMemory:
		var cpu float64
		var cpus, memory int64
		for _, m := range machines {
			use, err := gauge.MachineUse(ctx, m.ID)
			if gone(err) {
				continue
			}
			if err != nil || aspect == aspectCPU && use.CPUPercent < 0 || aspect == aspectMemory && use.MemoryBytes < 0 {
				return "", false
			}
			n := int64(max(m.CPUs, 1))
			cpu, cpus, memory = cpu+use.CPUPercent*float64(n), cpus+n, memory+use.MemoryBytes
		}
		if aspect == aspectMemory {
			return strconv.FormatInt(roundUp(memory, 1024), 10), true
		}
		if cpus == 0 {
			return "0", true
		}
		return strconv.FormatFloat(cpu/float64(cpus), 'f', 1, 64), true
	}
	return "", false
}

// measured are the machines and disks that a resource consists of.
func (p *Provider) measured(ctx context.Context, target string) (machines []*host.Machine, disks []string, err error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	kind, key, _ := strings.Cut(target, "/")
	switch kind {
	case entryPoint:
		seq, _ := w.top("machines")
		for h := range seq {
			machines = append(machines, h.machine)
		}
		for root := range w.all() {
			for d := range root.AllDisks() {
				disks = append(disks, d.ID)
			}
		}
	case "systems":
		if s, ok := w.system[key]; ok {
			for _, m := range w.machinesOf(s.System) {
				machines = append(machines, m.Machine)
			}
			for d := range s.AllDisks() {
				disks = append(disks, d.ID)
			}
		}
	case "machines":
		if m, ok := w.machine[key]; ok {
			machines = append(machines, m.Machine)
			for _, a := range m.Attachments {
				disks = append(disks, a.DiskID)
			}
		}
	case "volumes":
		if d, ok := w.disk[key]; ok {
			disks = append(disks, d.ID)
		}
	}
	return machines, disks, nil
}
