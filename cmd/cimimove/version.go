package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"
)

type versionDocument struct {
	Version string   `json:"version"`
	Go      string   `json:"go"`
	OVF     []string `json:"ovf"`
	CIMI    []string `json:"cimi"`
}

func version(_ context.Context, _ *call) (result, error) {
	doc := &versionDocument{build(), runtime.Version(), []string{"0.9", "1.0", "1.1", "2.0"}, []string{"2.0"}}
	return result{doc, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "cimimove %s (%s); OVF %s; CIMI %s\n", doc.Version, doc.Go, strings.Join(doc.OVF, ", "), strings.Join(doc.CIMI, ", "))
		return err
	}}, nil
}

// completionCommand prints a completion script. The words come from the table
// of commands at the time of use, so a script never grows old.
func completionCommand(do func(string, action) cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name: "completion", ArgsUsage: "SHELL", Usage: "a completion script for bash, zsh or fish", Description: "Example:\n  source <(cimimove completion bash)",
		Flags: outputFlags(), OnUsageError: usageFault, HideHelpCommand: true,
		Action: do("completion", func(_ context.Context, c *call) (result, error) {
			words := completionWords(c.App)
			scripts := map[string]string{
				"bash": "complete -o default -W '" + words + "' cimimove\n",
				"zsh":  "#compdef cimimove\n_cimimove() { compadd -- " + words + "; _files }\ncompdef _cimimove cimimove\n",
				"fish": "complete -c cimimove -a '" + words + "'\n",
			}
			s, ok := scripts[c.Args().First()]
			if !ok {
				return result{}, usage("completion is for bash, zsh or fish, not %q", c.Args().First())
			}
			_, err := io.WriteString(c.out, s)
			return result{}, err
		}),
	}
}

func completionWords(app *cli.App) string {
	seen := map[string]bool{}
	var words []string
	add := func(w string) {
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	var walk func([]*cli.Command)
	walk = func(commands []*cli.Command) {
		for _, c := range commands {
			add(c.Name)
			walk(c.Subcommands)
		}
	}
	walk(app.Commands)
	each(app, func(_ string, f cli.Flag) {
		if name := f.Names()[0]; len(name) > 1 {
			add("--" + name)
		}
	})
	return strings.Join(words, " ")
}
