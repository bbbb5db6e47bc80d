package systemtemplate_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

var idLine = regexp.MustCompile(`,?\s*"ovfId": "[^"]*"(,?)`)

// withoutIDs drops what a new descriptor numbers anew.
func withoutIDs(s string) string {
	s = idLine.ReplaceAllString(s, "$1")
	return strings.NewReplacer("{,", "{", "\n", "", " ", "").Replace(s)
}

var capacity = regexp.MustCompile(`"capacity":(\d+)`)

// wholeSectors makes every capacity what it is on a disk of whole sectors.
func wholeSectors(s string) string {
	return capacity.ReplaceAllStringFunc(s, func(m string) string {
		kb, _ := strconv.ParseInt(capacity.FindStringSubmatch(m)[1], 10, 64)
		bytes := (kb*1000 + 511) / 512 * 512
		return fmt.Sprintf(`"capacity":%d`, (bytes+999)/1000)
	})
}

// native makes a template forget its descriptor.
func native(t testing.TB, path string) *cimi.SystemTemplate {
	t.Helper()
	st, _, err := systemtemplate.FromEnvelope(parse(t, path), systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.SetExtra(cimi.OVFDescriptor, nil)
	st.SetExtra(cimi.OVFConfiguration, nil)
	eachMachine(st, func(m *cimi.MachineTemplate) {
		// A new descriptor has the boot disk first.
		slices.SortStableFunc(m.VolumeTemplates, func(a, b cimi.TemplateVolumeTemplate) int {
			return boots(b) - boots(a)
		})
	})
	return st
}

func boots(v cimi.TemplateVolumeTemplate) int {
	if i := v.VolumeTemplate.Value.VolumeImage; i != nil && cimi.BoolValue(i.Value.Bootable) {
		return 1
	}
	return 0
}

// TestNative builds descriptors from templates without one: they follow the
// schema, and importing them gives the template again.
func TestNative(t *testing.T) {
	own, _ := filepath.Glob("testdata/*.ovf")
	if len(own) == 0 {
		t.Fatal("no testdata")
	}
	for _, path := range own {
		t.Run(filepath.Base(path), func(t *testing.T) {
			st := native(t, path)
			env, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
			if err != nil {
				t.Fatal(err)
			}
			validate(t, path, env)
			again, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, env.Bytes())
			}
			if want, got := wholeSectors(withoutIDs(plain(t, st))), withoutIDs(plain(t, again)); want != got {
				t.Errorf("%s\n%s", firstDifference([]byte(want), []byte(got)), env.Bytes())
			}
		})
	}
}

func TestNativeVersion1(t *testing.T) {
	one := systemtemplate.Options{Version: ovf.V1}
	_, _, err := systemtemplate.ToEnvelope(native(t, "testdata/shared-disk.ovf"), one)
	var refused *systemtemplate.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("a shared disk in version 1: %v, want a RefusedError", err)
	}
	st := native(t, "testdata/three-nics.ovf")
	st.ComponentDescriptors[0].Quantity = cimi.Int(3)
	env, _, err := systemtemplate.ToEnvelope(st, one)
	if err != nil {
		t.Fatal(err)
	}
	validate(t, "three machines", env)
	if got := len(env.VirtualSystems()); got != 3 {
		t.Errorf("%d virtual systems, want 3", got)
	}
}
