package manifest_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// entrusting is a file of a package whose bytes may be others when they are
// read again.
func entrusting(t *testing.T, mf, passes, again string) (*manifest.Checker, *manifest.Reader) {
	t.Helper()
	c := manifest.NewChecker("p", manifest.Require)
	if err := c.SetManifest("p.mf", []byte(mf)); err != nil {
		t.Fatal(err)
	}
	r := c.Reader("disk", int64(len(passes)), strings.NewReader(passes))
	r.Again(func(off int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(again[off:])), nil })
	return c, r
}

func sum1(s string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(s))) }

// TestEntrusted: a digest that another takes counts as one that is taken here;
// without it the file is read again; no wrong byte passes in either case.
func TestEntrusted(t *testing.T) {
	right := strings.Repeat("what the manifest is of ", 1000)
	wrong := "W" + right[1:]
	late := right[:len(right)-1] + "!"
	for name, c := range map[string]struct {
		passes, again string
		read          int64  // bytes before the verdict is asked for, 0: all
		attests       string // what arrived; empty: nobody says
		actual        string // of the error; empty: none
		reason        string // part of it
	}{
		"attested":                         {passes: right, attests: right},
		"nobody attests":                   {passes: right},
		"broken off":                       {passes: right, read: 9000},
		"broken off, wrong behind":         {passes: late, read: 9000, actual: late},
		"broken off, wrong before":         {passes: wrong, read: 9000, actual: wrong},
		"wrong, and so it arrived":         {passes: wrong, attests: wrong, actual: wrong},
		"wrong at the end, and so arrived": {passes: late, attests: late, actual: late},
		"wrong, and nobody attests":        {passes: late, actual: late},
		"right, and another arrived":       {passes: right, attests: late, actual: late, reason: "what arrived"},
		"wrong, and right when read again": {passes: late, again: right, reason: "have changed"},
		"the same, and attested as wrong":  {passes: late, again: right, attests: late, reason: "have changed"},
		"shorter when read again":          {passes: right, again: right[:9000], reason: "have changed"},
	} {
		if c.again == "" {
			c.again = c.passes
		}
		check, r := entrusting(t, "SHA1(disk)= "+sum1(right)+"\n", c.passes, c.again)
		if _, err := io.CopyN(io.Discard, r, 4096); err != nil {
			t.Fatal(err)
		}
		if !r.Entrust("sha1") {
			t.Fatalf("%s: is not entrusted", name)
		}
		if _, ok := r.Passed(); ok {
			t.Errorf("%s: a digest that is not taken can be kept", name)
		}
		var err error
		if c.read > 0 {
			_, err = io.CopyN(io.Discard, r, c.read)
		} else {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if check.Finish() == nil {
			t.Fatalf("%s: all is proved before anybody has taken the digest", name)
		}
		if c.attests != "" {
			err = r.Attest(sum1(c.attests))
		} else {
			err = r.Drain()
		}
		if again := r.Drain(); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("%s: %v, then %v", name, err, again)
		}
		if c.actual == "" && c.reason == "" {
			if err := errors.Join(err, check.Finish()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var integrity *ovf.IntegrityError
		if !errors.As(err, &integrity) || !strings.Contains(integrity.Reason, c.reason) || c.reason == "" && integrity.Reason != "" {
			t.Errorf("%s: %v", name, err)
		} else if c.actual != "" && (integrity.Actual != sum1(c.actual) || integrity.Expected != sum1(right) ||
			!strings.Contains(err.Error(), integrity.Actual) || !strings.Contains(err.Error(), integrity.Expected)) {
			t.Errorf("%s: %v, want %s for %s", name, err, sum1(c.actual), sum1(right))
		}
	}
}

// TestNotEntrusted: what a digest of that kind alone does not prove, or what
// cannot be read again, is digested as it passes.
func TestNotEntrusted(t *testing.T) {
	content := "content"
	one, two := sum1(content), fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	for name, mf := range map[string]string{
		"another digest": "SHA256(disk)= " + two + "\n",
		"two digests":    "SHA1(disk)= " + one + "\nSHA256(disk)= " + two + "\n",
	} {
		check, r := entrusting(t, mf, content, "")
		if r.Entrust("sha1") {
			t.Errorf("%s: is entrusted", name)
		}
		if _, err := io.Copy(io.Discard, r); err != nil || check.Finish() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	check := manifest.NewChecker("p", manifest.Verify)
	if r := check.Reader("disk", 7, strings.NewReader(content)); r.Entrust("sha1") {
		t.Error("before the manifest is known")
	}
	if err := check.SetManifest("p.mf", []byte("SHA1(disk)= "+one+"\n")); err != nil {
		t.Fatal(err)
	}
	r := check.Reader("disk", 7, bytes.NewReader([]byte(content)))
	if r.Entrust("sha1") || r.Entrust("") {
		t.Error("what cannot be read again")
	}
	if err := r.Attest(one); err == nil {
		t.Error("what was not entrusted is attested")
	}
}
