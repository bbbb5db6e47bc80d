package ova_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/ova"
)

// TestBegins: an OVA is told by its first bytes, whatever stands before the header
// of its descriptor.
func TestBegins(t *testing.T) {
	long := strings.Repeat("n", 120)
	for name, c := range map[string]struct {
		headers []tar.Header
		want    bool
	}{
		"ustar":                   {[]tar.Header{{Name: "app.ovf", Format: tar.FormatUSTAR}}, true},
		"long name of GNU":        {[]tar.Header{{Name: long + ".ovf", Format: tar.FormatGNU}}, true},
		"long name of PAX":        {[]tar.Header{{Name: long + ".ovf", Format: tar.FormatPAX}}, true},
		"time of PAX":             {[]tar.Header{{Name: "app.ovf", ModTime: time.Unix(1, 5), Format: tar.FormatPAX}}, true},
		"comment on the archive":  {[]tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}}, {Name: long + ".OVF", Format: tar.FormatPAX}}, true},
		"another tar":             {[]tar.Header{{Name: "etc/passwd", Format: tar.FormatUSTAR}, {Name: "app.ovf", Format: tar.FormatUSTAR}}, false},
		"another long name":       {[]tar.Header{{Name: long, Format: tar.FormatGNU}}, false},
		"a name that is too long": {[]tar.Header{{Name: strings.Repeat("n", 8<<10) + ".ovf", Format: tar.FormatGNU}}, false},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range c.headers {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := ova.Begins(b.Bytes()[:min(b.Len(), ova.HeaderSize)]); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, b := range [][]byte{nil, {0}, make([]byte, ova.HeaderSize)} {
		if ova.Begins(b) {
			t.Errorf("%d bytes of nothing begin an OVA", len(b))
		}
	}
}
