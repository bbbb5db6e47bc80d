package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
)

// result is what a command found out: a document for json and yaml, the same
// as text. It may come together with an error.
type result struct {
	doc  any
	text func(io.Writer) error
}

// action is a command: what it returns is printed and turned into an exit code
// by run, in one place.
type action func(ctx context.Context, c *call) (result, error)

// call is one invocation: options, arguments and the three streams.
type call struct {
	*cli.Context
	in       io.Reader
	out, err io.Writer
	printer  printer
	clouds   *endpoint.Pool
	show     progress
	// fromUs: a cloud in this process fetches images from us.
	fromUs bool
	// unchecked are the endpoints whose certificates nobody checks, as was told.
	unchecked sync.Map
}

// written is standard output that knows whether anything was written to it.
type written struct {
	w   io.Writer
	any bool
}

func (o *written) Write(p []byte) (int, error) {
	o.any = o.any || len(p) > 0
	return o.w.Write(p)
}

// usageError is a command line or configuration that cannot be carried out (exit 2).
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func usage(format string, a ...any) error { return usageError{fmt.Sprintf(format, a...)} }

// run is the whole program but for signals and exit.
func run(ctx context.Context, args []string, in io.Reader, out, stderr io.Writer) int {
	// Names are the words of whoever made a package or runs a cloud.
	out, stderr = shown(out), shown(stderr)
	said := &written{w: out}
	out = said
	p := printer{w: out, form: outputForm(args)}
	var code int
	app := newApp(out, stderr, func(command string, act action) cli.ActionFunc {
		return func(c *cli.Context) error {
			call := &call{Context: c, in: in, out: out, err: stderr, printer: p, clouds: &endpoint.Pool{}, show: newProgress(c.String("progress"), c.Bool("quiet"), stderr)}
			// What a library logs obeys --log-level and --log-format too.
			slog.SetDefault(call.logger())
			r, err := invoke(ctx, call, act)
			err = errors.Join(err, call.clouds.Close())
			fail := failed(ctx, err)
			call.show.stop()
			// A command that has written a resource, a package or its document
			// itself has said all: a second document would spoil the first.
			if r.doc != nil || !said.any {
				if printErr := p.result(r.doc, r.text, fail); printErr != nil && err == nil {
					err, fail = printErr, failed(ctx, printErr)
				}
			}
			if fail != nil {
				explain(stderr, fail, err)
				code = fail.Code
			}
			call.show.result(fail)
			return nil
		}
	})
	if err := checkForm(p.form); err != nil {
		explain(stderr, failed(ctx, err), err)
		return 2
	}
	arranged, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	if err != nil {
		var u usageError
		if !errors.As(err, &u) {
			err = usageError{err.Error()}
		}
		fail := failed(ctx, err)
		if p.form != "text" {
			_ = p.result(nil, nil, fail)
		}
		explain(stderr, fail, err)
		return fail.Code
	}
	return code
}

func invoke(ctx context.Context, c *call, act action) (result, error) {
	if c.Bool("version") {
		return version(ctx, c)
	}
	want := c.Command.ArgsUsage
	least, most := arity(want)
	if n := c.NArg(); n < least || most >= 0 && n > most {
		return result{}, usage("%s takes %s; %d given (cimimove %s --help shows an example)",
			c.Command.HelpName[strings.LastIndex(c.Command.HelpName, "cimimove ")+len("cimimove "):], orNothing(want), n, strings.TrimPrefix(c.Command.HelpName, "cimimove "))
	}
	if err := cmp.Or(c.checkChoices(), c.checkWritten()); err != nil {
		return result{}, err
	}
	return act(ctx, c)
}

// choices are the options that take one of a few words. They are checked
// before a command begins, so that a slip of the finger costs nothing.
var choices = map[string][]string{
	"if-exists":    {"fail", "skip", "replace", "rename"},
	"on-failure":   {"rollback", "keep"},
	"mac":          {"keep", "regenerate", "strip"},
	"quiesce":      {"graceful", "force", "refuse"},
	"source-after": {"keep", "start", "stop", "delete"},
	"via":          {"auto", "direct", "relay", "stage", "resources"},
	"verify":       {"none", "digest", "full"},
	"manifest":     {"require", "verify", "ignore"},
	"signature":    {"require", "verify", "ignore"},
	"progress":     {"auto", "tty", "plain", "json", "none"},
	"log-level":    {"debug", "info", "warn", "error"},
	"log-format":   {"text", "json"},
	"format":       {"json", "xml"},
	"as":           {"system", "template"},
}

