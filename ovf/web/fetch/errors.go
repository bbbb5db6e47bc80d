package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// StatusError is an answer that is not the one asked for.
type StatusError struct {
	Method     string
	URL        string // redacted
	StatusCode int
	Body       string        // its beginning, where it is not HTML
	RetryAfter time.Duration // 0 when the server did not say
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Body != "" {
		s += ": " + e.Body
	}
	return s
}

// NewStatusError describes an answer and reads the beginning of its body,
// which stays open.
func NewStatusError(resp *http.Response) *StatusError {
	const enough = 512
	b, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
	e := &StatusError{StatusCode: resp.StatusCode}
	// A page for people with browsers says nothing here.
	if !strings.Contains(resp.Header.Get("Content-Type"), "html") {
		e.Body = strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "?")), " ")
	}
	if resp.Request != nil {
		e.Method, e.URL = resp.Request.Method, Redact(resp.Request.URL.String())
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return e
}

func retryAfter(s string) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), MaxRetryAfter)
}

// Temporary says whether the same request may succeed later.
func (e *StatusError) Temporary() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return e.StatusCode >= 500
}

// StallError ends an attempt in which no byte came for too long.
type StallError struct{ For time.Duration }

func (e *StallError) Error() string { return fmt.Sprintf("stalled: no byte for %v", e.For) }

// ChangedError says that a file is not the one that was opened.
type ChangedError struct {
	URL           string // redacted
	What          string // size, ETag, Last-Modified
	Before, After string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s changed while it was read: %s was %s, is %s", e.URL, e.What, e.Before, e.After)
}

// TransferError is a transfer that ended before its end, after all attempts.
// Commands exit with 7 on it: what was read so far is right.
type TransferError struct {
	URL      string // redacted
	Offset   int64  // in bytes, of the first that did not come
	Size     int64  // -1 when not known
	Attempts int
	Reason   string // why no further attempt was made; empty when they were used up
	Err      error  // of the last attempt
}

func (e *TransferError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: at byte %d", e.URL, e.Offset)
	if e.Size >= 0 {
		fmt.Fprintf(&b, " of %d", e.Size)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, ", after %d attempts", e.Attempts)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	return b.String()
}

func (e *TransferError) Unwrap() error { return e.Err }

// ErrNoRange: the server does not offer Range, so the file can be read in
// sequence only.
var ErrNoRange = errors.New("server does not offer Range; the file can be read once, in sequence, and not resumed")

// ErrUserInfo: credentials stood in a URL.
var ErrUserInfo = errors.New("credentials in a URL are refused, because URLs reach logs and process lists; give them by environment or password file")

// ErrRefused marks what no further attempt changes; a Client may wrap it in
// errors of its own, such as for addresses that it does not dial.
var ErrRefused = errors.New("refused")

// Temporary says whether a request that ended with err is worth another
// attempt: broken connections, stalls, DNS, 408, 425, 429 and 5xx are.
func Temporary(err error) bool {
	var status *StatusError
	var stall *StallError
	var changed *ChangedError
	var unknownCA x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var pin *PinError
	switch {
	case err == nil:
		return false
	case errors.As(err, &status):
		return status.Temporary()
	case errors.As(err, &stall):
		return true
	case errors.As(err, &changed), errors.Is(err, ErrRefused), errors.Is(err, ErrNoRange),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &unknownCA), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify),
		errors.As(err, &alert), errors.As(err, &record), errors.As(err, &pin):
		return false
	}
	return true
}

// Redact gives a URL for messages: without user-info, and without the values
// of its query, which may be signatures.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		// A password may hold any sign, what begins a path or a query too.
		scheme, _, whole := strings.Cut(raw, "://")
		if at := strings.LastIndexByte(raw, '@'); at >= 0 {
			if raw = raw[at+1:]; whole {
				raw = scheme + "://" + raw
			}
		}
		raw, _, _ = strings.Cut(raw, "?")
		return raw
	}
	if u.User != nil {
		u.User = url.User("…")
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.Fragment = ""
	s := u.String()
	return strings.NewReplacer("%E2%80%A6", "…").Replace(s)
}
