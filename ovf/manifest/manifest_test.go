package manifest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/ovf"
)

const (
	hex1   = "237de026fb285b85528901da058475e56034da95"
	hex256 = "17720197c516b84e93a2376a57f7a15264de4fcbca3f0bcde81235ba53404d45"
)

var hex512 = strings.Repeat("0a", 64)

// AC-28: every spelling that producers are known to write.
func TestAC28ParseSpellings(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Entry
		findings   []string
	}{
		{"standard", "SHA1(a.ovf)= " + hex1 + "\nSHA256(a.vmdk)= " + hex256 + "\n",
			[]Entry{{"a.ovf", SHA1, hex1, 1}, {"a.vmdk", SHA256, hex256, 2}}, nil},
		{"CRLF, no last line feed", "SHA1(a.ovf)= " + hex1 + "\r\nSHA1(b)= " + hex1, []Entry{{"a.ovf", SHA1, hex1, 1}, {"b", SHA1, hex1, 2}}, nil},
		{"upper-case digest", "SHA256(a)= " + strings.ToUpper(hex256), []Entry{{"a", SHA256, hex256, 1}}, nil},
		{"blanks around", " SHA256 (a) =  " + hex256 + " \n", []Entry{{"a", SHA256, hex256, 1}}, nil},
		{"no blank", "SHA256(a)=" + hex256, []Entry{{"a", SHA256, hex256, 1}}, nil},
		{"SHA2-256", "SHA2-256(a)= " + hex256, []Entry{{"a", SHA256, hex256, 1}}, []string{RuleSpelling}},
		{"SHA-512", "SHA-512(a)= " + hex512, []Entry{{"a", SHA512, hex512, 1}}, []string{RuleSpelling}},
		{"lower case", "sha256(a)= " + hex256, []Entry{{"a", SHA256, hex256, 1}}, []string{RuleSpelling}},
		{"sha256sum", hex256 + "  a b.vmdk\n" + hex1 + " *c\n", []Entry{{"a b.vmdk", SHA256, hex256, 1}, {"c", SHA1, hex1, 2}}, []string{RuleSpelling, RuleSpelling}},
		{"padded with blanks", "SHA1(a)= " + hex1 + "\n" + strings.Repeat(" ", 68), []Entry{{"a", SHA1, hex1, 1}}, nil},
		{"padded with NUL", "SHA1(a)= " + hex1 + "\n\x00\x00", []Entry{{"a", SHA1, hex1, 1}}, nil},
		{"only blanks", "    ", nil, []string{RuleEmpty}},
		{"byte order mark", "\ufeffSHA1(a)= " + hex1, []Entry{{"a", SHA1, hex1, 1}}, nil},
		{"odd names", "SHA1(a (1)=b.vmdk)= " + hex1 + "\nSHA1(d[1].vmdk)= " + hex1, []Entry{{"a (1)=b.vmdk", SHA1, hex1, 1}, {"d[1].vmdk", SHA1, hex1, 2}}, nil},
		{"repeated", "SHA1(a)= " + hex1 + "\nSHA1(a)= " + hex1, []Entry{{"a", SHA1, hex1, 1}}, []string{RuleDuplicate}},
		{"two algorithms", "SHA1(a)= " + hex1 + "\nSHA256(a)= " + hex256, []Entry{{"a", SHA1, hex1, 1}, {"a", SHA256, hex256, 2}}, nil},
		{"a URL", "SHA1(http://h/a.iso)= " + hex1, []Entry{{"http://h/a.iso", SHA1, hex1, 1}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Entries) != len(c.want) {
				t.Fatalf("entries %v, want %v", m.Entries, c.want)
			}
			for i := range c.want {
				if m.Entries[i] != c.want[i] {
					t.Errorf("entry %v, want %v", m.Entries[i], c.want[i])
				}
			}
			var ids []string
			for _, f := range m.Findings {
				ids = append(ids, f.ID)
			}
			if strings.Join(ids, " ") != strings.Join(c.findings, " ") {
				t.Errorf("findings %v, want %v", ids, c.findings)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"unknown algorithm", "MD5(a)= 0123", "MD5"},
		{"short digest", "SHA256(a)= 0123", "64 hex digits"},
		{"not hex", "SHA1(a)= " + strings.Repeat("z", 40), "40 hex digits"},
		{"two digests", "SHA1(a)= " + hex1 + "\nSHA1(a)= " + strings.Repeat("0", 40), "line 2"},
		{"parent", "SHA1(../a)= " + hex1, "../a"},
		{"absolute", "SHA1(/etc/passwd)= " + hex1, "/etc/passwd"},
		{"no name", "SHA1()= " + hex1, "names no file"},
		{"prose", "hello world", "hello world"},
		{"long line", "SHA1(" + strings.Repeat("a", 10000) + ")= " + hex1, "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			var d *ovf.DescriptorError
			if !errors.As(err, &d) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want a DescriptorError that says %q", err, c.says)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	entries := []Entry{{Name: "a b.ovf", Algorithm: SHA256, Digest: strings.ToUpper(hex256)}, {Name: "c", Algorithm: SHA1, Digest: hex1}}
	got := string(Format(entries))
	if want := "SHA256(a b.ovf)= " + hex256 + "\nSHA1(c)= " + hex1 + "\n"; got != want {
		t.Errorf("manifest %q, want %q", got, want)
	}
	if n := Size(SHA256, "a b.ovf") + Size(SHA1, "c"); n != int64(len(got)) {
		t.Errorf("announced %d bytes, wrote %d", n, len(got))
	}
}

func entry(a Algorithm, name, content string) Entry {
	h := a.New()
	h.Write([]byte(content))
	return Entry{Name: name, Algorithm: a, Digest: hexOf(h.Sum(nil))}
}

// check runs files through a Checker and gives the first error.
func check(policy Policy, mf []byte, last bool, files ...string) (*Checker, error) {
	c := NewChecker("pkg", policy)
	set := func() error {
		if mf == nil {
			return c.NoManifest()
		}
		return c.SetManifest("app.mf", mf)
	}
	if !last {
		if err := set(); err != nil {
			return c, err
		}
	}
	for i := 0; i < len(files); i += 2 {
		r := c.Reader(files[i], int64(len(files[i+1])), iotest.OneByteReader(strings.NewReader(files[i+1])))
		if err := r.Drain(); err != nil {
			return c, err
		}
	}
	if last {
		if err := set(); err != nil {
			return c, err
		}
	}
	return c, c.Finish()
}

func TestChecker(t *testing.T) {
	good := Format([]Entry{entry(SHA256, "a", "alpha"), entry(SHA512, "b", "beta"), entry(SHA1, "my%20c", "gamma")})
	for _, last := range []bool{false, true} {
		if _, err := check(Require, good, last, "a", "alpha", "b", "beta", "my c", "gamma"); err != nil {
			t.Errorf("last=%v: %v", last, err)
		}
		for _, c := range []struct {
			name   string
			policy Policy
			mf     []byte
			files  []string
			file   string // of the IntegrityError; empty: no error
		}{
			{"flipped", Verify, good, []string{"a", "alpha", "b", "betA", "my c", "gamma"}, "b"},
			{"flipped, ignored", Ignore, good, []string{"a", "alpha", "b", "betA"}, ""},
			{"never came", Verify, good, []string{"a", "alpha", "b", "beta"}, "my%20c"},
			{"unlisted, required", Require, good, []string{"a", "alpha", "b", "beta", "my c", "gamma", "d", "delta"}, "d"},
			{"none, required", Require, nil, nil, "manifest"},
			{"none", Verify, nil, []string{"a", "x"}, ""},
			{"broken, ignored", Ignore, []byte("garbage"), []string{"a", "x"}, ""},
			{"empty, required", Require, []byte("  "), []string{"a", "x"}, "a"},
			{"empty", Verify, []byte("  "), []string{"a", "x"}, ""},
		} {
			_, err := check(c.policy, c.mf, last, c.files...)
			var i *ovf.IntegrityError
			switch {
			case c.file == "" && err != nil:
				t.Errorf("%s, last=%v: %v", c.name, last, err)
			case c.file != "" && (!errors.As(err, &i) || i.File != c.file || i.Package != "pkg"):
				t.Errorf("%s, last=%v: error %v, want an IntegrityError about %s", c.name, last, err, c.file)
			}
		}
	}
}

func TestCheckerNamesBothDigests(t *testing.T) {
	_, err := check(Verify, Format([]Entry{entry(SHA256, "a", "alpha")}), false, "a", "alphA")
	want, got := entry(SHA256, "a", "alpha").Digest, entry(SHA256, "a", "alphA").Digest
	for _, s := range []string{"sha256", want, got, "pkg", "a:"} {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("error %v does not say %s", err, s)
		}
	}
}

func TestCheckerReportsUnlisted(t *testing.T) {
	for _, last := range []bool{false, true} {
		c, err := check(Verify, Format([]Entry{entry(SHA256, "a", "alpha")}), last, "a", "alpha", "b", "beta")
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Findings(); len(f) != 1 || f[0].ID != RuleUnlisted || f[0].Object != "b" {
			t.Errorf("last=%v: findings %v", last, f)
		}
	}
}

// A manifest after the files that uses what was not computed is an error, not a silence.
func TestCheckerUncomputedAlgorithm(t *testing.T) {
	mf := Format([]Entry{entry(SHA384, "a", "alpha")})
	if _, err := check(Verify, mf, false, "a", "alpha"); err != nil {
		t.Errorf("first: %v", err)
	}
	if _, err := check(Verify, mf, true, "a", "alpha"); err == nil || !strings.Contains(err.Error(), "sha384") {
		t.Errorf("last: error %v, want one that says sha384", err)
	}
}

// DSP0243 7.1: chunks have their own lines; the whole may have one, which is verified too.
func TestCheckerChunks(t *testing.T) {
	mf := func(whole string) []byte {
		return Format([]Entry{entry(SHA256, "d.000000000", "al"), entry(SHA256, "d.000000001", "pha"), entry(SHA1, "d", whole)})
	}
	for _, last := range []bool{false, true} {
		if _, err := check(Require, mf("alpha"), last, "d.000000000", "al", "d.000000001", "pha"); err != nil {
			t.Errorf("last=%v: %v", last, err)
		}
		var i *ovf.IntegrityError
		if _, err := check(Verify, mf("alphA"), last, "d.000000000", "al", "d.000000001", "pha"); !errors.As(err, &i) || i.File != "d" {
			t.Errorf("last=%v: wrong whole digest: %v", last, err)
		}
	}
}

// Chunks that only the line of the whole proves are not proved by a file that
// has the name of the whole.
func TestChunksBesideTheWhole(t *testing.T) {
	mf := Format([]Entry{entry(SHA256, "my%20d", "alpha")})
	for _, last := range []bool{false, true} {
		if _, err := check(Require, mf, last, "my d.000000000", "al", "my d.000000001", "pha"); err != nil {
			t.Errorf("last=%v: %v", last, err)
		}
		var i *ovf.IntegrityError
		for name, files := range map[string][]string{
			"a file of that name":   {"my d", "alpha", "my d.000000000", "EV", "my d.000000001", "IL!"},
			"in another order":      {"my d", "alpha", "my d.000000001", "pha", "my d.000000000", "al"},
			"the first one missing": {"my d", "alpha", "my d.000000001", "alpha"},
		} {
			if _, err := check(Require, mf, last, files...); !errors.As(err, &i) || i.File != "my%20d" {
				t.Errorf("last=%v: %s: %v", last, name, err)
			}
		}
	}
}

// End-of-file is withheld until size and digest match.
func TestReaderWithholdsEOF(t *testing.T) {
	mf := Format([]Entry{entry(SHA256, "a", "alpha")})
	for _, c := range []struct {
		content string
		size    int64
		bad     bool
	}{{"alpha", 5, false}, {"alpha", -1, false}, {"alphA", 5, true}, {"alph", 5, true}, {"alphaa", 5, true}} {
		ch := NewChecker("pkg", Verify)
		if err := ch.SetManifest("app.mf", mf); err != nil {
			t.Fatal(err)
		}
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			_, err := io.ReadAll(ch.Reader("a", c.size, wrap(strings.NewReader(c.content))))
			if (err != nil) != c.bad {
				t.Errorf("%q of %d: error %v", c.content, c.size, err)
			}
		}
	}
}

// What no digest is known of is not read where it is at hand, and what one is
// known of is, to the end.
func TestDrainReadsWhatIsProved(t *testing.T) {
	for _, c := range []struct {
		listed string
		reads  int
	}{{"a", 5}, {"b", 0}} {
		ch := NewChecker("pkg", Verify)
		if err := ch.SetManifest("app.mf", Format([]Entry{entry(SHA256, c.listed, "alpha")})); err != nil {
			t.Fatal(err)
		}
		content := strings.NewReader("alpha")
		r := ch.Reader("a", 5, content)
		r.AtHand()
		if err := r.Drain(); err != nil || 5-content.Len() != c.reads {
			t.Errorf("manifest of %s: %d bytes read (%v)", c.listed, 5-content.Len(), err)
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("manifest of %s: then %v", c.listed, err)
		}
	}
}
