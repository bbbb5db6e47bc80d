// Package endpoint opens what a user names as a cloud: the URL of a CIMI
// entry point, a folder that is an embedded cloud, a hypervisor, or a named
// endpoint of the configuration file. It is the one visible switch over the
// kinds of cloud, and the one place where credentials are gathered: from the
// environment, a file, or a helper program, never from an argument or a URL.
package endpoint

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Kind of cloud an endpoint names.
type Kind string

const (
	CIMI    Kind = "cimi"    // https://h/…: the URL of a Cloud Entry Point
	Local   Kind = "local"   // local:DIR
	VSphere Kind = "vsphere" // vsphere://vcenter/datacenter
	Libvirt Kind = "libvirt" // libvirt:qemu:///system
)

// Endpoint is a parsed name of a cloud.
type Endpoint struct {
	Kind Kind
	// Name is what the user wrote; it holds no secret.
	Name string
	// URL of the entry point or hypervisor.
	URL string
	// Dir of a local cloud, cleaned.
	Dir string
	// Bandwidth is how many bytes a second may be moved from and to it together,
	// Transfers how many Systems at a time, Disks how many disks of one; 0: any.
	// A named endpoint says so.
	Bandwidth int64
	Transfers int
	Disks     int
	// Insecure: its certificate is not checked.
	Insecure bool
}

// Location is the same for one cloud whatever it is called: by a name, through a
// link, with other options behind the question mark.
func (e Endpoint) Location() string {
	if e.Kind == Local {
		dir, err := filepath.EvalSymlinks(e.Dir)
		if err != nil { // it is not there yet
			dir = e.Dir
		}
		return "local:" + dir
	}
	at, _, _ := strings.Cut(e.URL, "?")
	if u, err := url.Parse(at); err == nil && u.Host != "" {
		u.Host = strings.ToLower(u.Host)
		at = u.String()
	}
	at = strings.TrimRight(at, "/")
	if e.Kind == Libvirt {
		return "libvirt:" + at
	}
	return at
}

// ErrUserInfo: credentials stood in a URL, where process lists and logs show them.
var ErrUserInfo = errors.New("user name or password in a URL; use CIMIMOVE_SOURCE_USER and CIMIMOVE_SOURCE_PASSWORD (or CIMIMOVE_DESTINATION_…), --source-password-file, or a named endpoint (@name)")

// A NameError is an endpoint that cannot be understood or opened as named.
type NameError struct {
	Name string
	Err  error
}

func (e *NameError) Error() string { return fmt.Sprintf("endpoint %s: %v", e.Name, e.Err) }
func (e *NameError) Unwrap() error { return e.Err }

// ErrUnknownKind: neither a cloud's URL, nor local:DIR, nor a hypervisor, nor @name.
var ErrUnknownKind = errors.New("not an endpoint: give the URL of a Cloud Entry Point, local:DIR, vsphere://…, libvirt:… or @name")

// What else a name may lack.
var (
	ErrNoFolder = errors.New("needs a folder, such as local:cloud")
	ErrNotURL   = errors.New("not a URL")
	ErrNotURI   = errors.New("not a URI, expected such as libvirt:qemu:///system")
	ErrNoHost   = errors.New("URL without a host")
)

// Parse reads an endpoint as cli.md writes it; @name is Config's business.
func Parse(s string) (Endpoint, error) {
	switch {
	case strings.HasPrefix(s, "local:"):
		dir := strings.TrimPrefix(s, "local:")
		if dir == "" {
			return Endpoint{}, &NameError{s, ErrNoFolder}
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return Endpoint{}, &NameError{s, err}
		}
		return Endpoint{Kind: Local, Name: s, Dir: abs}, nil
	case strings.HasPrefix(s, "http://"), strings.HasPrefix(s, "https://"):
		u, err := checkURL(s)
		if err != nil {
			return Endpoint{}, err
		}
		return Endpoint{Kind: CIMI, Name: s, URL: u}, nil
	case strings.HasPrefix(s, "vsphere://"):
		u, err := checkURL(s)
		if err != nil {
			return Endpoint{}, err
		}
		return Endpoint{Kind: VSphere, Name: s, URL: u}, nil
	case strings.HasPrefix(s, "libvirt:"):
		if err := checkHypervisor(s, strings.TrimPrefix(s, "libvirt:")); err != nil {
			return Endpoint{}, err
		}
		return Endpoint{Kind: Libvirt, Name: s, URL: strings.TrimPrefix(s, "libvirt:")}, nil
	}
	return Endpoint{}, &NameError{redact(s), ErrUnknownKind}
}

func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", &NameError{redact(s), ErrNotURL}
	}
	if u.User != nil {
		return "", &NameError{redact(s), ErrUserInfo}
	}
	if u.Host == "" {
		return "", &NameError{redact(s), ErrNoHost}
	}
	return u.String(), nil
}

// redact removes user-info from what may be shown.
func redact(s string) string {
	colon := "://"
	scheme, rest, ok := strings.Cut(s, colon)
	if !ok {
		colon = ":"
		if scheme, rest, ok = strings.Cut(s, colon); !ok {
			return s
		}
	}
	// A password may hold any sign, slashes too: where a name and : come before
	// the last @, all of that may be one.
	first, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(rest, "@"); at >= 0 && (strings.ContainsAny(rest[:at], ":?#") || at < len(first)) {
		rest = rest[at+1:]
	}
	return scheme + colon + rest
}
