package object

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Error is what a store refused.
type Error struct {
	Op     string // what was asked for: read, look at, send part 3 of, …
	Object Location
	Status int    // of HTTP
	Code   string // the store's word for it, such as NoSuchKey
	// Message is the store's, bounded.
	Message string
	Err     error
}

func (e *Error) Error() string {
	what := strings.Trim(e.Code+": "+e.Message, ": ")
	switch e.Code {
	case "NoSuchBucket":
		what = "there is no such bucket"
	case "NoSuchKey":
		what = "there is no such object"
	case "AccessDenied":
		what = "access denied; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, say who asks"
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		what += "; renew AWS_SESSION_TOKEN, or what AWS_PROFILE names"
	case noReason:
		what = "400 Bad Request; the answer to HEAD has no reason: such are an AWS_SESSION_TOKEN that is over and another region (AWS_REGION)"
	case "":
		if what == "" {
			what = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
		}
		if e.Status/100 == 2 {
			what += ", without saying whether it is done"
		}
	}
	return fmt.Sprintf("%s: %s: %s", e.Object, e.Op, what)
}

// Unwrap is the answer itself.
func (e *Error) Unwrap() error { return e.Err }

// noSuchUpload: what an upload stored is gone, by a rule of the bucket's or by
// another's hand. The next attempt begins another.
const noSuchUpload = "NoSuchUpload"

// Is makes what is not there fs.ErrNotExist.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && e.Code != noSuchUpload && (e.Status == http.StatusNotFound || e.Code == "NoSuchKey" || e.Code == "NoSuchBucket")
}

// noReason is minio-go's word for an answer of 400 without a body, as one to HEAD
// is: what is wrong with the credentials is told so.
const noReason = "400 Bad Request"

// Denied tells whether the store wants other credentials. Amazon answers a token
// that is over, or none of its own, with 400; and with 200 whatever it finds
// after it has begun to answer.
func (e *Error) Denied() bool {
	switch e.Code {
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired", noReason, "AccessDenied":
		return true
	}
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Passing tells whether another attempt, later, may go well.
func (e *Error) Passing() bool {
	switch e.Code {
	case "IncompleteBody", "RequestTimeout", "InternalError", "SlowDown", "ServiceUnavailable", noSuchUpload:
		return true
	case "":
		if e.Status/100 == 2 {
			return true
		}
	}
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// retry runs op until it succeeds or another attempt is of no use. When the
// attempts are used up, the error is a *fetch.TransferError at off.
func (s *Store) retry(ctx context.Context, l Location, off int64, op func(context.Context) error) error {
	attempts := 0
	err := fetch.Retry(ctx, s.fetch, l.String(), func(ctx context.Context) error {
		attempts++
		err := op(ctx)
		if final(err) {
			return errors.Join(fetch.ErrRefused, err)
		}
		return err
	})
	var wrapped *url.Error
	for errors.As(err, &wrapped) { // it holds the URL with its query
		err = wrapped.Err
	}
	var answer minio.ErrorResponse
	if err == nil || ctx.Err() != nil || errors.As(err, &answer) || !fetch.Temporary(err) {
		return err
	}
	return &fetch.TransferError{URL: l.String(), Offset: off, Size: -1, Attempts: attempts, Err: brief{err}}
}

// brief is an error of which only the beginning is told: what is no answer of a
// store is quoted by who cannot read it.
type brief struct{ error }

func (e brief) Error() string { return bounded(e.error.Error()) }
func (e brief) Unwrap() error { return e.error }

// final tells an answer that stays the same however often it is asked for. One
// about what arrived otherwise than it was sent does not, nor one that breaks
// off after 200 and leaves open what was done.
func final(err error) bool {
	var own *Error
	if errors.As(err, &own) {
		return !own.Passing()
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.StatusCode == 0 {
		return false
	}
	switch answer.Code {
	case "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "InternalError", "SlowDown", "ServiceUnavailable":
		return false
	}
	return !saysNothing(answer)
}

// saysNothing: a 200 without what should follow it; the library makes the status
// line the code then.
func saysNothing(answer minio.ErrorResponse) bool {
	return answer.StatusCode/100 == 2 && strings.HasPrefix(answer.Code, fmt.Sprint(answer.StatusCode))
}

// explain names operation and object in what a store answered.
func (s *Store) explain(op string, l Location, err error) error {
	var (
		own    *Error
		answer minio.ErrorResponse
		status *fetch.StatusError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.As(err, &answer) && answer.StatusCode != 0:
		e := &Error{Op: op, Object: l, Status: answer.StatusCode, Err: err}
		if !saysNothing(answer) {
			e.Code, e.Message = bounded(answer.Code), bounded(answer.Message)
		}
		return e
	case errors.As(err, &status) && !status.Temporary():
		e := &Error{Op: op, Object: l, Status: status.StatusCode, Err: err}
		e.Code, e.Message = refusal(status.Body)
		return e
	}
	if strings.Contains(err.Error(), l.String()) {
		return err
	}
	return fmt.Errorf("%s: %s: %w", l, op, err)
}

// refusal finds the store's word and sentence in the body of an answer, of which
// only the beginning may be there.
func refusal(body string) (code, message string) {
	d := xml.NewDecoder(strings.NewReader(body))
	d.Strict = false
	for code == "" || message == "" {
		t, err := d.Token()
		if err != nil {
			break
		}
		start, ok := t.(xml.StartElement)
		if !ok || start.Name.Local != "Code" && start.Name.Local != "Message" {
			continue
		}
		text, err := d.Token()
		words, ok := text.(xml.CharData)
		switch {
		case err != nil || !ok:
		case start.Name.Local == "Code":
			code = bounded(string(words))
		default:
			message = bounded(string(words))
		}
	}
	return code, message
}

func bounded(s string) string {
	const enough = 300
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?")
	if len(s) > enough {
		s = strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}
