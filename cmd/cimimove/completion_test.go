package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// complete is what a shell offers for the last word of a line, of the words
// that its script finds.
var complete = map[string]func(t *testing.T, line string) []string{
	"bash": func(t *testing.T, line string) []string {
		words := strings.Split(line, " ")
		quoted := "'" + strings.Join(words, "' '") + "'"
		return shell(t, "bash", "--norc", "--noprofile", "-c", `source <(cimimove completion bash)
complete -p cimimove >/dev/null || exit 1
COMP_WORDS=(`+quoted+`) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_cimimove
printf '%s\n' "${COMPREPLY[@]}"`)
	},
	"fish": func(t *testing.T, line string) []string {
		return shell(t, "fish", "--no-config", "-c", `cimimove completion fish | source
complete -C "`+line+`"`)
	},
	// A terminal in which the line is typed and Tab is pressed twice, so that all
	// that can follow is listed.
	"zsh": func(t *testing.T, line string) []string {
		return shell(t, "zsh", "-f", "-c", `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "RPS1= COLUMNS=200; autoload -Uz compinit; compinit -u -d $ZDOTDIR/dump; cimimove completion zsh > $ZDOTDIR/script; source $ZDOTDIR/script; PS1='re''ady> '"
zpty -r z out '*ready> *'
zpty -w -n z "`+line+`"$'\C-d'
zpty -w -n z $'\C-a: \C-e # end\n'
while zpty -r z out; do print -r -- $out; [[ $out == *'# end'* ]] && break; done
zpty -d z`)
	},
}

func shell(t *testing.T, name string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(name, args...)
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "ZDOTDIR="+home, "XDG_CONFIG_HOME="+home, "XDG_STATE_HOME="+home, "TERM=dumb")
	for _, f := range []string{"app.ova", "other.ovf"} {
		if err := os.WriteFile(filepath.Join(home, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	words := strings.FieldsFunc(string(out), func(r rune) bool { return r <= ' ' })
	return words
}

// TestCompletionInShells: the scripts offer, in the shells themselves, commands,
// options and values, whatever the program has today.
func TestCompletionInShells(t *testing.T) {
	for name, offered := range complete {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				if name == "bash" {
					ovftest.Missing(t, name)
				}
				t.Skipf("%s is not installed", name)
			}
			for _, c := range []struct {
				line     string
				has, not []string
			}{
				{"cimimove con", []string{"convert"}, []string{"import"}},
				{"cimimove validate app.ova --fo", []string{"--for"}, []string{"--strict"}},
				{"cimimove validate app.ova --output ", []string{"text", "json", "yaml"}, []string{"convert"}},
				{"cimimove ", []string{"inspect", "convert", "migrate", "completion"}, []string{"complete-words"}},
			} {
				got := offered(t, c.line)
				for _, w := range c.has {
					if !slices.Contains(got, w) {
						t.Errorf("%q: %s is not among %q", c.line, w, got)
					}
				}
				for _, w := range c.not {
					if slices.Contains(got, w) {
						t.Errorf("%q: %s is among %q", c.line, w, got)
					}
				}
			}
		})
	}
}
