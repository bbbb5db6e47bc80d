package edit_test

import (
	"bytes"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
)

// Any descriptor that parses is edited and converted to what parses, or refused.
func FuzzApply(f *testing.F) {
	f.Add(sample(f).Bytes(), "large", "net a", uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, configuration, network string, cpus uint8) {
		e, err := ovf.Parse(b)
		if err != nil {
			return
		}
		for _, v := range []ovf.Version{ovf.V1, ovf.V2} {
			if c, _, err := e.ConvertTo(v); err == nil && c.Version() != v {
				t.Errorf("version %s, want %s", c.Version(), v)
			}
		}
		before := bytes.Clone(e.Bytes())
		edit.Apply(e, edit.Options{Name: "n", Configuration: configuration, Networks: map[string]string{network: "x"}, CPUs: map[string]int{"*": int(cpus)},
			MemoryBytes: map[string]int64{"*": 1 << 30}, Controllers: map[string]string{"scsi": "sata"}, MAC: edit.RegenerateMAC})
		if _, err := ovf.Parse(e.Bytes()); err != nil {
			t.Errorf("after the edit: %v\n%q", err, e.Bytes())
		}
		edit.Diff("a", before, e.Bytes())
	})
}
