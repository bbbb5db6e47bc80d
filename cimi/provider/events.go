package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// Types of Events (T55).
const (
	eventState = cimi.Namespace + "/event/state"
	eventAlarm = cimi.Namespace + "/event/alarm"
	eventModel = cimi.Namespace + "/event/model"
)

// logged are the kinds whose resources have an EventLog without being asked
// for; others get one by their template.
var logged = map[string]bool{"systems": true, "machines": true, "volumes": true, "networks": true, "networkServices": true}

// cloudLog is the log of the cloud itself: every Event of every resource.
const cloudLog = "eventLogs/" + entryPoint

// logID is the id of the EventLog of a resource.
func logID(target string) string { return "eventLogs/" + strings.ReplaceAll(target, "/", ".") }

// logTarget is the resource that a log is of.
func logTarget(id string) string {
	key := strings.TrimPrefix(id, "eventLogs/")
	if key == entryPoint {
		return key
	}
	return strings.Replace(key, ".", "/", 1)
}

// logOf is the reference of a resource to its EventLog, nil when it has none.
func (p *Provider) logOf(target string) *cimi.Ref[cimi.EventLog] {
	if !p.hasLog(target) {
		return nil
	}
	return cimi.RefTo[cimi.EventLog](logID(target))
}

// hasLog: what lies over a log's id says that it was made by a template, or
// that it was deleted.
func (p *Provider) hasLog(target string) bool {
	kind, _, _ := strings.Cut(target, "/")
	if o := p.overlays.get(logID(target)); o != nil {
		return o.r.TypeName() != goneLog
	}
	return logged[kind] || target == entryPoint
}

// goneLog is the type of what lies over a log that was deleted.
const goneLog = "Deleted"

// event is something that happened to a resource.
type event struct {
	target   string
	typ      string
	outcome  string // Status, Success, Failure, …
	severity string // low, medium, high, critical
	content  map[string]any
	at       time.Time
}

// event records what happened, in the log of the resource; an event of what
// has none, or is gone, stands in the cloud's.
func (c *change) event(p *Provider, e event) {
	log := cloudLog
	if p.hasLog(e.target) && e.content["change"] != "delete" {
		log = logID(e.target)
	}
	if e.at.IsZero() {
		e.at = time.Now()
	}
	c.write(func(tx *sql.Tx) error {
		body, err := json.Marshal(storedEvent{e.target, e.typ, e.outcome, e.content})
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO events(log, at, severity, body) VALUES (?,?,?,?)", log, e.at.UnixNano(), e.severity, body)
		return err
	})
}

type storedEvent struct {
	Target  string         `json:"target"`
	Type    string         `json:"type"`
	Outcome string         `json:"outcome"`
	Content map[string]any `json:"content"`
}

// modelEvent tells that a resource was created, updated or deleted.
func (c *change) modelEvent(p *Provider, r cimi.Resource, what, detail string) {
	b := r.Base()
	content := map[string]any{"resName": b.Name, "resource": b.ID, "resType": cimi.TypeURI(r.TypeName()), "change": what}
	if detail != "" {
		content["detail"] = detail
	}
	c.event(p, event{target: b.ID, typ: eventModel, outcome: "Success", severity: "low", content: content})
}

// stateEvent tells that a resource went from one state to another.
func (c *change) stateEvent(p *Provider, id, name, typeName, was, is string) {
	severity := "low"
	if is == cimi.StateError || is == cimi.StateFailed {
		severity = "critical"
	}
	c.event(p, event{target: id, typ: eventState, outcome: "Status", severity: severity, content: map[string]any{
		"resName": name, "resource": id, "resType": cimi.TypeURI(typeName), "state": is, "previous": was}})
}

