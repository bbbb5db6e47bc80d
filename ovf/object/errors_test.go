package object

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// TestExplain: what a store says is told, though only the beginning of a long
// answer is there, and what it has to do with credentials is told as that.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name, body    string
		status        int
		code, message string
		denied        bool
	}{
		{"whole", `<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>`, 404, "NoSuchKey", "The key does not exist.", false},
		{"cut in an element", `<Error><Code>SignatureDoesNotMatch</Code><Message>They differ.</Message><StringToSign>AWS4-HMAC-SHA256` + strings.Repeat("x", 400), 403, "SignatureDoesNotMatch", "They differ.", true},
		{"cut in the message", `<Error><Code>ExpiredToken</Code><Message>The provided token has exp`, 400, "ExpiredToken", "", true},
		{"a token of another", `<Error><Message>malformed</Message><Code>InvalidToken</Code></Error>`, 400, "InvalidToken", "malformed", true},
		{"a page", `<html><head><title>no</title></head>`, 400, "", "", false},
		{"none", ``, 403, "", "", true},
		{"to HEAD", ``, 400, "400 Bad Request", "", true},
		{"nested", `<Error><Code><Code>A</Code></Code></Error>`, 400, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Store{}).explain("read", Location{Bucket: "b", Key: "k"}, &fetch.StatusError{StatusCode: c.status, Body: c.body})
			if c.status == http.StatusBadRequest && c.body == "" { // as minio-go has the answer to HEAD
				err = (&Store{}).explain("look at", Location{Bucket: "b", Key: "k"}, minio.ErrorResponse{StatusCode: c.status, Code: "400 Bad Request", Message: "400 Bad Request"})
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			if e.Code != c.code || c.message != "" && e.Message != c.message || e.Denied() != c.denied {
				t.Errorf("%q, %q, denied %v: %v", e.Code, e.Message, e.Denied(), e)
			}
		})
	}
}
