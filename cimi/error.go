package cimi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Error is what a cloud answered when it refused or failed (4.2.2).
type Error struct {
	// Status is the HTTP status, or what it would be.
	Status int
	// Code is the cloud's own code, when its answer had one.
	Code string
	// Message says what went wrong, in the cloud's words.
	Message string
	// Job is the Job representation in the answer; nil when there was none.
	Job *Job
	// Body is the beginning of an answer that was not understood.
	Body []byte
	// Method and URL are those of the request, the URL without secrets; empty in process.
	Method, URL string
	// RetryAfter is the wait in seconds that the cloud asks for, 0 when it does not.
	RetryAfter int
	// Err is the cause; may be nil.
	Err error
}

// Errorf makes an Error with a status and a message; %w sets Err.
func Errorf(status int, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: status, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Method != "" {
		b.WriteString(e.Method + " " + e.URL)
	}
	if e.Status != 0 {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		fmt.Fprintf(&b, "%d", e.Status)
		if t := http.StatusText(e.Status); t != "" {
			b.WriteString(" " + t)
		}
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	msg := e.Message
	if msg == "" && e.Job != nil {
		msg = e.Job.StatusMessage
	}
	if msg == "" && e.Err != nil {
		msg = e.Err.Error()
	}
	if msg == "" && len(e.Body) > 0 {
		msg = strings.ToValidUTF8(string(e.Body), "")
	}
	if msg != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(msg)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// StatusOf is the status of the Error in err, 0 when there is none.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// IsNotFound: the resource is not there (any more).
func IsNotFound(err error) bool { s := StatusOf(err); return s == 404 || s == 410 }

// IsConflict: the state of the resource forbids it, or an If-Match did not match.
func IsConflict(err error) bool { s := StatusOf(err); return s == 409 || s == 412 }

// IsUnauthorized: the credentials are missing, wrong or not enough.
func IsUnauthorized(err error) bool { s := StatusOf(err); return s == 401 || s == 403 }

// IsUnsupported: the cloud does not offer what was asked for.
func IsUnsupported(err error) bool { s := StatusOf(err); return s == 405 || s == 501 }

// returnCodeBase is added to an exit class in a Job's returnCode; codes below
// it are the standard's (5.17.1).
const returnCodeBase = 10000

// ReturnCode is the Job returnCode of an exit class.
func ReturnCode(class int) int64 { return returnCodeBase + int64(class) }

// ExitClass is the exit class in the returnCode of a Job that did not succeed;
// ok is false when the code is not one of this project's: a failure that calls
// itself done is one all the same.
func ExitClass(returnCode *int64) (class int, ok bool) {
	if returnCode == nil {
		return 0, false
	}
	switch n := *returnCode - returnCodeBase; {
	case n >= 1 && n <= 10, n == 130, n == 143:
		return int(n), true
	}
	return 0, false
}

// SecurityError: a connection could not be trusted, or credentials would have
// gone where they must not.
type SecurityError struct {
	URL     string // without secrets
	Message string
	Err     error
}

func (e *SecurityError) Error() string {
	s := e.Message
	if e.URL != "" {
		s = e.URL + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SecurityError) Unwrap() error { return e.Err }

// JobError is a Job that did not succeed.
type JobError struct {
	// Job is the Job as it ended.
	Job *Job
	// Messages are the status messages of the Job and of nested Jobs that did
	// not succeed, outermost first, cut where they are too long together.
	Messages []string
	// Findings is the extension attribute ovfFindings, nil when absent.
	Findings any

	said int // bytes of Messages
}

// ExitClass is the exit class that the Job gives, 8 (the remote side failed)
// where it gives none.
func (e *JobError) ExitClass() int {
	if e.Job != nil {
		if c, ok := ExitClass(e.Job.ReturnCode); ok {
			return c
		}
	}
	return 8
}

// maxSaid bounds the messages of a Job together, in bytes.
const maxSaid = 16 << 10

// say adds a message, but for one that was said already: a Job often repeats
// what its nested Job died of.
func (e *JobError) say(message string) {
	left := maxSaid - e.said
	if left <= 0 || slices.ContainsFunc(e.Messages, func(m string) bool { return strings.Contains(m, message) }) {
		return
	}
	e.said += len(message)
	if len(message) > left {
		message = strings.ToValidUTF8(message[:left], "") + "…"
	}
	e.Messages = append(e.Messages, message)
}

func (e *JobError) Error() string {
	s := fmt.Sprintf("job %s: %s", e.Job.ID, e.Job.State)
	if e.Job.ReturnCode != nil {
		s += fmt.Sprintf(" (%d)", *e.Job.ReturnCode)
	}
	if len(e.Messages) > 0 {
		s += ": " + strings.Join(e.Messages, "; ")
	}
	return s
}
