package migrate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// TestExitCode is the table of exit codes of the command line.
func TestExitCode(t *testing.T) {
	failed := func(code *int64) error {
		return &cimi.JobError{Job: &cimi.Job{State: cimi.JobFailed, ReturnCode: code}}
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("whatever"), 1},
		{runbook.ErrInvalid, 2},
		{&Error{Class: ClassUsage, Err: journal.ErrNoRun}, 2},
		{&ovf.DescriptorError{}, 3},
		{&ovf.MissingFileError{}, 3},
		{ovf.ErrUnsafePath, 3},
		{ovf.ErrNoDescriptor, 3},
		{&disk.CorruptError{}, 3},
		{&ovf.IntegrityError{}, 4},
		{fmt.Errorf("x: %w", &Error{Err: fmt.Errorf("y: %w", &ovf.IntegrityError{})}), 4},
		{failed(cimi.Int(10004)), 4},
		{&Error{Class: ClassRefused, Err: &ovf.IntegrityError{}}, 5},
		{failed(cimi.Int(10005)), 5},
		{&systemtemplate.RefusedError{}, 5},
		{&cimi.Error{Status: 409}, 5},
		{&cimi.Error{Status: 404, Job: &cimi.Job{State: cimi.JobFailed}}, 1},
		{&cimi.Error{Status: 409, Job: &cimi.Job{State: cimi.JobFailed}}, 5},
		{&cimi.Error{Status: 400, Job: &cimi.Job{State: cimi.JobFailed, ReturnCode: cimi.Int(10003)}}, 3},
		{&cimi.Error{Status: 500, Job: &cimi.Job{State: cimi.JobFailed}}, 8},
		{&cimi.Error{Status: 401}, 6},
		{&cimi.Error{Status: 403}, 6},
		{&cimi.SecurityError{}, 6},
		{x509.UnknownAuthorityError{}, 6},
		{&Error{Class: ClassTransfer, Err: errors.New("reset")}, 7},
		{failed(cimi.Int(10007)), 7},
		{failed(cimi.Int(77)), 8},
		{failed(nil), 8},
		{failed(cimi.Int(10000)), 8}, // a failure that calls itself done
		{&cimi.Error{Status: 400, Job: &cimi.Job{ReturnCode: cimi.Int(10000)}}, 5},
		{failed(cimi.Int(10011)), 8},
		{&cimi.Error{Status: 500}, 8},
		{&cimi.Error{Method: "GET", Err: io.EOF}, 7},
		{&cimi.Error{Method: "GET", Err: io.ErrUnexpectedEOF}, 7},
		{&cimi.Error{Method: "GET", Err: context.DeadlineExceeded}, 7},
		{&cimi.Error{Method: "GET", Err: fetch.ErrRefused}, 1},
		{&cimi.Error{Method: "GET", Err: x509.UnknownAuthorityError{}}, 6},
		{&object.Error{Status: 200, Code: "AccessDenied"}, 6},
		{&object.Error{Status: 200, Code: "InternalError"}, 7}, // found out after the answer began
		{&object.Error{Status: 200}, 7},
		{&object.Error{Status: 400, Code: "RequestTimeout"}, 7},
		{&object.Error{Status: 404, Code: "NoSuchUpload"}, 7},
		{&object.Error{Status: 404, Code: "NoSuchKey"}, 2},
		{&object.Error{Status: 400, Code: "EntityTooSmall"}, 5},
		{&Error{Class: ClassBatch, Err: errors.New("some")}, 9},
		{&Error{Class: ClassUnverified, Err: errors.New("not")}, 10},
		{context.Canceled, 130},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v (%T): exit %d, want %d", c.err, c.err, got, c.want)
		}
		if c.err != nil && ClassOf(c.err).String() == "" {
			t.Errorf("%v has no name", c.err)
		}
	}
}

// TestFeed: a listener that is slow holds nobody up, and sees the last value.
func TestFeed(t *testing.T) {
	gate := make(chan struct{})
	var got []Event
	f := newFeed(func(e Event) {
		<-gate
		got = append(got, e)
	})
	for i := range 1000 {
		f.emit(Event{Disk: "a", Phase: "transfer", Done: int64(i), Total: 999})
		f.emit(Event{Disk: "b", Phase: "transfer", Done: int64(i), Total: 999})
	}
	close(gate)
	f.close()
	f.emit(Event{Phase: "late"})
	last := map[string]int64{}
	for _, e := range got {
		last[e.Disk] = e.Done
	}
	if len(got) > 10 || last["a"] != 999 || last["b"] != 999 {
		t.Errorf("%d events, last %v", len(got), last)
	}
}

func TestAlso(t *testing.T) {
	err := also(at(StepImport, Destination, "x", &ovf.IntegrityError{}), errors.New("second"))
	var e *Error
	if !errors.As(err, &e) || e.Side != Destination || ClassOf(err) != ClassIntegrity {
		t.Errorf("%v", err)
	}
}
