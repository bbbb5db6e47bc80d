package provider

import (
	"context"
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// defaultPersistence is how long Events are kept where nobody says otherwise.
const defaultPersistence = "monthly"

// persistences are the times that Events can be kept for (T52).
var persistences = map[string]time.Duration{
	"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 31 * 24 * time.Hour, "yearly": 366 * 24 * time.Hour,
}

// maxEvents bounds the Events of the whole cloud: the oldest go first.
const maxEvents = 200_000

// severities counts the Events of logs.
type severities map[string]map[string]int64

func (p *Provider) countEvents(ctx context.Context, logs ...string) (severities, error) {
	query, args := "SELECT log, severity, count(*) FROM events GROUP BY log, severity", []any{}
	if len(logs) == 1 && logs[0] != cloudLog {
		query, args = "SELECT log, severity, count(*) FROM events WHERE log = ? GROUP BY severity", []any{logs[0]}
	}
	rows, err := p.db.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := severities{}
	for rows.Next() {
		var log, severity string
		var n int64
		if err := rows.Scan(&log, &severity, &n); err != nil {
			return nil, err
		}
		for _, l := range slices.Compact([]string{log, cloudLog}) {
			if out[l] == nil {
				out[l] = map[string]int64{}
			}
			out[l][severity] += n
		}
	}
	return out, rows.Err()
}

// showLog is the EventLog of a resource.
func (p *Provider) showLog(target string, counts severities) *cimi.EventLog {
	id := logID(target)
	r := &cimi.EventLog{TargetResource: ref(target), Events: collection(id + "/events"), Persistence: defaultPersistence, Summary: &cimi.EventSummary{}}
	r.ID, r.Parent = id, ref("eventLogs")
	r.Name = "events of " + target
	r.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/EventLog")
	of := counts[id]
	r.Summary.Low, r.Summary.Medium = cimi.Int(of["low"]), cimi.Int(of["medium"])
	r.Summary.High, r.Summary.Critical = cimi.Int(of["high"]), cimi.Int(of["critical"])
	p.lay(r)
	r.Operations = p.operations(nil, subject{id: id, kind: "eventLogs", r: r})
	return r
}

// readLog gives a log by its id, nil when it is none.
func (p *Provider) readLog(ctx context.Context, w *world, id string) (cimi.Resource, error) {
	target := logTarget(id)
	if logID(target) != id || !p.hasLog(target) {
		return nil, nil
	}
	if there, err := p.there(ctx, w, target); err != nil || !there {
		return nil, err
	}
	counts, err := p.countEvents(ctx, id)
	if err != nil {
		return nil, err
	}
	return p.showLog(target, counts), nil
}

// logSources are the logs of the cloud: its own, those of what the host holds,
// those of what the store has.
func (p *Provider) logSources(ctx context.Context, w *world) []source {
	return []source{{n: -1, each: func(yield func(entry) bool) error {
		counts, err := p.countEvents(ctx)
		if err != nil {
			return err
		}
		put := func(target string) bool { return !p.hasLog(target) || yield(entry{r: p.showLog(target, counts)}) }
		if !put(entryPoint) {
			return nil
		}
		for _, kind := range []string{"systems", "machines", "volumes", "networks", "segments", "endpoints", "interfaces"} {
			seq, _ := w.top(kind)
			for h := range seq {
				if !put(h.id()) {
					return nil
				}
			}
		}
		stored, err := texts(ctx, p.db.db, "SELECT id FROM resources WHERE collection IN ('networkServices', 'segments', 'endpoints', 'networkPorts') ORDER BY seq")
		if err != nil {
			return err
		}
		for _, id := range stored {
			if !put(id) {
				return nil
			}
		}
		return nil
	}}}
}

// createLog connects an EventLog with a resource (5.17.11), or gives the one it
// has another persistence.
func (p *Provider) createLog(ctx context.Context, collection string, r *cimi.EventLogCreate) (*cimi.Accepted, error) {
	t, err := resolve(ctx, p, "eventLogTemplate", r.EventLogTemplate)
	if err != nil {
		return nil, err
	}
	target := plainID(cimi.HrefOf(t.TargetResource))
	if target == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "targetResource: missing: the log of what?")
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	there, err := p.there(ctx, w, target)
	done()
	if err != nil || !there {
		return nil, orBad(err, "targetResource: %s: no such resource", target)
	}
	if a := cimi.AttributeNamed(typeOfID(target), "eventLog"); a == nil && target != entryPoint {
		return nil, cimi.Errorf(http.StatusBadRequest, "targetResource: a %s has no EventLog", typeOfID(target))
	}
	c := &change{}
	if err := p.addLog(c, target, t, r); err != nil {
		return nil, err
	}
	return p.accept(ctx, c, cimi.RelAdd, collection, logID(target), nil)
}

// addLog gives a resource an EventLog as a template says; name, description
// and properties are those of from, which may be nil.
func (p *Provider) addLog(c *change, target string, t *cimi.EventLogTemplate, from cimi.Resource) error {
	if t.Persistence != "" && persistences[t.Persistence] == 0 {
		return cimi.Errorf(http.StatusBadRequest, "persistence: expected one of hourly, daily, weekly, monthly, yearly, got %.40q", t.Persistence)
	}
	over := &cimi.EventLog{Persistence: t.Persistence}
	if over.Persistence == "" {
		over.Persistence = defaultPersistence
	}
	if from != nil {
		f := from.Base()
		over.Name, over.Description, over.Properties = f.Name, f.Description, f.Properties
	}
	over.Created = now()
	c.overlay(p, logID(target), over)
	return nil
}

// deleteLog removes a log with all its Events (5.17.8).
func (p *Provider) deleteLog(c *change, id string) {
	gone := cimi.New(goneLog)
	c.overlay(p, id, gone)
	c.write(func(tx *sql.Tx) error { return dropEvents(tx, id) })
}

func dropEvents(tx *sql.Tx, log string) error {
	if log == cloudLog {
		_, err := tx.Exec("DELETE FROM events")
		return err
	}
	_, err := tx.Exec("DELETE FROM events WHERE log = ?", log)
	return err
}

// pruneEvents drops Events that their log need not keep any more.
func (p *Provider) pruneEvents() error {
	shorter := map[string]time.Duration{}
	p.overlays.mu.RLock()
	longest := persistences[defaultPersistence]
	for id, o := range p.overlays.byID {
		if l, ok := o.r.(*cimi.EventLog); ok && strings.HasPrefix(id, "eventLogs/") {
			keep := persistences[l.Persistence]
			shorter[id] = keep
			longest = max(longest, keep)
		}
	}
	p.overlays.mu.RUnlock()
	at := time.Now()
	return p.db.change(func(tx *sql.Tx) error {
		for log, keep := range shorter {
			if _, err := tx.Exec("DELETE FROM events WHERE log = ? AND at < ?", log, at.Add(-keep).UnixNano()); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM events WHERE at < ?", at.Add(-longest).UnixNano()); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?", maxEvents)
		return err
	})
}

// orBad is err, or else a refusal.
func orBad(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return cimi.Errorf(http.StatusBadRequest, format, args...)
}
