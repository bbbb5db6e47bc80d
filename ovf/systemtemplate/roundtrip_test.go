package systemtemplate_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// wires are the two serialisations, each there and back.
func wires() map[string]func(testing.TB, *cimi.SystemTemplate) *cimi.SystemTemplate {
	decoded := func(t testing.TB, r cimi.Resource, err error) *cimi.SystemTemplate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		st, ok := r.(*cimi.SystemTemplate)
		if !ok {
			t.Fatalf("decoded %T", r)
		}
		return st
	}
	return map[string]func(testing.TB, *cimi.SystemTemplate) *cimi.SystemTemplate{
		"json": func(t testing.TB, st *cimi.SystemTemplate) *cimi.SystemTemplate {
			var b bytes.Buffer
			if err := cimi.EncodeJSON(&b, st); err != nil {
				t.Fatal(err)
			}
			r, err := cimi.DecodeJSON(b.Bytes())
			return decoded(t, r, err)
		},
		"xml": func(t testing.TB, st *cimi.SystemTemplate) *cimi.SystemTemplate {
			var b, again bytes.Buffer
			if err := cimi.EncodeXML(&b, st); err != nil {
				t.Fatal(err)
			}
			r, err := cimi.DecodeXML(b.Bytes())
			out := decoded(t, r, err)
			if err := cimi.EncodeXML(&again, out); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), again.Bytes()) {
				t.Errorf("the XML is not stable")
			}
			return out
		},
	}
}

// samples are all sound descriptors at hand: our own, the corpus's and
// govmomi's, as far as they are present.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	seen := map[[32]byte]bool{}
	add := func(path string, oneIn int) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if ovftest.Lot(b)%oneIn != 0 {
			return
		}
		if sum := sha256.Sum256(b); !seen[sum] {
			seen[sum] = true
			out[path] = b
		}
	}
	own, _ := filepath.Glob("testdata/*.ovf")
	for _, p := range own {
		add(p, 1)
	}
	known := corpus(t)
	for _, p := range slices.Sorted(maps.Keys(known)) {
		if sound(known[p]) {
			add(p, 1)
		}
	}
	oneIn := 1 // all of them when there is time
	if os.Getenv("CIMIMOVE_SLOW") != "1" {
		oneIn = 16
	}
	for _, p := range govmomi() {
		if !strings.Contains(p, "Neg") && !strings.Contains(p, "nvalid") {
			add(p, oneIn)
		}
	}
	return out
}

// govmomi lists the descriptors that the module govmomi carries.
func govmomi() []string {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware/govmomi").Output()
	if err != nil || len(bytes.TrimSpace(dir)) == 0 {
		return nil
	}
	var out []string
	_ = filepath.WalkDir(filepath.Join(string(bytes.TrimSpace(dir)), "ovf", "fixtures"), func(p string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".ovf") {
			out = append(out, p)
		}
		return nil
	})
	return out
}

func TestRoundTrip(t *testing.T) {
	n, skipped := 0, 0
	for path, b := range samples(t) {
		env, err := ovf.Parse(b)
		if err != nil {
			skipped++
			continue
		}
		if _, ok := env.Content(); !ok {
			skipped++
			continue
		}
		st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
		if err != nil {
			if strings.HasPrefix(path, "testdata") || strings.Contains(path, "corpus") {
				t.Errorf("%s: %v", path, err)
			} else {
				t.Logf("%s: %v", path, err)
			}
			skipped++
			continue
		}
		n++
		for name, wire := range wires() {
			back, _, err := systemtemplate.ToEnvelope(wire(t, st), systemtemplate.Options{})
			if err != nil {
				t.Errorf("%s: %s: %v", path, name, err)
				continue
			}
			if !bytes.Equal(back.Bytes(), b) {
				t.Errorf("%s: %s: the descriptor changed:\n%s", path, name, firstDifference(b, back.Bytes()))
			}
		}
	}
	t.Logf("%d descriptors, %d skipped", n, skipped)
	if n == 0 {
		t.Fatal("no descriptor was tried")
	}
}

func firstDifference(a, b []byte) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	cut := func(s []byte) string { return string(s[max(0, i-80):min(len(s), i+160)]) }
	return "was:\n" + cut(a) + "\nis:\n" + cut(b)
}
