// Package manifest reads, checks and writes the manifest of a package, the
// .mf file (DSP0243 5.1): one digest per stored file.
//
// It reads every spelling that producers are known to write (SHA1 to SHA512,
// SHA2-256, blanks around parentheses, CRLF, upper-case digests, lines as
// sha256sum writes them, padding with blanks) and writes exactly one:
//
//	SHA256(name)= hex
//
// A Checker digests files in the pass in which they are read and withholds
// their end-of-file until size and digest match, so nobody commits what was
// not verified.
package manifest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// Limits on what Parse takes: a manifest is small, and hostile ones are not.
const (
	MaxBytes   = 64 << 20
	maxEntries = 1 << 20
	maxLine    = 8 << 10
	maxReports = 20 // findings of one kind; more say the same
)

// Rule ids of the findings this package makes.
const (
	RuleSpelling  = "OVF-MF-001" // a line is spelled unlike the standard says
	RuleDuplicate = "OVF-MF-002" // a file is listed twice, with the same digest
	RuleUnlisted  = "OVF-MF-003" // a stored file is not listed
	RuleSelf      = "OVF-MF-004" // the manifest lists itself; no digest of itself can be right
	RuleEmpty     = "OVF-MF-005" // the manifest lists nothing
	RuleName      = "OVF-MF-006" // the manifest is not named after the descriptor
)

const clause = "DSP0243 5.1"

// Entry is one line: the digest of a stored file, in lower-case hex.
type Entry struct {
	Name      string
	Algorithm Algorithm
	Digest    string
	Line      int // counted from 1; 0 when not read from a manifest
}

// Manifest is a parsed .mf file.
type Manifest struct {
	Entries  []Entry
	Findings []ovf.Finding
}

// Parse reads a manifest. An unknown algorithm, a digest of the wrong length,
// a name that leaves the package, or two different digests of one file are a
// *ovf.DescriptorError that names the line; odd spellings are findings.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxBytes {
		return nil, &ovf.DescriptorError{Object: "manifest", Offset: -1,
			Message: fmt.Sprintf("has %d bytes, the limit is %d", len(b), MaxBytes), Clause: "5.1"}
	}
	m := &Manifest{}
	type key struct {
		name      string
		algorithm Algorithm
	}
	seen := map[key]string{}
	line := 0
	for raw := range bytes.Lines(b) {
		line++
		text := strings.Trim(string(raw), " \t\r\n\x00\ufeff")
		if text == "" {
			continue
		}
		fail := func(message string, err error) error {
			return &ovf.DescriptorError{Object: fmt.Sprintf("manifest line %d", line), Offset: -1, Message: message, Clause: "5.1", Err: err}
		}
		if len(text) > maxLine {
			return nil, fail(fmt.Sprintf("has %d bytes, the limit is %d", len(text), maxLine), nil)
		}
		e, odd, err := parseLine(text)
		if err != nil {
			return nil, fail("", err)
		}
		e.Line = line
		if _, err := ovf.CleanName(e.Name); err != nil && !strings.Contains(e.Name, "://") {
			return nil, fail("", err)
		}
		if odd != "" {
			m.find(RuleSpelling, ovf.Warning, e.Name, fmt.Sprintf("manifest line %d: %s", line, odd), "the standard's spelling is SHA256(name)= hex")
		}
		k := key{e.Name, e.Algorithm}
		if digest, twice := seen[k]; twice {
			if digest != e.Digest {
				return nil, fail(fmt.Sprintf("%q is listed before with the %s digest %s, here with %s", e.Name, e.Algorithm, digest, e.Digest), nil)
			}
			m.find(RuleDuplicate, ovf.Warning, e.Name, fmt.Sprintf("manifest line %d repeats an earlier line", line), "")
			continue
		}
		seen[k] = e.Digest
		if len(m.Entries) == maxEntries {
			return nil, fail(fmt.Sprintf("more than %d files listed", maxEntries), nil)
		}
		m.Entries = append(m.Entries, e)
	}
	if len(m.Entries) == 0 {
		m.find(RuleEmpty, ovf.Warning, "manifest", "lists no file, so it proves nothing", "")
	}
	return m, nil
}

