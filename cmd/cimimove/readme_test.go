package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeSession runs the session of the README and compares what it
// prints. A "…" in a line stands for anything, a line of "…" for any lines.
func TestReadmeSession(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, session, found := strings.Cut(string(readme), "```console\n")
	session, _, closed := strings.Cut(session, "```")
	if !found || !closed {
		t.Fatal("the README has no console session")
	}
	t.Chdir(t.TempDir())
	t.Setenv("CIMIMOVE_STATE_DIR", filepath.Join(t.TempDir(), "state"))
	steps := strings.Split("\n"+session, "\n$ ")[1:]
	if len(steps) < 5 {
		t.Fatalf("only %d commands in the session", len(steps))
	}
	for _, step := range steps {
		line, want, _ := strings.Cut(step, "\n")
		var out, diagnostics bytes.Buffer
		if code := run(context.Background(), strings.Fields(line), strings.NewReader(""), &out, &diagnostics); code != 0 {
			t.Fatalf("$ %s\nexits %d: %s", line, code, diagnostics.String())
		}
		if !matches(strings.TrimRight(want, "\n"), strings.TrimRight(out.String(), "\n")) {
			t.Errorf("$ %s\nprints\n%s\nthe README says\n%s", line, out.String(), want)
		}
	}
}

func matches(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	lines := strings.Split(want, "\n")
	for i, l := range lines {
		if l == "…" {
			pattern.WriteString(`(?:.*\n?)*?`)
			continue
		}
		parts := strings.Split(l, "…")
		for j, p := range parts {
			parts[j] = regexp.QuoteMeta(p)
		}
		pattern.WriteString(strings.Join(parts, `[^\n]*`))
		if i < len(lines)-1 {
			pattern.WriteString(`\n`)
		}
	}
	pattern.WriteString(`\n?\z`)
	return regexp.MustCompile(pattern.String()).MatchString(got)
}

// TestMatches: a README that says something else is noticed.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a\nc", false},
		{"id …", "id 17", true},
		{"id …\nx", "id 17\ny", false},
		{"a\n…\nz", "a\nb\nc\nz", true},
		{"a\n…", "b", false},
	} {
		if got := matches(c.want, c.got); got != c.ok {
			t.Errorf("matches(%q, %q) = %v", c.want, c.got, got)
		}
	}
}
