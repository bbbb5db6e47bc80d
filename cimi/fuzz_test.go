package cimi

import "testing"

// FuzzVersion1: what is read in either version can be written in 1.x and read again.
func FuzzVersion1(f *testing.F) {
	for _, name := range types1() {
		r := example1(name)
		for _, marshal := range []func(Resource, Version) ([]byte, error){MarshalJSONIn, MarshalXMLIn} {
			if b, err := marshal(r, V1); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeJSON(b)
		if err != nil {
			if r, err = DecodeXML(b); err != nil {
				return
			}
		}
		down := Downgrade(r, func(c, w string) string { return c + "/as/" + w })
		for _, v := range []Version{V1, V2} {
			x, err := MarshalXMLIn(down, v)
			if err != nil {
				continue // a type whose name is no XML name
			}
			if _, err := DecodeXMLWithin(x, "", FileLimits()); err != nil {
				t.Fatalf("%d: %v in\n%s", v, err, x)
			}
			j, err := MarshalJSONIn(down, v)
			if err != nil {
				t.Fatal(err)
			}
			back, err := DecodeJSONWithin(j, r.TypeName(), FileLimits())
			if err != nil {
				t.Fatalf("%d: %v in\n%s", v, err, j)
			}
			Upgrade(back)
			VersionOf(j)
		}
	})
}
