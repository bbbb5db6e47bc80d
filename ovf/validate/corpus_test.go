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

type labelled struct {
	path, name string
	sound      bool
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
			unsound := strings.HasPrefix(row[7], "invalid") || strings.HasPrefix(row[7], "not a descriptor") || strings.HasPrefix(row[7], "nonconforming")
			out = append(out, labelled{filepath.Join(base, row[0]), row[0], !unsound})
		}
	} else {
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
				out = append(out, labelled{p, s, false})
			case strings.Contains(s, "/Pos/"):
				out = append(out, labelled{p, s, true})
			}
			return nil
		})
	}
	if len(out) == 0 {
		t.Skip("no corpus is there")
	}
	return out
}

// disagreements explains the labels that we do not share: name, a tab, why.
func disagreements(t testing.TB) map[string]string {
	b, err := os.ReadFile(filepath.Join("testdata", "disagreements.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		name, why, ok := strings.Cut(line, "\t")
		if ok && !strings.HasPrefix(line, "#") {
			out[name] = why
		}
	}
	return out
}

func TestCorpus(t *testing.T) {
	explained := disagreements(t)
	var sound, soundOK, unsound, unsoundOK int
	for _, l := range labels(t) {
		b, err := os.ReadFile(l.path)
		if err != nil {
			t.Fatal(err)
		}
		var first string
		env, err := ovf.Parse(b)
		if err != nil {
			first = err.Error()
		} else {
			for _, f := range validate.Validate(env, validate.Options{}) {
				// VMware's suite keeps its disks in one folder outside of the packages.
				if f.ID == "OVF-REF-008" && strings.Contains(l.name, "OVFToolTemplates") {
					continue
				}
				if f.Severity == ovf.Error {
					first = f.ID + " " + f.Object + ": " + f.Message
					break
				}
			}
		}
		agree := (first == "") == l.sound
		if l.sound {
			sound++
			if agree {
				soundOK++
			}
		} else {
			unsound++
			if agree {
				unsoundOK++
			}
		}
		why, known := explained[l.name]
		switch {
		case !agree && known:
			t.Logf("disagreement: %s: %s", l.name, why)
		case !agree && l.sound:
			t.Errorf("%s is labelled sound: %s", l.name, first)
		case !agree:
			t.Errorf("%s is labelled unsound, and nothing was found", l.name)
		case known:
			t.Errorf("%s is listed as a disagreement, and is none", l.name)
		}
	}
	t.Logf("sound: %d of %d pass; unsound: %d of %d are refused; %d disagreements explained", soundOK, sound, unsoundOK, unsound, len(explained))
}
