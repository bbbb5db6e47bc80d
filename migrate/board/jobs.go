package board

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// maxJobs bounds how many Jobs are shown, newest first.
const maxJobs = 200

// jobsInterval is how often a cloud's Jobs are looked at: a Provider does not
// tell of changes.
const jobsInterval = time.Second

// OfJobs is the Source of a cloud that is served: its imports, exports and
// other Jobs (DSP0263 5.17.1), nested ones as bars.
func OfJobs(title string, p cimi.Provider) Source {
	return &jobs{title: title, p: p, names: map[string]string{}}
}

type jobs struct {
	title string
	p     cimi.Provider

	mu    sync.Mutex
	names map[string]string // of what ended Jobs were about, by Job
}

// maxNames bounds what is kept of names.
const maxNames = 4 * maxJobs

// Watch ticks: a Provider does not tell of changes.
func (*jobs) Watch() (<-chan struct{}, func()) {
	c, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		t := time.NewTicker(jobsInterval)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				select {
				case c <- struct{}{}:
				default:
				}
			}
		}
	}()
	return c, func() { close(done) }
}

func (s *jobs) list(ctx context.Context) ([]*cimi.Job, error) {
	cep, err := s.p.EntryPoint(ctx)
	if err != nil {
		return nil, err
	}
	var out []*cimi.Job
	for r, err := range cimi.All(ctx, s.p, cimi.HrefOf(cep.Jobs), cimi.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		if j, ok := r.(*cimi.Job); ok {
			out = append(out, j)
		}
	}
	slices.SortStableFunc(out, func(x, y *cimi.Job) int { return moment(y.Created).Compare(moment(x.Created)) })
	return out, nil
}

func moment(t *cimi.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// Board shows Jobs that are under way in one lane and those that ended in another.
func (s *jobs) Board(ctx context.Context) (*Board, error) {
	all, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	b := &Board{Title: s.title, Subtitle: "jobs of this cloud", State: "idle", Things: "jobs", Done: "done", Failed: "failed", Time: time.Now(), Rates: []Sample{},
		Lanes: []Lane{{Name: "under way", State: "running", Cards: []Card{}}, {Name: "ended", State: "ended", Cards: []Card{}}}}
	nested := map[string][]*cimi.Job{}
	for _, j := range all {
		if j.ParentJob != nil {
			nested[j.ParentJob.Href] = append(nested[j.ParentJob.Href], j)
		}
	}
	for _, j := range all {
		if j.ParentJob != nil {
			continue
		}
		b.Totals.Systems++
		c := Card{ID: j.ID, State: jobState(j), Started: stamp(j.Created)}
		lane := &b.Lanes[0]
		switch c.State {
		case "running":
			b.Totals.Running++
			b.State = "running"
			c.Step = strings.ToLower(j.State)
			c.Disks = jobBars(j, nested[j.ID])
		case "failed":
			b.Totals.Failed++
			c.Error = j.StatusMessage
			lane = &b.Lanes[1]
		default:
			b.Totals.Done++
			lane = &b.Lanes[1]
		}
		if j.Ended() {
			c.Ended = stamp(j.TimeOfStatusChange)
		}
		if len(lane.Cards) < maxJobs {
			c.System = s.called(ctx, j)
			lane.Cards = append(lane.Cards, c)
		}
	}
	for n := range b.Lanes {
		b.Lanes[n].Note = fmt.Sprint(len(b.Lanes[n].Cards))
	}
	return b, nil
}

func stamp(t *cimi.Time) *time.Time {
	if t == nil || t.Time.IsZero() {
		return nil
	}
	return &t.Time
}

// called is the action's last word and the name of what it is about.
func (s *jobs) called(ctx context.Context, j *cimi.Job) string {
	title := path.Base(j.Action)
	if j.Name != "" {
		return title + " " + j.Name
	}
	s.mu.Lock()
	name, known := s.names[j.ID]
	s.mu.Unlock()
	if !known {
		name = s.subject(ctx, j)
		s.mu.Lock()
		if len(s.names) >= maxNames {
			clear(s.names)
		}
		// While a Job runs, what it makes may not be there yet.
		if j.Ended() {
			s.names[j.ID] = name
		}
		s.mu.Unlock()
	}
	return strings.TrimSpace(title + " " + name)
}

// subject names what a Job made, or else its target: by name where it has one.
func (s *jobs) subject(ctx context.Context, j *cimi.Job) string {
	id := cimi.HrefOf(j.TargetResource)
	if len(j.AffectedResources) > 1 {
		id = j.AffectedResources[1].Href // the target stands first (5.17.1)
	}
	if id == "" {
		return ""
	}
	if r, err := s.p.Get(ctx, id, cimi.ReadOptions{Select: []string{"name"}}); err == nil && r.Base().Name != "" {
		return r.Base().Name
	}
	return path.Base(id)
}

func jobState(j *cimi.Job) string {
	switch j.State {
	case cimi.JobSuccess:
		return "done"
	case cimi.JobFailed:
		return "failed"
	case cimi.JobStopped:
		return "cancelled"
	}
	return "running"
}

func jobBars(j *cimi.Job, nested []*cimi.Job) []Bar {
	bar := func(name string, j *cimi.Job) Bar {
		return Bar{Disk: name, Phase: path.Base(j.Action), Done: cimi.IntValue(j.Progress), Total: 100}
	}
	if len(nested) == 0 {
		return []Bar{bar("", j)}
	}
	var out []Bar
	for _, n := range nested {
		name := n.Name
		if name == "" {
			name = path.Base(n.ID)
		}
		out = append(out, bar(name, n))
	}
	slices.SortFunc(out, func(x, y Bar) int { return strings.Compare(x.Disk, y.Disk) })
	return out
}

// Log is what a Job and its nested ones say of themselves.
func (s *jobs) Log(ctx context.Context, card string) ([]Line, error) {
	r, err := s.p.Get(ctx, card, cimi.ReadOptions{})
	if err != nil {
		return nil, err
	}
	j, ok := r.(*cimi.Job)
	if !ok {
		return nil, nil
	}
	lines := []Line{{moment(j.Created), "begun: " + j.Action}}
	for _, ref := range j.NestedJobs {
		if n, err := s.p.Get(ctx, ref.Href, cimi.ReadOptions{}); err == nil {
			if n, ok := n.(*cimi.Job); ok {
				lines = append(lines, Line{moment(n.TimeOfStatusChange), strings.TrimSpace(n.Name + " " + n.State + " " + n.StatusMessage)})
			}
		}
	}
	return append(lines, Line{moment(j.TimeOfStatusChange), strings.TrimSpace(j.State + " " + j.StatusMessage)}), nil
}
