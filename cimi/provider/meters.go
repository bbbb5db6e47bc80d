package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// Aspects that can be measured here (T51), as far as the host knows them.
const (
	aspectCPU    = cimi.Namespace + "/aspect/cpu"
	aspectMemory = cimi.Namespace + "/aspect/memory"
	aspectDisk   = cimi.Namespace + "/aspect/disk"
)

// meterConfigs are the configurations that a new cloud has.
func meterConfigs() []*cimi.MeterConfiguration {
	config := func(key, description, aspect, units string, types ...string) *cimi.MeterConfiguration {
		m := &cimi.MeterConfiguration{Aspect: aspect, Units: units, SampleInterval: cimi.Int(60), TimeScope: "Point", IsContinuous: cimi.Bool(true)}
		m.ID, m.Name, m.Description, m.Parent = "meterConfigs/"+key, key, description, ref("meterConfigs")
		m.Created = now()
		m.Updated = m.Created
		for _, t := range types {
			m.AssociatedResources = append(m.AssociatedResources, cimi.TypeURI(t))
		}
		return m
	}
	return []*cimi.MeterConfiguration{
		config("cpu", "use of the processors", aspectCPU, "percent", "CloudEntryPoint", "System", "Machine"),
		config("memory", "memory in use", aspectMemory, "kibibytes", "CloudEntryPoint", "System", "Machine"),
		config("disk", "space that disks take", aspectDisk, "kilobytes", "CloudEntryPoint", "System", "Machine", "Volume"),
	}
}

// minInterval is the shortest time between samples, in seconds.
const minInterval = 1

// createMeter makes a Meter (5.17.4.1), through the collection of the entry
// point or of the resource that is measured.
func (p *Provider) createMeter(ctx context.Context, collection string, r *cimi.MeterCreate) (*cimi.Accepted, error) {
	t, err := resolve(ctx, p, "meterTemplate", r.MeterTemplate)
	if err != nil {
		return nil, err
	}
	target := plainID(cimi.HrefOf(t.TargetResource))
	if owner, ok := strings.CutSuffix(collection, "/meters"); ok {
		if target != "" && target != owner {
			return nil, cimi.Errorf(http.StatusBadRequest, "targetResource: %s, this is the collection of %s (T49)", target, owner)
		}
		target = owner
	}
	if target == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "targetResource: missing: it says what is measured (T49)")
	}
	c := &change{}
	m, err := p.addMeter(ctx, c, target, t, r)
	if err != nil {
		return nil, err
	}
	c.modelEvent(p, m, "create", "")
	return p.accept(ctx, c, cimi.RelAdd, collection, m.ID, nil)
}

// addMeter makes a Meter of target as a template says; name, description and
// properties are those of from, which may be nil.
func (p *Provider) addMeter(ctx context.Context, c *change, target string, t *cimi.MeterTemplate, from cimi.Resource) (*cimi.Meter, error) {
	if typeOfID(target) == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "targetResource: %s: no such resource", target)
	}
	r, err := p.read(ctx, target)
	if err != nil || r == nil {
		return nil, orBad(err, "targetResource: %s: no such resource", target)
	}
	m, err := p.planMeter(ctx, target, t, from)
	if err != nil {
		return nil, err
	}
	c.put("meters", m)
	c.link(p, target+"/meters", m.ID, extra{})
	c.then(func() { p.meters.add(m) })
	return m, nil
}

// planMeter makes the Meter, without asking whether its target is there yet.
func (p *Provider) planMeter(ctx context.Context, target string, t *cimi.MeterTemplate, from cimi.Resource) (*cimi.Meter, error) {
	cfg, err := resolve(ctx, p, "meterConfig", t.MeterConfig)
	if err != nil {
		return nil, err
	}
	if typ := cimi.TypeURI(typeOfID(target)); len(cfg.AssociatedResources) > 0 && !slices.Contains(cfg.AssociatedResources, typ) {
		return nil, cimi.Errorf(http.StatusBadRequest, "meterConfig: it measures %s, not a %s", strings.Join(cfg.AssociatedResources, ", "), typeOfID(target))
	}
	if err := p.measurable(cfg.Aspect, typeOfID(target)); err != nil {
		return nil, err
	}
	interval := max(cimi.IntValue(cfg.SampleInterval), 0)
	if interval == 0 {
		interval = 60
	}
	if interval < minInterval {
		return nil, cimi.Errorf(http.StatusBadRequest, "sampleInterval: at least %d seconds", minInterval)
	}
	m := &cimi.Meter{TargetResource: ref(target), Aspect: cfg.Aspect, Units: cfg.Units, SampleInterval: cimi.Int(interval), TimeScope: cfg.TimeScope,
		IntervalDuration: cfg.IntervalDuration, IsContinuous: cfg.IsContinuous}
	if from != nil {
		f := from.Base()
		m.Name, m.Description, m.Properties = f.Name, f.Description, f.Properties
	}
	m.ID = "meters/" + host.NewID()
	m.Parent = ref(target + "/meters")
	m.Created = now()
	m.Updated = m.Created
	return m, nil
}