// jobEvent tells how a Job ended: an alarm where it failed.
func (p *Provider) jobEvent(c *change, j *cimi.Job) {
	target := cimi.HrefOf(j.TargetResource)
	if _, ok := kindByID[target]; ok || target == "" {
		target = entryPoint
	}
	if j.State == cimi.JobFailed {
		content := map[string]any{"resource": cimi.HrefOf(j.TargetResource), "restype": cimi.TypeURI("Job"), "detail": j.StatusMessage,
			"code": strconv.FormatInt(cimi.IntValue(j.ReturnCode), 10), "job": j.ID}
		c.event(p, event{target: target, typ: eventAlarm, outcome: "Failure", severity: "high", content: content})
		return
	}
	c.event(p, event{target: target, typ: eventState, outcome: "Success", severity: "low", content: map[string]any{
		"resName": j.Action, "resource": j.ID, "resType": cimi.TypeURI("Job"), "state": j.State, "previous": cimi.JobRunning}})
}

// noticeChange tells of machines whose state is another one now, whoever
// changed it.
func (p *Provider) noticeChange(old *place, s *host.System) {
	if old == nil || isImage(s) {
		return
	}
	was := map[string]host.PowerState{}
	for m := range old.AllMachines() {
		was[m.ID] = m.State
	}
	c := &change{}
	for m := range s.AllMachines() {
		if before, ok := was[m.ID]; ok && before != m.State {
			c.stateEvent(p, "machines/"+m.ID, m.Name, "Machine", string(before), string(m.State))
			if m.State == host.Failed {
				p.failed(m.ID)
			}
		}
	}
	if len(c.writes) > 0 {
		go func() { _ = p.commit(c) }() // an Event that cannot be kept stops nobody
	}
}

// eventSource are the Events of a log, oldest first.
func (p *Provider) eventSource(ctx context.Context, log string) source {
	where, args := "log = ?", []any{log}
	if log == cloudLog {
		where, args = "1", nil
	}
	n, err := p.db.count(ctx, "SELECT count(*) FROM events WHERE "+where, args...)
	return sourceOfRows(n, err, func(limit, offset int) ([]cimi.Resource, error) {
		return p.scanEvents(ctx, "SELECT seq, log, at, severity, body FROM events WHERE "+where+" ORDER BY seq LIMIT ? OFFSET ?", append(slices.Clone(args), limit, offset)...)
	})
}

func (p *Provider) scanEvents(ctx context.Context, query string, args ...any) ([]cimi.Resource, error) {
	rows, err := p.db.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cimi.Resource
	for rows.Next() {
		var seq, at int64
		var log, severity string
		var body []byte
		if err := rows.Scan(&seq, &log, &at, &severity, &body); err != nil {
			return nil, err
		}
		var s storedEvent
		if err := json.Unmarshal(body, &s); err != nil {
			return nil, fmt.Errorf("stored event %d: %w", seq, err)
		}
		for _, k := range []string{"resource", "job"} { // as references
			if id, ok := s.Content[k].(string); ok {
				s.Content[k] = map[string]any{"href": id}
			}
		}
		e := &cimi.Event{Timestamp: cimi.TimeOf(time.Unix(0, at)), Type: s.Type, Outcome: s.Outcome, Severity: severity, Content: any(s.Content)}
		e.ID, e.Created, e.Parent = "events/"+strconv.FormatInt(seq, 10), e.Timestamp, ref(log+"/events")
		e.Updated = e.Created
		e.Name = lastWord(s.Type)
		e.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/Event")
		e.Operations = p.operations(nil, subject{id: e.ID, kind: "events", r: e})
		out = append(out, e)
	}
	return out, rows.Err()
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

func (p *Provider) readEvent(ctx context.Context, id string) (cimi.Resource, error) {
	seq, err := strconv.ParseInt(strings.TrimPrefix(id, "events/"), 10, 64)
	if err != nil {
		return nil, nil
	}
	found, err := p.scanEvents(ctx, "SELECT seq, log, at, severity, body FROM events WHERE seq = ?", seq)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
