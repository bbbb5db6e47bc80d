package migrate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// Side says where an error arose.
type Side string

const (
	Source      Side = "source"
	Destination Side = "destination"
	PackageSide Side = "package"
	Conversion  Side = "conversion"
)

// Step names a step of the saga, in this order.
type Step string

const (
	StepDiscover Step = "discover"
	StepPlan     Step = "plan"
	StepQuiesce  Step = "quiesce"
	StepExport   Step = "export"
	StepStage    Step = "stage" // only on that way
	StepTransfer Step = "transfer"
	StepImport   Step = "import"
	StepDelta    Step = "delta" // only of a warm migration
	StepVerify   Step = "verify"
	StepStart    Step = "start"
	StepFinish   Step = "finish"
)

// Error is a failure of the engine: what it was doing, on which side, to what.
type Error struct {
	Step   Step
	Side   Side   // empty where no side is to blame
	Object string // System, disk, URL without secrets; may be empty
	Class  Class  // 0: that of Err
	Err    error
	// Advice is what to do next: a command, a flag; may be empty.
	Advice string
}

func (e *Error) Error() string {
	inner := sentence(e.Err)
	var b strings.Builder
	for _, s := range []string{string(e.Side), e.Object} {
		said := strings.HasPrefix(inner, s+": ") || strings.Contains(s, "/") && strings.Contains(inner, s)
		if s != "" && !said {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	b.WriteString(inner)
	return b.String()
}

// sentence is what a person reads of an error: of one that names package and
// file itself, its own words without those of the layers it came through; of a
// Job, what it says without its number.
func sentence(err error) string {
	var (
		named      *masked
		integrity  *ovf.IntegrityError
		descriptor *ovf.DescriptorError
		missing    *ovf.MissingFileError
		job        *cimi.JobError
	)
	if _, several := err.(interface{ Unwrap() []error }); several {
		return err.Error()
	}
	switch {
	case errors.As(err, &named):
		return named.Error()
	case errors.As(err, &integrity):
		return integrity.Error()
	case errors.As(err, &missing):
		return missing.Error()
	case errors.As(err, &descriptor):
		return descriptor.Error()
	case errors.As(err, &job) && len(job.Messages) > 0:
		return strings.Join(job.Messages, "; ")
	}
	return err.Error()
}

// masked is an error in which another name stands for a URL: the cloud knows a
// package by the one-time URL it fetched it from, people by its name.
type masked struct {
	error
	url, name string
}

func (m *masked) Error() string { return strings.ReplaceAll(sentence(m.error), m.url, m.name) }
func (m *masked) Unwrap() error { return m.error }

func mask(err error, url, name string) error {
	if err == nil || url == "" {
		return err
	}
	return &masked{err, url, name}
}

func (e *Error) Unwrap() error { return e.Err }

// Hint is the advice, for printers.
func (e *Error) Hint() string { return e.Advice }

// at wraps err with where it arose. An *Error keeps its own fields; only those
// it lacks are filled.
func at(step Step, side Side, object string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*Error)
	if !ok {
		var inner *Error
		if errors.As(err, &inner) {
			return err
		}
		return &Error{Step: step, Side: side, Object: object, Err: err}
	}
	filled := *e
	def(&filled.Step, step)
	def(&filled.Side, side)
	def(&filled.Object, object)
	return &filled
}

// also adds to an error what went wrong while it was dealt with.
func also(err, more error) error {
	if more == nil {
		return err
	}
	if err == nil {
		return more
	}
	if e, ok := err.(*Error); ok {
		both := *e
		both.Err = fmt.Errorf("%w; and then: %w", e.Err, more)
		return &both
	}
	return fmt.Errorf("%w; and then: %w", err, more)
}

// refuse is an error of class 5.
func refuse(step Step, side Side, object string, err error, advice string) error {
	return &Error{Step: step, Side: side, Object: object, Class: ClassRefused, Err: err, Advice: advice}
}

// fetching is at for bytes that could not be had: what is neither wrong with
// them nor refused may go well when the run is resumed.
func fetching(step Step, side Side, object string, err error) error {
	err = at(step, side, object, err)
	if e, ok := err.(*Error); ok && e.Class == 0 {
		if c := ClassOf(err); c == ClassOther || c == ClassRemote {
			e.Class = ClassTransfer
		}
	}
	return err
}
