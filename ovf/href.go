package ovf

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// MemberName is the name of the stored file that an href means, seen from the
// descriptor (DSP0243 5.1, 7.1). has tells whether the package holds a name;
// the literal href is tried first, then the URL-decoded one, then the
// normalised ones. With a nil has, or when none is there, it is the literal
// href, cleaned. An href that leaves the package, or has a scheme, is refused
// with an error that wraps ErrUnsafePath: see RemoteHref for http and https.
func MemberName(href string, has func(name string) bool) (string, error) {
	if err := checkPath(href); err != nil {
		return "", err
	}
	decoded := href
	if strings.Contains(href, "%") {
		if d, err := url.PathUnescape(href); err == nil && d != href {
			// What is harmless as written may leave the package when decoded. A
			// file of that literal name is harmless still.
			if err := checkPath(d); err != nil {
				if has != nil && has(href) {
					return href, nil
				}
				return "", fmt.Errorf("href %q: URL-decoded: %w", shorten(href), err)
			}
			decoded = d
		}
	}
	if has != nil {
		for _, name := range []string{href, decoded, path.Clean(href), path.Clean(decoded)} {
			if has(name) {
				return name, nil
			}
		}
	}
	return path.Clean(href), nil
}

// RemoteHref says whether an href is an http or https URL, which the standard
// allows and a caller has to allow explicitly.
func RemoteHref(href string) bool {
	u, err := url.Parse(href)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

// ChunkName is the name of chunk i (from 0) of a chunked file: nine decimal
// digits behind a dot (7.1).
func ChunkName(name string, i int) string { return fmt.Sprintf("%s.%09d", name, i) }

func checkPath(p string) error {
	bad := func(why string) error { return fmt.Errorf("href %q: %s: %w", shorten(p), why, ErrUnsafePath) }
	switch {
	case p == "":
		return bad("is empty")
	case !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < 0x20 || r == 0x7F }):
		return bad("has control characters")
	case strings.HasPrefix(p, "/") || strings.HasPrefix(p, `\`):
		return bad("is absolute")
	case strings.Contains(p, `\`):
		return bad("has a backslash, which is a separator on some systems")
	case len(p) >= 2 && p[1] == ':' && (p[0]|0x20 >= 'a' && p[0]|0x20 <= 'z'):
		return bad("has a drive letter")
	case hasScheme(p):
		scheme, _, _ := strings.Cut(p, ":")
		if RemoteHref(p) {
			return bad("has the scheme " + scheme + ", which is read only where the caller allows it")
		}
		return bad("has the scheme " + scheme + ": a package may name files of its own and, by http and https, of web servers; others are not read")
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." {
			return bad(`has ".."`)
		}
	}
	if path.Clean(p) == "." {
		return bad("names no file")
	}
	return nil
}

// hasScheme: scheme ":" with what RFC 3986 allows in it, before any slash. A
// colon deeper in a file name is fine.
func hasScheme(p string) bool {
	i := strings.IndexAny(p, ":/")
	if i <= 0 || p[i] != ':' {
		return false
	}
	return strings.Trim(p[:i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == "" && (i+1 < len(p) && p[i+1] == '/' || isKnownScheme(p[:i]))
}

func isKnownScheme(s string) bool {
	switch strings.ToLower(s) {
	case "file", "http", "https", "ftp", "data", "jar", "s3", "urn", "javascript":
		return true
	}
	return false
}
