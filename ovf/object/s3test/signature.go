package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verify checks a signature of version 4, in a header or in the URL.
func verify(r *http.Request) error {
	if r.URL.Query().Has("X-Amz-Signature") {
		return verifyURL(r)
	}
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return errors.New("no signature of version 4")
	}
	fields := map[string]string{}
	for _, f := range strings.Split(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	const skew = 15 * time.Minute
	scope, err := scopeOf(fields["Credential"], r.Header.Get("X-Amz-Date"), skew)
	if err != nil {
		return err
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-content-sha256") || !slices.Contains(signed, "x-amz-date") {
		return fmt.Errorf("signed headers %q", signed)
	}
	if sign(r, r.URL.Query(), signed, r.Header.Get("X-Amz-Content-Sha256"), r.Header.Get("X-Amz-Date"), scope) != fields["Signature"] {
		return errors.New("the signature is another")
	}
	return nil
}

// verifyURL checks the signature of a link.
func verifyURL(r *http.Request) error {
	q := r.URL.Query()
	seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || seconds < 1 || seconds > 7*24*3600 {
		return fmt.Errorf("expires after %q", q.Get("X-Amz-Expires"))
	}
	scope, err := scopeOf(q.Get("X-Amz-Credential"), q.Get("X-Amz-Date"), time.Duration(seconds)*time.Second)
	if err != nil {
		return err
	}
	signature := q.Get("X-Amz-Signature")
	q.Del("X-Amz-Signature")
	if sign(r, q, strings.Split(q.Get("X-Amz-SignedHeaders"), ";"), "UNSIGNED-PAYLOAD", q.Get("X-Amz-Date"), scope) != signature {
		return errors.New("the signature is another")
	}
	return nil
}

// scopeOf checks who signs, for what, and when.
func scopeOf(credential, date string, holds time.Duration) ([]string, error) {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[0] != AccessKey || scope[2] != Region || scope[3] != "s3" || scope[4] != "aws4_request" {
		return nil, fmt.Errorf("credential %q", credential)
	}
	if at, err := time.Parse("20060102T150405Z", date); err != nil || time.Since(at).Abs() > holds || date[:8] != scope[1] {
		return nil, fmt.Errorf("date %q", date)
	}
	return scope, nil
}

// sign makes the signature that a request should have.
func sign(r *http.Request, query url.Values, signed []string, payload, date string, scope []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, encode(r.URL.Path, true), canonicalQuery(query))
	for _, h := range signed {
		v := strings.Join(r.Header.Values(h), ",")
		switch h {
		case "host":
			v = r.Host
		case "content-length":
			v = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&b, "%s:%s\n", h, strings.Join(strings.Fields(v), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), payload)
	canonical := sha256.Sum256([]byte(b.String()))
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", date, strings.Join(scope[1:], "/"), canonical)
	key := []byte("AWS4" + SecretKey)
	for _, part := range scope[1:] {
		key = keyed(key, part)
	}
	return hex.EncodeToString(keyed(key, text))
}

func keyed(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func canonicalQuery(q url.Values) string {
	var out []string
	for k, values := range q {
		for _, v := range values {
			out = append(out, encode(k, false)+"="+encode(v, false))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "&")
}

// encode percent-encodes all but unreserved characters, and slashes unless in
// a path.
func encode(s string, path bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~', path && c == '/':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
