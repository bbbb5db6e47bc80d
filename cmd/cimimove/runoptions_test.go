package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRunTakesItsOptions: options of a migration that run, plan and worker list
// are looked at for a runbook too.
func TestRunTakesItsOptions(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	file := filepath.Join(dir, "night.yaml")
	text := fmt.Sprintf("version: 1\nendpoints: {old: {url: 'local:%s/old'}, new: {url: 'local:%s/new'}}\ndefaults: {source: old, destination: new}\nsystems: [{system: one}]\n", dir, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"run", "plan"} {
		if code, _, stderr := invoked(command, file, "--parallel-disks", "0", "--progress", "none"); code != 2 {
			t.Errorf("%s: exit %d: %s", command, code, stderr)
		}
	}
}
