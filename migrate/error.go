package migrate

import (
	"errors"
	"strings"
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
	StepTransfer Step = "transfer"
	StepImport   Step = "import"
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
	var b strings.Builder
	for _, s := range []string{string(e.Side), e.Object} {
		if s != "" {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint is the advice, for printers.
func (e *Error) Hint() string { return e.Advice }

// at wraps err with where it arose. An *Error that is there already keeps its
// own fields; only those it lacks are filled.
func at(step Step, side Side, object string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		filled := *e
		if filled.Step == "" {
			filled.Step = step
		}
		if filled.Side == "" {
			filled.Side = side
		}
		if filled.Object == "" {
			filled.Object = object
		}
		return &filled
	}
	return &Error{Step: step, Side: side, Object: object, Err: err}
}

// refuse is an error of class 5.
func refuse(step Step, side Side, object string, err error, advice string) error {
	return &Error{Step: step, Side: side, Object: object, Class: ClassRefused, Err: err, Advice: advice}
}
