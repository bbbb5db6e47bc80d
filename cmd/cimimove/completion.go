package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionScripts ask the program itself for words at the time of use, so a
// script never grows old. Where there are none, the shell offers files.
var completionScripts = map[string]string{
	"bash": `_cimimove() {
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$(cimimove complete-words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _cimimove cimimove
`,
	"zsh": `#compdef cimimove
_cimimove() {
  local -a found
  found=("${(@f)$(cimimove complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found[1]" ]]; then compadd -- $found; else _files; fi
}
compdef _cimimove cimimove
`,
	"fish": `complete -c cimimove -a '(cimimove complete-words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
}

// completion prints a completion script.
func completion(_ context.Context, c *call) (result, error) {
	script, ok := completionScripts[c.Args().First()]
	if !ok {
		return result{}, usage("completion is for bash, zsh or fish, not %q", c.Args().First())
	}
	return result{map[string]string{"script": script}, func(w io.Writer) error { _, err := io.WriteString(w, script); return err }}, nil
}

// completeWords prints what may stand in the place of the last of the words of
// a command line.
func completeWords(_ context.Context, c *call) (result, error) {
	for _, w := range candidates(c.App, c.Args().Slice()) {
		fmt.Fprintln(c.out, w)
	}
	return result{}, nil
}

func candidates(app *cli.App, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	current, before := words[len(words)-1], words[:len(words)-1]
	values := valueFlags(app)
	commands, flags := app.Commands, app.Flags
	used, previous := map[string]bool{}, ""
	for _, w := range before {
		switch name := strings.TrimLeft(w, "-"); {
		case previous != "":
			previous = ""
		case strings.HasPrefix(w, "-"):
			used[name] = true
			if values[name] {
				previous = name
			}
		default:
			if found := find(commands, w); found != nil {
				commands, flags = found.Subcommands, found.Flags
			}
		}
	}
	var out []string
	switch {
	case previous == "output":
		out = []string{"text", "json", "yaml"}
	case previous != "":
		out = choices[previous]
	case strings.HasPrefix(current, "-"):
		for _, f := range flags {
			hidden, ok := f.(cli.VisibleFlag)
			if name := f.Names()[0]; !used[name] && (!ok || hidden.IsVisible()) {
				out = append(out, "--"+name)
			}
		}
	default:
		for _, c := range commands {
			if !c.Hidden {
				out = append(out, c.Name)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(out), func(w string) bool { return !strings.HasPrefix(w, current) })
}
