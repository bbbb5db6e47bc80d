package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// ovftoolSpellings are the options that users' fingers know from ovftool,
// with the name that this tool gives them (cli.md, "Options that many commands share").
var ovftoolSpellings = map[string]string{
	"acceptAllEulas":   "accept-eulas",
	"noSSLVerify":      "insecure",
	"diskMode":         "disk-mode",
	"powerOn":          "power-on",
	"deploymentOption": "deployment-option",
	"shaAlgorithm":     "sha",
}

// mayStandAlone are the options that may be given without a value, which then
// is the first of these.
var mayStandAlone = map[string][]string{"digest": digestKinds}

// arrange puts a command line in the order that urfave/cli parses: command,
// subcommand, options, "--", arguments. Users may write options anywhere, but
// that library stops looking for them at the first argument, so they are
// moved by the flag table of the command itself. "help COMMAND" becomes
// "COMMAND --help".
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	values := valueFlags(app)
	var options, arguments []string
	rest := args[1:]
	for len(rest) > 0 {
		a := rest[0]
		rest = rest[1:]
		if a == "--" {
			arguments = append(arguments, rest...)
			break
		}
		if a == "-" || !strings.HasPrefix(a, "-") {
			arguments = append(arguments, a)
			continue
		}
		a = respell(a)
		if kinds, ok := mayStandAlone[strings.TrimLeft(a, "-")]; ok && (len(rest) == 0 || !slices.Contains(kinds, rest[0])) {
			a += "=" + kinds[0]
		}
		options = append(options, a)
		if strings.Contains(a, "=") || !values[strings.TrimLeft(a, "-")] {
			continue
		}
		if len(rest) == 0 || isOption(rest[0], values) {
			return nil, usage("%s needs a value", a)
		}
		options = append(options, rest[0])
		rest = rest[1:]
	}

	if len(arguments) > 0 && arguments[0] == "help" {
		arguments, options = arguments[1:], append(options, "--help")
	}
	out := []string{args[0]}
	commands, flags, takes := app.Commands, app.Flags, ""
	for len(arguments) > 0 {
		c := find(commands, arguments[0])
		if c == nil {
			break
		}
		out = append(out, arguments[0])
		arguments = arguments[1:]
		flags, takes = c.Flags, c.ArgsUsage
		if commands = c.Subcommands; len(commands) == 0 {
			break
		}
	}
	if len(out) == 1 && len(arguments) > 0 {
		return nil, usage("%s is not a command; cimimove --help lists them", arguments[0])
	}
	options = overwritten(options, flags, takes)
	if len(out) > 1 {
		if err := recognised(strings.Join(out[1:], " "), options, flags, values); err != nil {
			return nil, err
		}
	}
	out = append(out, options...)
	if len(arguments) > 0 {
		out = append(out, "--")
		out = append(out, arguments...)
	}
	return out, nil
}

// overwritten says --overwrite, which is ovftool's, in words of the command: of
// a resource what is to become of it, of a file nothing, as it is replaced anyway.
func overwritten(options []string, flags []cli.Flag, takes string) []string {
	var out []string
	for _, o := range options {
		switch {
		case o != "--overwrite":
			out = append(out, o)
		case slices.ContainsFunc(flags, func(f cli.Flag) bool { return f.Names()[0] == "if-exists" }):
			out = append(out, "--if-exists=replace")
		case !slices.Contains(strings.FieldsFunc(takes, func(r rune) bool { return strings.ContainsRune(" []", r) }), "OUT"):
			out = append(out, o) // and is refused by its own name
		}
	}
	return out
}

// isOption says whether a, which stands where a value is expected, is an
// option, so that the value was forgotten.
func isOption(a string, values map[string]bool) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(respell(a), "-"), "=")
	_, is := values[name]
	return a == "--" || is && strings.HasPrefix(a, "--")
}

// recognised refuses options that the command does not have.
func recognised(command string, options []string, flags []cli.Flag, values map[string]bool) error {
	have := map[string]bool{"help": true, "h": true}
	for _, f := range flags {
		for _, name := range f.Names() {
			have[name] = true
		}
	}
	for i := 0; i < len(options); i++ {
		name, _, valued := strings.Cut(strings.TrimLeft(options[i], "-"), "=")
		if !have[name] {
			return usage("%s is not an option of cimimove %s (--help lists them)", strings.SplitN(options[i], "=", 2)[0], command)
		}
		if values[name] && !valued {
			i++
		}
	}
	return nil
}

// respell turns ovftool's --net:A=B into --net=A=B and its camelCase into ours.
func respell(a string) string {
	if value, ok := strings.CutPrefix(a, "-o"); ok && (value == "" || value[0] == '=') {
		return "--output" + value // in one spelling, of which the last one counts
	}
	if !strings.HasPrefix(a, "--") {
		return a
	}
	name, value, valued := a[2:], "", false
	if i := strings.IndexAny(name, ":="); i >= 0 {
		// Only maps are written with a colon: --tls-pin=sha256:… has its "=" first.
		name, value, valued = name[:i], name[i+1:], true
	}
	switch name {
	case "skipManifestCheck":
		return "--manifest=ignore"
	}
	if ours, ok := ovftoolSpellings[name]; ok {
		name = ours
	}
	if !valued {
		return "--" + name
	}
	return "--" + name + "=" + value
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// valueFlags tells which options take a value. A name means the same thing in
// every command that has it, which TestFlagNamesAgree asserts.
func valueFlags(app *cli.App) map[string]bool {
	values := map[string]bool{}
	each(app, func(_ string, f cli.Flag) {
		v, ok := f.(cli.DocGenerationFlag)
		for _, name := range f.Names() {
			values[name] = values[name] || ok && v.TakesValue()
		}
	})
	return values
}

func each(app *cli.App, visit func(command string, f cli.Flag)) {
	for _, f := range app.Flags {
		visit("", f)
	}
	var walk func(prefix string, commands []*cli.Command)
	walk = func(prefix string, commands []*cli.Command) {
		for _, c := range commands {
			for _, f := range c.Flags {
				visit(prefix+c.Name, f)
			}
			walk(prefix+c.Name+" ", c.Subcommands)
		}
	}
	walk("", app.Commands)
}
