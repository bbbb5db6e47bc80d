package validate_test

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// class is what the corpus calls a descriptor. What breaks the schema and is
// accepted in the wild, and templates with placeholders, are neither sound nor
// unsound: it is enough that they are read.
type class int

const (
	neither class = iota
	sound_
	unsound_
)

type labelled struct {
	path, name string
	class      class
}

// classOf reads the column "expected" of INDEX.tsv.
func classOf(expected string) class {
	for _, p := range []string{"invalid", "not a descriptor", "nonconforming"} {
		if strings.HasPrefix(expected, p) {
			return unsound_
		}
	}
	for _, p := range []string{"XSD-invalid", "template", "edge"} {
		if strings.HasPrefix(expected, p) {
			return neither
		}
	}
	return sound_
}

func labels(t testing.TB) []labelled {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	var out []labelled
	base := filepath.Join(dir, "..", "shared", "corpus", "ovf")
	if f, err := os.Open(filepath.Join(base, "INDEX.tsv")); err == nil {
		defer f.Close()
		r := csv.NewReader(f)
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			out = append(out, labelled{filepath.Join(base, row[0]), row[0], classOf(row[7])})
		}
	} else {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("the corpus ../shared/corpus/ovf is missing, and CI must not do without it")
		}
		t.Log("the corpus ../shared/corpus/ovf is not there")
	}
	b, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware/govmomi").Output()
	if root := strings.TrimSpace(string(b)); err == nil && root != "" {
		root = filepath.Join(root, "ovf", "fixtures")
		filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.EqualFold(filepath.Ext(p), ".ovf") {
				return nil
			}
			rel, _ := filepath.Rel(root, p)
			s := filepath.ToSlash(rel)
			switch {
			case strings.Contains(s, "/Neg/"):
				out = append(out, labelled{p, s, unsound_})
			case strings.Contains(s, "/Pos/"):
				out = append(out, labelled{p, s, sound_})
			}
			return nil
		})
	}
	if len(out) == 0 {
		t.Skip("no corpus is there")
	}
	return out
}

// A label that we do not share: wrong where the standard says otherwise,
// outside where the fault is not in the descriptor.
type disagreement struct{ kind, why string }

func disagreements(t testing.TB) map[string]disagreement {
	b, err := os.ReadFile(filepath.Join("testdata", "disagreements.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]disagreement{}
	for _, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[1] != "wrong" && f[1] != "outside" {
			t.Fatalf("disagreements.tsv: %q", line)
		}
		out[f[0]] = disagreement{f[1], f[2]}
	}
	return out
}

// firstError is the first finding of severity error; empty when there is none.
func firstError(t testing.TB, l labelled) string {
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	env, err := ovf.Parse(b)
	if err != nil {
		return err.Error()
	}
	for _, f := range validate.Validate(env, validate.Options{}) {
		// VMware's suite keeps its disks in one folder outside of the packages.
		if f.ID == "OVF-REF-008" && strings.Contains(l.name, "OVFToolTemplates") {
			continue
		}
		if f.Severity == ovf.Error {
			return f.ID + " " + f.Object + ": " + f.Message
		}
	}
	return ""
}

// Sound descriptors have no finding of severity error, unsound ones have one.
func TestCorpus(t *testing.T) {
	explained := disagreements(t)
	count := map[class]int{}
	agreed := map[class]int{}
	excused := map[class]int{}
	for _, l := range labels(t) {
		first := firstError(t, l)
		if l.class == neither {
			continue
		}
		count[l.class]++
		agree := (first == "") == (l.class == sound_)
		d, known := explained[l.name]
		delete(explained, l.name)
		switch {
		case agree && known:
			t.Errorf("%s is listed as a disagreement, and is none (%s)", l.name, first)
		case agree:
			agreed[l.class]++
		case known:
			excused[l.class]++
			t.Logf("%s: %s: %s", d.kind, l.name, d.why)
		case l.class == sound_:
			t.Errorf("%s is labelled sound: %s", l.name, first)
		default:
			t.Errorf("%s is labelled unsound, and nothing was found", l.name)
		}
	}
	for name := range explained {
		if !strings.HasPrefix(name, "external/") && count[sound_] < 200 {
			continue // of a corpus that is not there
		}
		t.Errorf("%s is listed as a disagreement, and is no labelled descriptor", name)
	}
	for _, c := range []struct {
		name string
		class
	}{{"sound, no error found", sound_}, {"unsound, an error found", unsound_}} {
		judged := count[c.class] - excused[c.class]
		t.Logf("%s: %d of %d as labelled; %d labels are wrong or mean other files; rate %.1f %% of the remaining %d",
			c.name, agreed[c.class], count[c.class], excused[c.class], 100*float64(agreed[c.class])/float64(max(judged, 1)), judged)
	}
}
