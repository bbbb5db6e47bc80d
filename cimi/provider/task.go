package provider

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// task is a Job, and what runs it.
type task struct {
	jobs   *jobs
	parent *task
	nested []*task
	cancel context.CancelCauseFunc // nil for a nested or ended Job
	done   chan struct{}           // closed when it has ended
	shares map[string][2]int64     // done and total of each nested Job

	job      *cimi.Job // guarded by jobs.mu
	findings []ovf.Finding
	err      error // why it failed; known when done is closed
}

// split makes a nested Job for each part, which has a name of its own.
func (t *task) split(parts []string) error {
	js := t.jobs
	js.mu.Lock()
	for _, part := range parts {
		j := newJob(t.job.Action, cimi.HrefOf(t.job.TargetResource))
		j.Name = part
		n := js.newTask(j, t)
		t.nested = append(t.nested, n)
		t.job.NestedJobs = append(t.job.NestedJobs, cimi.Ref[cimi.Job]{Href: j.ID})
		js.add(n)
	}
	all := []*cimi.Job{cimi.Clone(t.job)}
	for _, n := range t.nested {
		all = append(all, cimi.Clone(n.job))
	}
	js.mu.Unlock()
	return js.p.db.change(func(tx *sql.Tx) error { return putJobs(tx, all...) })
}

// endPart ends the nested Job of one part, so that others can go on.
func (t *task) endPart(part string, err error) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	for _, n := range t.nested {
		if n.job.Name == part {
			endJob(n.job, err, n.findings)
		}
	}
}

// endJob sets the outcome of a Job.
func endJob(j *cimi.Job, err error, findings []ovf.Finding) {
	switch {
	case err == nil:
		j.State, j.StatusMessage, j.ReturnCode = cimi.JobSuccess, "", cimi.Int(cimi.ReturnCode(0))
	case errors.Is(err, errStopped):
		j.State, j.StatusMessage, j.ReturnCode = cimi.JobStopped, sentence(err), cimi.Int(cimi.ReturnCode(130))
	default:
		j.State, j.StatusMessage, j.ReturnCode = cimi.JobFailed, sentence(err), cimi.Int(cimi.ReturnCode(classOf(err)))
	}
	switch {
	case err != nil:
		// What was made is removed: only the target stays listed.
		j.AffectedResources = j.AffectedResources[:min(1, len(j.AffectedResources))]
	case j.Action == cimi.RelDelete: // what is gone is not listed (5.17.1)
		j.AffectedResources = nil
	}
	if len(findings) > 0 {
		j.SetExtra(cimi.OVFFindings, findings)
	}
	j.Progress = cimi.Int(100)
	j.TimeOfStatusChange = now()
	j.Updated = j.TimeOfStatusChange
}

// sentence is an error in one line, nothing in it twice.
func sentence(err error) string {
	var said []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

// find notes a finding, which the Job shows when it has ended.
func (t *task) find(f ovf.Finding) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	t.findings = append(t.findings, f)
}

// tell sets an extension attribute of the Job; nil sets none.
func (t *task) tell(name string, value any) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	if value != nil {
		t.job.SetExtra(name, value)
	}
}

// affect lists resources that the Job, or one of its parts, has made or changed.
func (t *task) affect(part string, ids ...string) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	j := t.job
	for _, n := range t.nested {
		if part != "" && n.job.Name == part {
			j = n.job
		}
	}
	for _, id := range ids {
		j.AffectedResources = append(j.AffectedResources, cimi.Ref[cimi.Unknown]{Href: id})
	}
}

// progress sets how far one part is; "" is the Job itself.
func (t *task) progress(part string, done, total int64) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	for _, n := range t.nested {
		if n.job.Name == part {
			n.job.Progress = percent(done, total)
		}
	}
	t.shares[part] = [2]int64{done, total}
	var d, all int64
	for _, s := range t.shares {
		d, all = d+s[0], all+s[1]
	}
	t.job.Progress = percent(d, all)
}

// percent stays below 100 while the Job runs.
func percent(done, total int64) *int64 {
	if total <= 0 {
		return cimi.Int(0)
	}
	return cimi.Int(min(99, int64(float64(done)*100/float64(total))))
}

// snapshot is the Job as it is now.
func (t *task) snapshot() *cimi.Job {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	return cimi.Clone(t.job)
}

// wait waits for the end of the Job.
func (t *task) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended tells whether it ends within d.
func (t *task) ended(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return t.wait(ctx) == nil
}
