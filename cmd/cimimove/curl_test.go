package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestCurl has curl alone create, change, start where the host can, snapshot
// and delete a System of three machines, from the entry point, following hrefs.
func TestCurl(t *testing.T) {
	ovftest.Slow(t)
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile(filepath.Join("..", "..", "testdata", "curl", "system-json.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, shown) {
		t.Error("the README shows another system-json.sh than the one that runs")
	}
	for script, programs := range map[string][]string{
		"system-json.sh": {"sh", "sed", "curl", "jq"},
		"system-xml.sh":  {"sh", "sed", "curl", "xmllint"},
	} {
		t.Run(script, func(t *testing.T) {
			for _, p := range programs {
				if _, err := exec.LookPath(p); err != nil {
					if os.Getenv("CIMIMOVE_CI") == "1" {
						t.Fatal(err)
					}
					t.Skip(p, "is not installed")
				}
			}
			path, err := filepath.Abs(filepath.Join("..", "..", "testdata", "curl", script))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			url, _ := serving(t, dir, "cloud")
			cmd := exec.Command("sh", path, url)
			cmd.Dir = dir
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			want := "created 3 machines\nchanged shop: three of a kind\n1 snapshot\n1 snapshot\n1 snapshot\nleft 0 systems\n"
			if err != nil || string(out) != want {
				t.Errorf("%s: %v, prints\n%swant\n%s", script, err, out, want)
			}
		})
	}
}
