package cimi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// jobs is a cloud of one Job.
type jobs struct {
	cimi.Provider
	job *cimi.Job
}

func (j jobs) Get(context.Context, string, cimi.ReadOptions) (cimi.Resource, error) {
	return j.job, nil
}

// TestTalkativeJob: what a Job and those nested in it say is told as far as
// somebody may want to read it, and costs no more than reading it.
func TestTalkativeJob(t *testing.T) {
	job := &cimi.Job{State: cimi.JobFailed, StatusMessage: "no room: " + strings.Repeat("ä", 1<<20)}
	many := &cimi.Job{State: cimi.JobFailed, StatusMessage: "in pieces"}
	for i := range 150_000 {
		many.NestedJobs = append(many.NestedJobs, cimi.Ref[cimi.Job]{Value: &cimi.Job{State: cimi.JobFailed, StatusMessage: fmt.Sprint("disk ", i, " of ", i)}})
	}
	for _, c := range []struct {
		job  *cimi.Job
		says string
	}{{job, "no room"}, {many, "in pieces; disk 0 of 0; disk 1 of 1"}} {
		began := time.Now()
		_, err := cimi.WaitJob(t.Context(), jobs{job: c.job}, "jobs/1", cimi.WaitOptions{})
		var je *cimi.JobError
		if !errors.As(err, &je) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 32<<10 {
			t.Errorf("%d bytes: %.200v", len(err.Error()), err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// nesting is a cloud whose Jobs each have another in them, with much in it.
type nesting struct {
	cimi.Provider
	read int
}

func (n *nesting) Get(ctx context.Context, _ string, _ cimi.ReadOptions) (cimi.Resource, error) {
	n.read++
	job := &cimi.Job{State: cimi.JobFailed, StatusMessage: "first"}
	job.NestedJobs = []cimi.Ref[cimi.Job]{{Href: fmt.Sprint("jobs/", n.read)}}
	return job, cimi.CountRead(ctx, 5<<20)
}

// TestNestingJobs: nor is more read for what a Job died of.
func TestNestingJobs(t *testing.T) {
	cloud := &nesting{}
	_, err := cimi.WaitJob(t.Context(), cloud, "jobs/0", cimi.WaitOptions{})
	if je := new(cimi.JobError); !errors.As(err, &je) || je.Messages[0] != "first" || cloud.read > 6 {
		t.Errorf("after %d Jobs: %v", cloud.read, err)
	}
}
