package ovftest

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Missing ends a test that lacks something of the outside: it is skipped, and
// fails where CIMIMOVE_CI is 1.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CIMIMOVE_CI") == "1" {
		t.Fatalf("%s is missing, and CI must not do without it", what)
	}
	t.Skipf("%s is missing", what)
}

// Repository is the folder that holds go.mod.
func Repository(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if filepath.Dir(folder) == folder {
			t.Fatal("no go.mod above the working folder")
		}
		folder = filepath.Dir(folder)
	}
}

// Corpus is a folder of the shared corpus, beside the repository; see Missing
// for where there is none.
func Corpus(t testing.TB, name string) string {
	t.Helper()
	corpus := corpusFolder(t, name)
	if _, err := os.Stat(corpus); err != nil {
		Missing(t, "the corpus ../shared/corpus/"+name)
	}
	return corpus
}

func corpusFolder(t testing.TB, name string) string {
	return filepath.Join(filepath.Dir(Repository(t)), "shared", "corpus", name)
}

// Govmomi is the folder with the descriptors of the module govmomi; empty where
// the module is not there.
func Govmomi(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware/govmomi").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return ""
	}
	return filepath.Join(dir, "ovf", "fixtures")
}

// Lot is a number that stands for content. A test that tries only some of many
// files draws by it: what is tried of a file depends on the file alone, and not on
// which others a machine has before it in a list.
func Lot(content []byte) int {
	sum := sha256.Sum256(content)
	return int(binary.BigEndian.Uint32(sum[:]))
}

// Seeds are files of the corpora for a fuzz target, those with one of the
// extensions and of most bytes at most; none where the corpora are not there. Of
// govmomi's many, which resemble each other, one in eight.
func Seeds(t testing.TB, most int64, extensions ...string) [][]byte {
	t.Helper()
	var out [][]byte
	for _, root := range []struct {
		folder string
		each   int
	}{{corpusFolder(t, "ovf"), 1}, {corpusFolder(t, "ova"), 1}, {Govmomi(t), 8}} {
		filepath.WalkDir(root.folder, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			for _, ext := range extensions {
				if !strings.EqualFold(filepath.Ext(p), ext) {
					continue
				}
				if info, err := d.Info(); err != nil || info.Size() > most {
					continue
				}
				if b, err := os.ReadFile(p); err == nil && Lot(b)%root.each == 0 {
					out = append(out, b)
				}
			}
			return nil
		})
	}
	return out
}
