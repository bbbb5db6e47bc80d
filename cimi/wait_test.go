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
	for i := range 300_000 {
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
