package runbook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"
)

// Duration is written as Go writes it: 90s, 5m, 2h30m.
type Duration time.Duration

// UnmarshalYAML reads a duration; negative ones are refused.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	s := n.String()
	if t, ok := n.(*ast.StringNode); ok {
		s = t.Value
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return wrong(n, "%q is not a duration such as 90s or 5m", s)
	}
	*d = Duration(v)
	return nil
}

// wrong is an error at a node, in the YAML library's form.
func wrong(n ast.Node, format string, args ...any) error {
	p := n.GetToken().Position
	return fmt.Errorf("[%d:%d] %s", p.Line, p.Column, fmt.Sprintf(format, args...))
}

// MarshalYAML writes it the same way.
func (d Duration) MarshalYAML() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// JSONSchema describes it.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`, Examples: []any{"90s", "5m"}}
}

// ByteRate is a number of bytes a second, written 50MiB, 1GB or as a number.
type ByteRate int64

// UnmarshalYAML reads a rate.
func (r *ByteRate) UnmarshalYAML(n ast.Node) error {
	s := n.String()
	if t, ok := n.(*ast.StringNode); ok {
		s = t.Value
	}
	v, err := ParseByteRate(s)
	if err != nil {
		return wrong(n, "%v", err)
	}
	*r = v
	return nil
}

// ParseByteRate reads 50MiB, 50 MiB/s, 1GB, 1000.
func ParseByteRate(s string) (ByteRate, error) {
	v, err := humanize.ParseBytes(strings.TrimSuffix(strings.TrimSpace(s), "/s"))
	if err != nil || v > 1<<62 {
		return 0, fmt.Errorf("%q is not a rate such as 50MiB", s)
	}
	return ByteRate(v), nil
}

// MarshalYAML writes bytes.
func (r ByteRate) MarshalYAML() ([]byte, error) { return fmt.Appendf(nil, "%d", int64(r)), nil }

// JSONSchema describes it.
func (ByteRate) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "integer", Minimum: "0"},
		{Type: "string", Pattern: `^[0-9]+(\.[0-9]+)? *([kKMGTP]i?)?B?(/s)?$`},
	}, Examples: []any{"50MiB"}}
}

// Value is a text, or a reference to one: a secret stands in a file, in the
// environment or comes from a command, never in the runbook.
type Value struct {
	Text string   `yaml:"-"`
	File string   `yaml:"file,omitempty" jsonschema:"description=File whose content it is; the last line end does not count"`
	Env  string   `yaml:"env,omitempty" jsonschema:"description=Environment variable that holds it"`
	Exec []string `yaml:"exec,omitempty" jsonschema:"description=Command that prints it"`
}

// UnmarshalYAML reads a scalar, or one of file, env and exec.
func (v *Value) UnmarshalYAML(node ast.Node) error {
	if _, ok := node.(ast.ScalarNode); ok {
		return yaml.NodeToValue(node, &v.Text)
	}
	type reference Value
	if err := yaml.NodeToValue(node, (*reference)(v), yaml.Strict()); err != nil {
		return wrong(node, "not a text, nor one of {file: …}, {env: …}, {exec: […]}")
	}
	n := 0
	for _, is := range []bool{v.File != "", v.Env != "", len(v.Exec) > 0} {
		if is {
			n++
		}
	}
	if n != 1 {
		return wrong(node, "a reference is one of {file: …}, {env: …}, {exec: […]}")
	}
	return nil
}

// MarshalYAML writes what was read.
func (v Value) MarshalYAML() (any, error) {
	if v.Reference() {
		type reference Value
		return reference(v), nil
	}
	return v.Text, nil
}

// Reference tells whether the text stands elsewhere.
func (v Value) Reference() bool { return v.File != "" || v.Env != "" || len(v.Exec) > 0 }

// commandTimeout bounds a command that gives a value: one that asks at a
// terminal that nobody watches would hold up the night.
const commandTimeout = 30 * time.Second

// maxValue bounds a value that stands in a file, or that a command prints, in bytes.
const maxValue = 1 << 20

// printed is what a command printed, as far as it may be a value.
type printed struct {
	text []byte
	more bool // than that
}

func (p *printed) Write(b []byte) (int, error) {
	if p.more = p.more || len(p.text)+len(b) > maxValue; p.more {
		return 0, io.ErrShortWrite
	}
	p.text = append(p.text, b...)
	return len(b), nil
}

// Resolve gives the text. Its errors do not hold it.
func (v Value) Resolve(ctx context.Context) (string, error) {
	switch {
	case v.File != "":
		f, err := os.Open(v.File)
		if err != nil {
			return "", err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxValue+1))
		if err != nil {
			return "", err
		}
		if len(b) > maxValue {
			return "", fmt.Errorf("%s: more than %d bytes, which is no value of a property", v.File, maxValue)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	case v.Env != "":
		s, ok := os.LookupEnv(v.Env)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", v.Env)
		}
		return s, nil
	case len(v.Exec) > 0:
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		var out printed
		c := exec.CommandContext(ctx, v.Exec[0], v.Exec[1:]...)
		c.Stdout = &out
		// What it leaves running may hold its output open for ever.
		c.WaitDelay = time.Second
		err := c.Run()
		switch {
		case out.more:
			return "", fmt.Errorf("%s: printed more than %d bytes, which is no value of a property", v.Exec[0], maxValue)
		case ctx.Err() != nil:
			return "", fmt.Errorf("%s: did not end within %s: %w", v.Exec[0], commandTimeout, err)
		case err != nil && !errors.Is(err, exec.ErrWaitDelay):
			return "", fmt.Errorf("%s: %w", v.Exec[0], err)
		}
		return strings.TrimRight(string(out.text), "\r\n"), nil
	}
	return v.Text, nil
}

// JSONSchema describes both forms.
func (Value) JSONSchema() *jsonschema.Schema {
	text := func(what string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Description: what}
	}
	ref := func(name string, s *jsonschema.Schema) *jsonschema.Schema {
		p := jsonschema.NewProperties()
		p.Set(name, s)
		return &jsonschema.Schema{Type: "object", Properties: p, Required: []string{name}, AdditionalProperties: jsonschema.FalseSchema}
	}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "number"}, {Type: "boolean"},
		ref("file", text("File whose content it is")),
		ref("env", text("Environment variable that holds it")),
		ref("exec", &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}, Description: "Command that prints it"}),
	}}
}
