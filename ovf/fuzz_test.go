package ovf_test

import (
	"regexp"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// FuzzParse: any bytes are a descriptor, every view of which can be read and
// which comes back as it was, or an error.
func FuzzParse(f *testing.F) {
	f.Add(large(2))
	for _, v := range []ovf.Version{ovf.V1, ovf.V2} {
		e, err := ovf.NewEnvelope(appliance(v))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Bytes())
	}
	f.Add([]byte(`<o:Envelope xmlns:o="` + ovf.NS09 + `" xmlns:x="` + ovf.NSXSI + `"><Section x:type="o:DiskSection_Type"><Disk o:capacity="${a}"/></Section><Content x:type="o:VirtualSystem_Type"/></o:Envelope>`))
	for _, b := range ovftest.Seeds(f, 16<<10, ".ovf") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ovf.Parse(b); err == nil {
			exercise(e)
			if e.Edited() {
				t.Error("reading edits")
			}
		}
	})
}

func FuzzParseUnits(f *testing.F) {
	for _, s := range []string{"byte * 2^30", "byte*1024*2^10", "bit / second * 10^9", "MegaBytes", "byte * 2^-1", "2^255*2^255", " * "} {
		f.Add(s, "10")
	}
	written := regexp.MustCompile(`[uU]nits(?:="|>)([^"<]*)`)
	known := map[string]bool{}
	for _, b := range ovftest.Seeds(f, 1<<20, ".ovf") {
		for _, m := range written.FindAllSubmatch(b, -1) {
			if s := string(m[1]); !known[s] {
				known[s] = true
				f.Add(s, "16")
			}
		}
	}
	f.Fuzz(func(t *testing.T, unit, quantity string) {
		u, err := ovf.ParseUnits(unit)
		if err != nil {
			return
		}
		if n, err := u.Times(quantity); err == nil && n < 0 {
			t.Errorf("%q of %q is %d", quantity, unit, n)
		}
	})
}
