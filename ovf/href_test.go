package ovf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// AC-21.
func TestAC21MemberName(t *testing.T) {
	members := map[string]bool{"d 1.vmdk": true, "d%201.vmdk": true, "a b.vmdk": true, "disks/d1.vmdk": true, "d[1].vmdk": true, "dĩsk.vmdk": true, "x:1.vmdk": true, "%2e%2e/x": true}
	has := func(n string) bool { return members[n] }
	tests := []struct {
		href, want string
		unsafe     bool
	}{
		{"d%201.vmdk", "d%201.vmdk", false}, // the literal name first
		{"a%20b.vmdk", "a b.vmdk", false},
		{"./disks/d1.vmdk", "disks/d1.vmdk", false},
		{"disks//d1.vmdk", "disks/d1.vmdk", false},
		{"disks%2Fd1.vmdk", "disks/d1.vmdk", false},
		{"d[1].vmdk", "d[1].vmdk", false},
		{"d%C4%A9sk.vmdk", "dĩsk.vmdk", false},
		{"100%.vmdk", "100%.vmdk", false},
		{"absent/x.vmdk", "absent/x.vmdk", false},
		{"xx:1.vmdk", "xx:1.vmdk", false},
		{"%2e%2e/x", "%2e%2e/x", false}, // such a member is in the package
		{"%2e%2e/y", "", true},
		{"../x", "", true},
		{"a/../../x", "", true},
		{"a/..", "", true},
		{"/etc/passwd", "", true},
		{`C:\x`, "", true},
		{"C:/x", "", true},
		{"c:x", "", true},
		{`a\..\x`, "", true},
		{`\\host\share`, "", true},
		{"//host/x", "", true},
		{"http://host/x", "", true},
		{"file:x", "", true},
		{"file:///x", "", true},
		{"%2Fetc%2Fpasswd", "", true},
		{"..%2Fx", "", true},
		{"a\x00b", "", true},
		{"a%00b", "", true},
		{"", "", true},
		{".", "", true},
	}
	for _, tt := range tests {
		got, err := ovf.MemberName(tt.href, has)
		if tt.unsafe != errors.Is(err, ovf.ErrUnsafePath) || got != tt.want || !tt.unsafe && err != nil {
			t.Errorf("%q = %q, %v, want %q", tt.href, got, err, tt.want)
		}
	}
	if !ovf.RemoteHref("HTTPS://host/x") || ovf.RemoteHref("file://host/x") || ovf.RemoteHref("http.vmdk") {
		t.Error("RemoteHref")
	}
	if got := ovf.ChunkName("d.vmdk", 12); got != "d.vmdk.000000012" {
		t.Errorf("chunk %q", got)
	}
}

// TestSchemes: what an href with a scheme is refused for says which scheme it is
// and what is read; so does the error of the file that is then missing.
func TestSchemes(t *testing.T) {
	for href, want := range map[string]string{
		"file:///etc/disk.vmdk": "has the scheme file: a package may name files of its own and, by http and https, of web servers",
		"FILE:disk.vmdk":        "has the scheme FILE:",
		"ftp://a.example/d":     "has the scheme ftp:",
		"https://a.example/d":   "has the scheme https, which is read only where the caller allows it",
	} {
		_, err := ovf.MemberName(href, nil)
		if !errors.Is(err, ovf.ErrUnsafePath) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", href, err)
		}
		if missing := (&ovf.MissingFileError{Package: "p", Href: href}).Error(); !ovf.RemoteHref(href) && !strings.Contains(missing, want) {
			t.Errorf("missing: %s", missing)
		}
	}
}

// TestXMLVersion: XML 1.1 is refused as such, not as something malformed.
func TestXMLVersion(t *testing.T) {
	_, err := ovf.Parse([]byte(`<?xml version="1.1"?><Envelope xmlns="` + ovf.NS1 + `"/>`))
	if err == nil || strings.Contains(err.Error(), "well-formed") || !strings.Contains(err.Error(), `in a version of XML that is not read: line 1: xml: unsupported version "1.1"; only version 1.0`) {
		t.Errorf("%v", err)
	}
}