func (c *call) checkChoices() error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if words := choices[name]; words != nil && c.IsSet(name) && !slices.Contains(words, c.String(name)) {
			last := len(words) - 1
			return usage("--%s is %s or %s, not %q", name, strings.Join(words[:last], ", "), words[last], c.String(name))
		}
	}
	return nil
}

// writtenLast are the options that name a file which is written when all else is done.
var writtenLast = []string{"report", "html", "save"}

// checkWritten refuses a file that cannot be made before a night's work, not after it.
func (c *call) checkWritten() error {
	for _, name := range writtenLast {
		file := c.String(name)
		if file == "" {
			continue
		}
		if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
			return usage("--%s: %s: there is no folder %s", name, file, filepath.Dir(file))
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() || strings.HasSuffix(file, "/") {
			return usage("--%s: %s is a folder, not a file", name, file)
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "no arguments"
	}
	return s
}

// arity reads how many arguments a usage such as "PACKAGE [OUT]" allows;
// most is -1 where there is no limit. Alternatives are separated by "|"; an
// option with its value stands for no argument.
func arity(usage string) (least, most int) {
	if one, other, ok := strings.Cut(usage, " | "); ok {
		least, most = arity(one)
		l, m := arity(other)
		return min(least, l), max(most, m)
	}
	words := strings.Fields(usage)
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, "--"), i > 0 && strings.HasPrefix(words[i-1], "--"):
		case strings.HasSuffix(w, "…"):
			return least, -1
		case strings.HasPrefix(w, "["):
			most++
		default:
			least++
			most++
		}
	}
	return least, most
}

// outputForm is what --output says, before anything else is understood; the last
// one counts, as of every option.
func outputForm(args []string) string {
	form := "text"
	for i, a := range args {
		switch {
		case a == "--":
			return form
		case (a == "--output" || a == "-o") && i+1 < len(args):
			form = args[i+1]
		case strings.HasPrefix(a, "--output="), strings.HasPrefix(a, "-o="):
			form = a[strings.Index(a, "=")+1:]
		}
	}
	return form
}

func checkForm(form string) error {
	switch form {
	case "text", "json", "yaml":
		return nil
	}
	return usage("--output is text, json or yaml, not %q", form)
}

// failed makes the error of a result document; nil for no error. A signal wins
// over what the interrupted work said about it.
func failed(ctx context.Context, err error) *failure {
	if err == nil {
		return nil
	}
	var cause interruption
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &cause) {
		return &failure{Code: cause.code(), Class: cause.Error(), Message: err.Error()}
	}
	var u usageError
	if errors.As(err, &u) {
		return &failure{Code: int(migrate.ClassUsage), Class: migrate.ClassUsage.String(), Message: err.Error()}
	}
	class := migrate.ClassOf(err)
	f := &failure{Code: int(class), Class: class.String(), Message: err.Error()}
	var m *migrate.Error
	if errors.As(err, &m) {
		f.Side, f.Object = string(m.Side), m.Object
	}
	if name, ok := faulty(err); ok && f.Side == "" {
		f.Side, f.Object = string(migrate.PackageSide), name
	}
	return f
}

// faulty is the name of the package that an error finds wrong.
func faulty(err error) (name string, ok bool) {
	var (
		descriptor *ovf.DescriptorError
		integrity  *ovf.IntegrityError
		missing    *ovf.MissingFileError
	)
	switch {
	case errors.As(err, &integrity):
		return integrity.Package, true
	case errors.As(err, &missing):
		return missing.Package, true
	case errors.As(err, &descriptor):
		return cmp.Or(descriptor.Package, descriptor.Object), true
	}
	return "", false
}

// explain writes the one line that a person reads, and the next command where there is one.
func explain(w io.Writer, f *failure, err error) {
	fmt.Fprintf(w, "cimimove: %s\n", strings.ReplaceAll(strings.TrimSpace(f.Message), "\n", "; "))
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintf(w, "  %s\n", h.Hint())
	}
}

// terminal tells whether w is a terminal, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := unwrapped(w).(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 80, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}
