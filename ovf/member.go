package ovf

import (
	"fmt"
	"iter"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// CleanName gives the one spelling of a stored file's name: slash-separated,
// without "./" and doubled slashes. It refuses, with ErrUnsafePath, what would
// leave the package: absolute names, "..", drive letters, backslashes that
// would be separators elsewhere, and what no line of a manifest can hold (the
// empty name, control characters).
func CleanName(name string) (string, error) {
	unsafe := func(why string) (string, error) {
		return "", fmt.Errorf("%q: %s: %w", name, why, ErrUnsafePath)
	}
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return unsafe("control character in a name")
	case strings.HasPrefix(name, "/"), strings.HasPrefix(name, `\`):
		return unsafe("absolute")
	case len(name) >= 2 && name[1] == ':' && isLetter(name[0]):
		return unsafe("drive letter")
	}
	for _, seg := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if seg == ".." {
			return unsafe(`".." in a name`)
		}
	}
	clean := path.Clean(name)
	if clean == "." {
		return unsafe("names no file")
	}
	return clean, nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// MatchMember finds the stored file that an href of References or a line of a
// manifest means: the name as written first, then URL-decoded, then
// normalised. Never a glob, never another case, never another folder.
func MatchMember(href string, has func(name string) bool) (string, bool) {
	for candidate := range memberSpellings(href) {
		if has(candidate) {
			return candidate, true
		}
	}
	return "", false
}

func memberSpellings(href string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(href) {
			return
		}
		decoded, decodeErr := url.PathUnescape(href)
		if decodeErr == nil && decoded != href && !yield(decoded) {
			return
		}
		if clean, err := CleanName(href); err == nil && clean != href && !yield(clean) {
			return
		}
		if decodeErr == nil {
			if clean, err := CleanName(decoded); err == nil && clean != decoded && !yield(clean) {
				return
			}
		}
	}
}

// NearestMember is the stored name that a missing href most likely meant, for
// a hint: another case, another folder, or a few letters off; empty when none is near.
func NearestMember(href string, names []string) string {
	if decoded, err := url.PathUnescape(href); err == nil {
		href = decoded
	}
	base := func(s string) string { return path.Base(strings.ReplaceAll(s, `\`, "/")) }
	for _, same := range []func(a, b string) bool{
		strings.EqualFold,
		func(a, b string) bool { return base(a) == base(b) },
		func(a, b string) bool { return strings.EqualFold(base(a), base(b)) },
	} {
		for _, n := range names {
			if same(href, n) {
				return n
			}
			if d, err := url.PathUnescape(n); err == nil && same(href, d) {
				return n
			}
		}
	}
	best, bestDistance := "", 3
	for _, n := range names {
		if d := editDistance(strings.ToLower(base(href)), strings.ToLower(base(n)), bestDistance); d < bestDistance && d*3 <= utf8.RuneCountInString(base(href)) {
			best, bestDistance = n, d
		}
	}
	return best
}

// editDistance is the number of letters to insert, drop or change, or limit
// when there are at least that many.
func editDistance(a, b string, limit int) int {
	if len(a) > 255 || len(b) > 255 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return min(row[len(b)], limit)
}
