package env_test

import (
	"fmt"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/env"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestSchema: the environment of every machine of every descriptor is valid by
// the schema of DSP8027, in each configuration.
func TestSchema(t *testing.T) {
	ovftest.Corpus(t, "ovf")
	docs := map[string][]byte{}
	platform := env.Platform{Kind: "test <kind>", Version: "1.0", Vendor: "nobody", Locale: "en-US", Timezone: "-60"}
	for i, b := range append(ovftest.Seeds(t, 1<<20, ".ovf"), []byte(descriptor)) {
		e, err := ovf.Parse(b)
		if err != nil {
			continue
		}
		configurations := []string{""}
		for _, c := range e.Configurations() {
			configurations = append(configurations, c.ID)
		}
		for n, vs := range e.VirtualSystems() {
			for _, c := range configurations {
				if doc, err := env.Document(vs, env.Options{Configuration: c, Platform: platform}); err == nil {
					docs[fmt.Sprintf("descriptor %d, machine %d %s, configuration %q", i, n, vs.ID, c)] = doc
				}
			}
		}
	}
	for name, said := range ovftest.Invalid(t, "1.0.0/ovf-environment.xsd", docs) {
		t.Errorf("%s: %s\n%s", name, said, docs[name])
	}
	t.Logf("%d documents", len(docs))
	if len(docs) < 100 {
		t.Errorf("only %d documents were made", len(docs))
	}
}
