package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// outcome is what became of an import whose process died.
type outcome int

const (
	gone     outcome = iota // it failed, or never began
	alive                   // its Job goes on
	imported                // it has succeeded
)

// ErrWhose: a System of the name appeared and cannot be told to be the run's.
var ErrWhose = errors.New("a System of that name has appeared, and nothing tells whether this run made it")

// settle finds out what became of an import that was begun. The journal may
// know the Job and the System, or, when the process died before the answer was
// recorded, only that it was asked for: then the run's mark tells its System.
func (r *run) settle(ctx context.Context, in *importNotes) (outcome, error) {
	if in.Job == "" && in.System == "" {
		own, err := r.findOwn(ctx, in)
		if err != nil || own == nil {
			return gone, err
		}
		in.System = own.ID
	}
	if in.Job == "" {
		var err error
		if in.Job, err = jobOf(ctx, r.dst, in.System); err != nil {
			return gone, err
		}
	}
	if in.Job != "" {
		res, err := r.dst.Provider.Get(ctx, in.Job, cimi.ReadOptions{})
		if err != nil && !cimi.IsNotFound(err) {
			return gone, err
		}
		if job, ok := res.(*cimi.Job); err == nil && ok {
			if in.System == "" {
				if in.System, err = systemOfJob(ctx, r.dst.Provider, job); err != nil {
					return gone, err
				}
			}
			switch {
			case !job.Ended():
				return alive, nil
			case job.State == cimi.JobSuccess && in.System != "":
				return r.isThere(ctx, in.System)
			}
			return gone, nil
		}
	}
	if in.System == "" {
		return gone, nil
	}
	return r.isThere(ctx, in.System)
}

// isThere tells a System that is complete from one that is not or is no more.
func (r *run) isThere(ctx context.Context, id string) (outcome, error) {
	res, err := r.dst.Provider.Get(ctx, id, cimi.ReadOptions{})
	if cimi.IsNotFound(err) {
		return gone, nil
	}
	if err != nil {
		return gone, err
	}
	switch state, _ := cimi.Value(res, "state").(string); state {
	case cimi.StateCreating, cimi.StateDeleting, cimi.StateError, cimi.StateFailed:
		return gone, nil
	}
	return imported, nil
}

// findOwn finds the System of this run at the destination by its mark. Clouds
// show marks when all is there, some only then: one of the name that is in the
// making is waited for. What bears no mark then may be another client's.
func (r *run) findOwn(ctx context.Context, in *importNotes) (*cimi.System, error) {
	patience, cancel := context.WithTimeout(ctx, r.engine.stallTimeout())
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(wait*2, time.Second) {
		own, other, err := r.lookForOwn(ctx, in)
		if own != nil || other == nil || err != nil {
			return own, err
		}
		if other.State != cimi.StateCreating || sleep(patience, wait) != nil {
			return nil, refuse(StepImport, Destination, other.ID, ErrWhose, "remove or rename it, then resume")
		}
	}
}

// lookForOwn gives the System that bears the mark, or else one of the name that
// was not there before and bears none; of several one that is not in the making.
func (r *run) lookForOwn(ctx context.Context, in *importNotes) (own, other *cimi.System, err error) {
	_, href, err := systemsOf(ctx, r.dst)
	if err != nil {
		return nil, nil, err
	}
	there, err := byName(ctx, r.dst, href, in.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range there {
		if slices.Contains(in.Before, s.ID) {
			continue
		}
		if s.Properties[runProperty] == r.id {
			return s, nil, nil
		}
		if s.Properties[runProperty] == "" && (other == nil || other.State == cimi.StateCreating) {
			other = s
		}
	}
	return nil, other, nil
}

// jobOf finds the import Job that made a System; empty when none is told.
func jobOf(ctx context.Context, e Endpoint, system string) (string, error) {
	cep, err := e.Provider.EntryPoint(ctx)
	if err != nil {
		return "", err
	}
	all, err := listAll(ctx, e.Provider, cimi.HrefOf(cep.Jobs))
	if err != nil {
		return "", err
	}
	for _, res := range all {
		job, ok := res.(*cimi.Job)
		if !ok || job.ParentJob != nil && job.ParentJob.Href != "" {
			continue
		}
		affected := slices.ContainsFunc(job.AffectedResources, func(a cimi.Ref[cimi.Unknown]) bool { return a.Href == system })
		if affected || cimi.HrefOf(job.TargetResource) == system {
			return job.ID, nil
		}
	}
	return "", nil
}

// systemOfJob is the System among what a Job has made.
func systemOfJob(ctx context.Context, p cimi.Provider, job *cimi.Job) (string, error) {
	for _, a := range job.AffectedResources {
		res, err := p.Get(ctx, a.Href, cimi.ReadOptions{})
		if cimi.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		if _, ok := res.(*cimi.System); ok {
			return a.Href, nil
		}
	}
	return "", nil
}

// abandon ends an import and makes sure that nothing of it is left.
func (r *run) abandon(ctx context.Context, in *importNotes) error {
	if r.Assembly.apart() {
		return nil // its parts are undone one by one
	}
	if err := stopJob(ctx, r.dst.Provider, in.Job); err != nil {
		return err
	}
	if in.System != "" {
		if err := ensureGone(ctx, r.dst.Provider, in.System); err != nil {
			return err
		}
	}
	own, err := r.findOwn(ctx, in)
	if err != nil {
		return err
	}
	if own != nil {
		return ensureGone(ctx, r.dst.Provider, own.ID)
	}
	return nil
}

// ensureGone deletes a System and waits until it is not there any more.
func ensureGone(ctx context.Context, p cimi.Provider, id string) error {
	for wait := 20 * time.Millisecond; ; wait = min(wait*2, time.Second) {
		_, err := p.Get(ctx, id, cimi.ReadOptions{})
		if cimi.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		acc, err := p.Delete(ctx, id)
		switch {
		case cimi.IsNotFound(err):
			return nil
		case cimi.IsConflict(err):
			// Its import is still being undone.
		case err != nil:
			return fmt.Errorf("deleting %s: %w", id, err)
		default:
			var ended *cimi.JobError
			_, err := follow(ctx, p, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, nil)
			if errors.As(err, &ended) {
				return fmt.Errorf("deleting %s: %w", id, err)
			}
			if err != nil && !cimi.IsNotFound(err) {
				return err
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("deleting %s: it is still there: %w", id, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func leftFinding(object string, err error) ovf.Finding {
	return ovf.Finding{ID: RuleLeft, Severity: ovf.Warning, Object: object, Message: "could not be removed: " + err.Error(), Hint: "cimimove gc removes it later"}
}
