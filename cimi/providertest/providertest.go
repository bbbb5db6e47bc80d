// Package providertest is the suite that every cimi.Provider passes: a cloud
// in process, and any of them again through server and client. What a cloud
// advertises must work, and what it does not advertise must be refused
// (DSP0263 4.2, 5.8).
package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// Run runs the suite. open gives a Provider, new or used: the suite names what
// it makes by itself and removes it. open registers its own clean-up.
func Run(t *testing.T, open func(testing.TB) cimi.Provider) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"EntryPoint", (*suite).entryPoint},
		{"Collections", (*suite).collections},
		{"Errors", (*suite).errors},
		{"Templates", (*suite).templates},
		{"Machines", (*suite).machines},
		{"Volumes", (*suite).volumes},
		{"Credentials", (*suite).credentials},
		{"Query", (*suite).query},
		{"IfMatch", (*suite).ifMatch},
		{"Import", (*suite).importExport},
		{"ImportFails", (*suite).importFails},
		{"Metadata", (*suite).metadata},
		{"Cancel", (*suite).cancel},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p := open(t)
			cep, err := p.EntryPoint(ctx)
			if err != nil {
				t.Fatalf("entry point: %v", err)
			}
			c.run(&suite{T: t, ctx: ctx, p: p, cep: cep})
		})
	}
}

type suite struct {
	*testing.T
	ctx context.Context
	p   cimi.Provider
	cep *cimi.CloudEntryPoint
}

// offered are the collections of the entry point by name.
func (s *suite) offered() map[string]string {
	out := map[string]string{}
	for _, a := range cimi.Attributes("CloudEntryPoint") {
		if a.Type != "collection" {
			continue
		}
		if r, ok := cimi.Value(s.cep, a.Name).(*cimi.Ref[cimi.Collection]); ok {
			out[a.Name] = r.Href
		}
	}
	return out
}

// collection gives a collection of the entry point that offers an operation;
// the test ends, passed, when it does not: that it is refused was checked.
func (s *suite) collection(name, rel string) string {
	s.Helper()
	id := s.offered()[name]
	if id == "" {
		s.Skipf("the cloud offers no %s", name)
	}
	c, err := s.p.List(s.ctx, id, cimi.ListOptions{})
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	if c.Operation(rel) == nil {
		s.Skipf("%s does not offer %s", name, rel)
	}
	return id
}

// finish waits for a change to end.
func (s *suite) finish(acc *cimi.Accepted, err error, target string) *cimi.Job {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	job, err := cimi.Wait(s.ctx, s.p, acc, target, cimi.WaitOptions{MinPoll: 5 * time.Millisecond})
	if err != nil {
		s.Fatal(err)
	}
	if job != nil {
		s.checkJob(job)
	}
	return job
}

func (s *suite) checkJob(j *cimi.Job) {
	s.Helper()
	if j.Progress == nil || *j.Progress != 100 {
		s.Errorf("job %s has ended with progress %v, want 100 (5.17.1)", j.ID, j.Progress)
	}
	target := cimi.HrefOf(j.TargetResource)
	found := target == "" || j.Action == "delete" || lastWord(j.Action) == "delete"
	for _, a := range j.AffectedResources {
		found = found || a.Href == target
	}
	if !found {
		s.Errorf("job %s: affectedResources lacks the target %s (5.17.1)", j.ID, target)
	}
}

// create adds a resource and gives it as it reads afterwards; it is removed at the end.
func (s *suite) create(collection string, r cimi.Resource) cimi.Resource {
	s.Helper()
	acc, err := s.p.Create(s.ctx, collection, r)
	s.finish(acc, err, "")
	if acc.Location == "" {
		s.Fatalf("create in %s: no Location (5.5.12.1)", collection)
	}
	s.Cleanup(func() { s.delete(acc.Location) })
	return s.get(acc.Location)
}

func (s *suite) delete(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	acc, err := s.p.Delete(ctx, id)
	if cimi.IsNotFound(err) {
		return
	}
	if err == nil {
		_, err = cimi.Wait(ctx, s.p, acc, "", cimi.WaitOptions{MinPoll: 5 * time.Millisecond})
	}
	if err != nil && !errors.Is(err, cimi.ErrNoJob) {
		s.Errorf("delete %s: %v", id, err)
	}
}

func (s *suite) get(id string) cimi.Resource {
	s.Helper()
	r, err := s.p.Get(s.ctx, id, cimi.ReadOptions{})
	if err != nil {
		s.Fatalf("get %s: %v", id, err)
	}
	if r.Base().ID != id {
		s.Errorf("get %s: the id is %s (5.5.12: a self-pointer)", id, r.Base().ID)
	}
	return r
}

// refused wants an *Error with a status of 400 to 599.
func (s *suite) refused(err error, what string) {
	s.Helper()
	var e *cimi.Error
	switch {
	case err == nil:
		s.Errorf("%s: no error", what)
	case !errors.As(err, &e):
		s.Errorf("%s: expected a *cimi.Error, got %T: %v", what, err, err)
	case e.Status < 400 || e.Status > 599:
		s.Errorf("%s: status %d", what, e.Status)
	}
}

func lastWord(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return s[i+1:]
		}
	}
	return s
}
