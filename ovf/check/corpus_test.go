package check_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// archive is an OVA of the corpus; unsound where its index knows of no archive
// in it, or of no descriptor.
type archive struct {
	path    string
	unsound bool
}

func archives(t *testing.T) []archive {
	folder := ovftest.Corpus(t, "ova")
	index, err := os.ReadFile(filepath.Join(folder, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var out []archive
	for i, line := range strings.Split(strings.TrimSpace(string(index)), "\n") {
		if f := strings.Split(line, "\t"); i > 0 {
			out = append(out, archive{filepath.Join(folder, filepath.Base(f[0])), !strings.Contains(f[5], ".ovf:")})
		}
	}
	return out
}

// disagreements are the archives of which we think otherwise than their label,
// by name, with why.
func disagreements(t *testing.T) map[string]string {
	b, err := os.ReadFile(filepath.Join("testdata", "disagreements.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		if name, why, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			out[name] = why
		}
	}
	return out
}

// TestCorpus: every OVA of the corpus is read to its end, digests, signature and
// disks included. What is sound has no finding of severity error, and its
// descriptor comes back byte for byte; what is not has one.
func TestCorpus(t *testing.T) {
	explained := disagreements(t)
	var sound, unsound, soundAgreed, unsoundAgreed, excused int
	for _, a := range archives(t) {
		name := filepath.Base(a.path)
		fault := judge(t, a.path)
		why, known := explained[name]
		delete(explained, name)
		agree := (fault != "") == a.unsound
		switch {
		case agree && known:
			t.Errorf("%s is listed as a disagreement, and is none (%s)", name, fault)
		case known:
			excused++
			t.Logf("disagreement: %s: %s (%s)", name, why, fault)
			continue
		case !agree && a.unsound:
			t.Errorf("%s is no package, and nothing was found", name)
		case !agree:
			t.Errorf("%s: %s", name, fault)
		}
		if a.unsound {
			unsound++
			unsoundAgreed += one(agree)
		} else {
			sound++
			soundAgreed += one(agree)
		}
	}
	for name := range explained {
		t.Errorf("%s is listed as a disagreement, and is not in the corpus", name)
	}
	t.Logf("sound, no error found: %d of %d (%.1f %%); unsound, an error found: %d of %d (%.1f %%); %d explained",
		soundAgreed, sound, 100*float64(soundAgreed)/float64(max(sound, 1)), unsoundAgreed, unsound, 100*float64(unsoundAgreed)/float64(max(unsound, 1)), excused)
	if sound < 5 || unsound < 1 {
		t.Errorf("%d sound and %d unsound archives were judged", sound, unsound)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// judge gives the first fault of a package, empty when there is none, from a
// file and from a stream alike.
func judge(t *testing.T, path string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	fault := func(arg string, opts files.OpenOptions) string {
		pkg, err := files.Open(ctx, arg, opts)
		if err != nil {
			return err.Error()
		}
		defer pkg.Close()
		was := bytes.Clone(pkg.Envelope().Bytes())
		again, err := ovf.Parse(bytes.Clone(was))
		if err != nil || !bytes.Equal(again.Bytes(), was) {
			t.Errorf("%s: the descriptor comes back changed (%v)", path, err)
		}
		findings, err := check.Package(ctx, pkg, check.Options{Spool: t.TempDir()})
		for _, f := range findings {
			if f.Severity == ovf.Error {
				return f.ID + " " + f.Object + ": " + f.Message
			}
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, stream := fault(path, files.OpenOptions{}), fault("-", files.OpenOptions{Stdin: f, Spool: t.TempDir()})
	if (file == "") != (stream == "") {
		t.Errorf("%s: as a file %q, as a stream %q", filepath.Base(path), file, stream)
	}
	return file
}