// find adds a finding, unless many of its kind are there already.
func (m *Manifest) find(id string, severity ovf.Severity, object, message, hint string) {
	n := 0
	for _, f := range m.Findings {
		if f.ID == id {
			n++
		}
	}
	if n < maxReports {
		m.Findings = append(m.Findings, ovf.Finding{ID: id, Severity: severity, Object: object, Message: message, Hint: hint, Clause: clause})
	}
}

// parseLine reads one line; odd says how its spelling differs from the
// standard's, empty when it does not in a way worth a warning.
func parseLine(text string) (e Entry, odd string, err error) {
	open := strings.IndexByte(text, '(')
	equals := strings.LastIndexByte(text, '=')
	if open > 0 && equals > open {
		if a, known := parseAlgorithm(text[:open]); known {
			return parseStandardLine(text, a, open, equals)
		}
	}
	// sha256sum: digest, blank, blank or star, name.
	digest, name, found := strings.Cut(text, " ")
	if a, known := algorithmOfLength(len(digest)); found && known && isHex(digest) {
		name = strings.TrimPrefix(strings.TrimLeft(name, " \t"), "*")
		if name != "" {
			return Entry{Name: name, Algorithm: a, Digest: strings.ToLower(digest)}, "written as sha256sum does", nil
		}
	}
	if open > 0 && equals > open {
		return e, "", fmt.Errorf("algorithm %q is not one of %s", shorten(text[:open]), strings.Join(spellings(), ", "))
	}
	return e, "", fmt.Errorf("%q is not of the form SHA256(name)= hex", shorten(text))
}

func parseStandardLine(text string, a Algorithm, open, equals int) (e Entry, odd string, err error) {
	// The name may hold parentheses and equals signs: it ends at the last ")"
	// before the last "=".
	end := strings.LastIndexByte(text[:equals], ')')
	if end <= open || strings.TrimSpace(text[end+1:equals]) != "" {
		return e, "", fmt.Errorf("%q is not of the form SHA256(name)= hex", shorten(text))
	}
	name := text[open+1 : end]
	digest := strings.ToLower(strings.TrimSpace(text[equals+1:]))
	if name == "" {
		return e, "", fmt.Errorf("%q names no file", shorten(text))
	}
	if !isHex(digest) || len(digest) != a.HexLen() {
		return e, "", fmt.Errorf("%q: the %s digest has %d hex digits, %q is not that", shorten(name), a, a.HexLen(), shorten(digest))
	}
	if strings.TrimSpace(text[:open]) != a.Spelling() {
		odd = fmt.Sprintf("algorithm is spelled %q", strings.TrimSpace(text[:open]))
	}
	return Entry{Name: name, Algorithm: a, Digest: digest}, odd, nil
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && s != ""
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

// Algorithms lists the algorithms used, each once, in order of appearance.
func (m *Manifest) Algorithms() []Algorithm {
	var out []Algorithm
	for _, e := range m.Entries {
		if !slices.Contains(out, e.Algorithm) {
			out = append(out, e.Algorithm)
		}
	}
	return out
}

// NewEntry is the entry of a file whose bytes h, of algorithm a, has seen.
func NewEntry(name string, a Algorithm, h hash.Hash) Entry {
	return Entry{Name: name, Algorithm: a, Digest: hex.EncodeToString(h.Sum(nil))}
}

// OfPackage is the manifest of a package: its descriptor's entry, then those of
// its files.
func OfPackage(a Algorithm, name string, descriptor []byte, files []Entry) []byte {
	h := a.New()
	h.Write(descriptor)
	return Format(append([]Entry{NewEntry(name, a, h)}, files...))
}

// Format writes entries as a manifest, each line SHA256(name)= hex and a line feed.
func Format(entries []Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%s(%s)= %s\n", e.Algorithm.Spelling(), e.Name, strings.ToLower(e.Digest))
	}
	return b.Bytes()
}

// Size is the length in bytes of the manifest that Format writes for files of
// these names, known before any digest is.
func Size(a Algorithm, names ...string) int64 {
	var n int64
	for _, name := range names {
		n += int64(len(a.Spelling()) + len("(") + len(name) + len(")= ") + a.HexLen() + len("\n"))
	}
	return n
}
