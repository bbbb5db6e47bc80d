package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

const (
	maxRefusal = 64 << 10 // bytes of an error's body that are read
	maxExcerpt = 2 << 10  // bytes of it that are kept
	maxMessage = 500      // bytes of what it says that are told
	maxCode    = 100
	maxURL     = 2 << 10
)

// shown is a URL for messages, which a cloud may have made as long as it likes.
func shown(href string) string { return cut(fetch.Redact(href), maxURL) }

func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// refusal reads an answer that is an error. The standard wants a Job (4.2.2);
// real clouds send {"code","message"}, <error>, HTML or nothing.
func refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	e := &cimi.Error{Status: resp.StatusCode, Method: resp.Request.Method, URL: shown(resp.Request.URL.String())}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	again := fetch.NewStatusError(resp)
	e.RetryAfter = int(again.RetryAfter.Seconds())
	explain(e, bytes.TrimSpace(body))
	return &statusError{refused: e, again: again}
}

// explain fills in what the body of an error says.
func explain(e *cimi.Error, body []byte) {
	e.Body = body[:min(len(body), maxExcerpt)]
	if len(body) == 0 {
		return
	}
	switch {
	case body[0] == '{':
		if r, err := cimi.DecodeJSON(body); err == nil {
			takeJob(e, r)
		}
		var obj map[string]any
		if e.Job == nil && json.Unmarshal(body, &obj) == nil {
			takeObject(e, obj)
		}
	case looksLikeHTML(body):
		if m := titleOf.FindSubmatch(body); m != nil {
			e.Message = strings.Join(strings.Fields(string(m[1])), " ")
		}
	case body[0] == '<':
		if r, err := cimi.DecodeXML(body); err == nil {
			takeJob(e, r)
		}
		if e.Job == nil {
			takeElement(e, body)
		}
	default:
		e.Message = strings.Join(strings.Fields(strings.ToValidUTF8(string(e.Body), "?")), " ")
	}
	e.Message, e.Code = cut(e.Message, maxMessage), cut(e.Code, maxCode)
}

var titleOf = regexp.MustCompile(`(?is)<(?:title|h1)[^>]*>(.*?)</(?:title|h1)>`)

func takeJob(e *cimi.Error, r cimi.Resource) {
	j, ok := r.(*cimi.Job)
	if !ok {
		return
	}
	e.Job, e.Message = j, j.StatusMessage
	for _, n := range j.NestedJobs {
		if n.Value != nil && n.Value.StatusMessage != "" {
			e.Message += "; " + n.Value.StatusMessage
		}
	}
}

// takeObject takes {"code","message"} and its relatives.
func takeObject(e *cimi.Error, obj map[string]any) {
	if inner, ok := obj["error"].(map[string]any); ok {
		obj = inner
	}
	for _, k := range []string{"message", "statusMessage", "error_description", "detail", "error", "title"} {
		if s, ok := obj[k].(string); ok && s != "" {
			e.Message = s
			break
		}
	}
	switch c := obj["code"].(type) {
	case string:
		e.Code = c
	case float64:
		b, _ := json.Marshal(c)
		e.Code = string(b)
	}
}

// takeElement takes <error><code>…</code><message>…</message></error>, or its text.
func takeElement(e *cimi.Error, body []byte) {
	var v struct {
		Code    string `xml:"code"`
		Message string `xml:"message"`
		Text    string `xml:",chardata"`
	}
	if xml.Unmarshal(body, &v) != nil {
		return
	}
	e.Code, e.Message = strings.TrimSpace(v.Code), strings.TrimSpace(v.Message)
	if e.Message == "" {
		e.Message = strings.TrimSpace(v.Text)
	}
}

// networkError is a request without an answer: a *cimi.SecurityError when the
// other side could not be trusted, else a *cimi.Error without Status.
func networkError(method, href string, err error) error {
	var ue *url.Error
	for errors.As(err, &ue) { // it holds the URL with its query
		err = ue.Err
	}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		record    tls.RecordHeaderError
		security  *cimi.SecurityError
		pin       *fetch.PinError
		judged    *cimi.Error
	)
	switch {
	case errors.As(err, &judged) && judged.Status != 0: // redirects in a circle
		return &cimi.Error{Status: judged.Status, Method: method, URL: shown(href), Message: judged.Message}
	case errors.As(err, &security):
		return security
	case errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &record), errors.As(err, &pin):
		return &cimi.SecurityError{URL: shown(href), Message: "TLS", Err: err}
	}
	return &cimi.Error{Method: method, URL: shown(href), Message: cut(err.Error(), maxMessage), Err: err}
}