// measurable refuses what this cloud cannot measure, so that no Meter stays
// without samples.
func (p *Provider) measurable(aspect, typeName string) error {
	if _, ok := p.host.(host.Gauge); !ok {
		return cimi.Errorf(http.StatusBadRequest, "meterConfig: this cloud does not know how much of it is in use")
	}
	switch aspect {
	case aspectCPU, aspectMemory:
		if typeName == "Machine" || typeName == "System" || typeName == "CloudEntryPoint" {
			return nil
		}
	case aspectDisk:
		if typeName == "Machine" || typeName == "System" || typeName == "CloudEntryPoint" || typeName == "Volume" {
			return nil
		}
	}
	return cimi.Errorf(http.StatusBadRequest, "aspect: %.200q of a %s is not measured here", aspect, typeName)
}

// meterRuns tells whether a Meter records samples.
func meterRuns(want bool) func(*Provider, *world, subject) bool {
	return func(_ *Provider, _ *world, s subject) bool { return runs(s.r.(*cimi.Meter), time.Now()) == want }
}

func runs(m *cimi.Meter, at time.Time) bool { return m.StopTime == nil || m.StopTime.Time.After(at) }

// startMeter begins to record samples, stopMeter ends it (5.17.3.2).
func (p *Provider) startMeter(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.changeMeter(ctx, s, a, func(m *cimi.Meter) { m.StopTime = nil })
}

func (p *Provider) stopMeter(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.changeMeter(ctx, s, a, func(m *cimi.Meter) { m.StopTime = now() })
}

func (p *Provider) changeMeter(ctx context.Context, s subject, a *cimi.Action, set func(*cimi.Meter)) (*cimi.Accepted, error) {
	defer p.changes.lock(s.id)()
	r, err := p.db.get(ctx, s.id)
	if err != nil || r == nil {
		return nil, orNotFound(err, s.id)
	}
	m := r.(*cimi.Meter)
	set(m)
	c := &change{}
	c.put("meters", m)
	c.then(func() { p.meters.add(m) })
	return p.accept(ctx, c, a.Action, s.id, "", nil)
}

// sampleSource are the samples of a Meter, oldest first.
func (p *Provider) sampleSource(ctx context.Context, meter string) source {
	n, err := p.db.count(ctx, "SELECT count(*) FROM samples WHERE meter = ?", meter)
	return sourceOfRows(n, err, func(limit, offset int) ([]cimi.Resource, error) {
		return p.scanSamples(ctx, "SELECT seq, meter, at, value FROM samples WHERE meter = ? ORDER BY seq LIMIT ? OFFSET ?", meter, limit, offset)
	})
}

func (p *Provider) scanSamples(ctx context.Context, query string, args ...any) ([]cimi.Resource, error) {
	rows, err := p.db.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cimi.Resource
	for rows.Next() {
		var seq, at int64
		var meter, value string
		if err := rows.Scan(&seq, &meter, &at, &value); err != nil {
			return nil, err
		}
		s := &cimi.Sample{Timestamp: cimi.TimeOf(time.Unix(0, at)), Value: value}
		s.ID, s.Parent, s.Created = "samples/"+strconv.FormatInt(seq, 10), ref(meter+"/samples"), s.Timestamp
		s.Updated = s.Created
		s.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/Sample")
		out = append(out, s)
	}
	return out, rows.Err()
}

func (p *Provider) readSample(ctx context.Context, id string) (cimi.Resource, error) {
	seq, err := strconv.ParseInt(strings.TrimPrefix(id, "samples/"), 10, 64)
	if err != nil {
		return nil, nil
	}
	found, err := p.scanSamples(ctx, "SELECT seq, meter, at, value FROM samples WHERE seq = ?", seq)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func dropSamples(tx *sql.Tx, meter string) error {
	_, err := tx.Exec("DELETE FROM samples WHERE meter = ?", meter)
	return err
}

// gone: what was asked about has gone just now.
func gone(err error) bool { return errors.Is(err, host.ErrNotFound) || cimi.IsNotFound(err) }
