package runbook

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/invopop/jsonschema"
)

// What is read is bounded: ten thousand Systems with room to spare, and
// includes that never end are refused.
const (
	maxSize    = 16 << 20
	maxInclude = 32
)

// LoadOptions of Load.
type LoadOptions struct {
	// Vars win over those of the runbook.
	Vars map[string]string
}

// Load reads a runbook file and what it includes.
func Load(path string, o LoadOptions) (*Runbook, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(abs, b, o)
}

// readFile reads a file, or a pipe, as far as it is not too long.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrInvalid, maxSize)
	}
	return b, nil
}

// Parse reads a runbook; name is what errors call it, and its folder is where
// includes and lists stand.
func Parse(name string, b []byte) (*Runbook, error) { return parse(name, b, LoadOptions{}) }

func parse(name string, b []byte, o LoadOptions) (*Runbook, error) {
	l := &loader{vars: map[string]string{}}
	if err := l.collect(name, b, nil); err != nil {
		return nil, err
	}
	maps.Copy(l.vars, o.Vars)
	vars, err := filled(l.vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrInvalid, err)
	}
	l.vars = vars
	r := &resolver{runbook: &Runbook{Name: name, Endpoints: map[string]Endpoint{}, OnFailure: Continue, Vars: l.vars}, windows: map[string]Window{}}
	for _, p := range l.parts {
		if err := p.decode(l.vars); err != nil {
			return nil, err
		}
	}
	return r.resolve(l.parts)
}

// part is one file of a runbook.
type part struct {
	checker
	doc document
}

// loader collects the files of a runbook, included ones first.
type loader struct {
	parts []*part
	vars  map[string]string
}

func (l *loader) collect(name string, b []byte, within []string) error {
	if len(b) > maxSize {
		return fmt.Errorf("%s: %w: %d bytes, at most %d are read", name, ErrInvalid, len(b), maxSize)
	}
	p := &part{checker: checker{name: name, source: b}}
	if err := p.parse(); err != nil {
		return err
	}
	var head struct {
		Include []string          `yaml:"include"`
		Vars    map[string]string `yaml:"vars"`
	}
	if err := yaml.Unmarshal(b, &head); err != nil {
		return p.broken(err)
	}
	within = append(within, name)
	for n, file := range head.Include {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		path := fmt.Sprintf("$.include[%d]", n)
		if slices.Contains(within, file) {
			return p.at(path, "%s includes itself", file)
		}
		if slices.ContainsFunc(l.parts, func(o *part) bool { return o.name == file }) {
			continue // another included it before
		}
		if len(l.parts)+len(within) > maxInclude {
			return p.at(path, "more than %d files", maxInclude)
		}
		inner, err := readFile(file)
		if err != nil {
			return p.at(path, "%s", strings.TrimPrefix(err.Error(), ErrInvalid.Error()+": "))
		}
		if err := l.collect(file, inner, within); err != nil {
			return err
		}
	}
	maps.Copy(l.vars, head.Vars)
	l.parts = append(l.parts, p)
	return nil
}

// decode reads the document strictly, with variables in place.
func (p *part) decode(vars map[string]string) error {
	s := &substitution{vars: vars, checker: p.checker}
	for _, d := range p.file.Docs {
		if d.Body != nil {
			ast.Walk(s, d.Body)
		}
	}
	if s.err != nil {
		return s.err
	}
	if len(p.file.Docs) == 0 || p.file.Docs[0].Body == nil {
		return fmt.Errorf("%s: %w: it is empty", p.name, ErrInvalid)
	}
	if len(p.file.Docs) > 1 {
		at := p.file.Docs[1].Start.Position
		return fmt.Errorf("%s:%d:%d: %w: a second document begins here; a runbook is one, and include takes others in", p.name, at.Line, at.Column, ErrInvalid)
	}
	if err := yaml.NewDecoder(bytes.NewReader(p.source), yaml.Strict()).DecodeFromNode(p.file.Docs[0].Body, &p.doc); err != nil {
		return p.broken(err)
	}
	return nil
}

// broken is an error of the YAML library, without the source lines: somebody
// may have put a password there.
func (p *part) broken(err error) error {
	return fmt.Errorf("%s: %w: %s", p.name, ErrInvalid, strings.TrimSpace(yaml.FormatError(err, false, false)))
}

// substitution puts variables in the place of ${name}.
type substitution struct {
	checker
	vars map[string]string
	err  error
}

// Visit implements ast.Visitor.
func (s *substitution) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		s.number(n)
	case *ast.StringNode:
		text, err := expand(n.Value, s.vars)
		if err != nil && s.err == nil {
			t := n.GetToken().Position
			s.err = fmt.Errorf("%s:%d:%d: %w: %w", s.name, t.Line, t.Column, ErrInvalid, err)
		}
		n.Value = text
	case *ast.LiteralNode:
		return nil // a block of text stays as it is
	}
	return s
}

// counts are the keys of numbers: what a variable stands for in their place is
// one too.
var counts = []string{"version", "systems", "disks", "count"}

// number puts a number in the place of a variable.
func (s *substitution) number(n *ast.MappingValueNode) {
	text, ok := n.Value.(*ast.StringNode)
	if !ok || !strings.Contains(text.Value, "${") || n.Key == nil || !slices.Contains(counts, n.Key.GetToken().Value) {
		return
	}
	if v, err := expand(text.Value, s.vars); err == nil {
		if _, err := strconv.Atoi(v); err == nil {
			t := *text.GetToken()
			t.Type, t.Value, t.Origin = token.IntegerType, v, v
			n.Value = ast.Integer(&t)
		}
	}
}

// filled puts variables in the place of those that stand in others.
func filled(vars map[string]string) (map[string]string, error) {
	out := map[string]string{}
	var fill func(name string, within []string) error
	fill = func(name string, within []string) error {
		if slices.Contains(within, name) {
			return fmt.Errorf("variable %s stands for itself", name)
		}
		if _, done := out[name]; done {
			return nil
		}
		within = append(within, name)
		for other := range vars {
			if strings.Contains(vars[name], "${"+other+"}") {
				if err := fill(other, within); err != nil {
					return err
				}
			}
		}
		text, err := expand(vars[name], out)
		if err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
		out[name] = text
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if err := fill(name, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// expand replaces ${name}; $${ is a literal ${.
func expand(s string, vars map[string]string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var out strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			out.WriteString(s)
			return out.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			out.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		out.WriteString(s[:i])
		name, rest, ok := strings.Cut(s[i+2:], "}")
		if !ok {
			return s, fmt.Errorf("%q: no } ends it", s[i:])
		}
		v, known := vars[name]
		if !known {
			return s, fmt.Errorf("variable %s is not set; vars or --var %s=… give it", name, name)
		}
		out.WriteString(v)
		s = rest
	}
}

// Names is a name, or a list of them.
type Names []string

// UnmarshalYAML reads either.
func (n *Names) UnmarshalYAML(b []byte) error {
	var one string
	if yaml.Unmarshal(b, &one) == nil {
		*n = Names{one}
		return nil
	}
	return yaml.Unmarshal(b, (*[]string)(n))
}

// JSONSchema describes both forms.
func (Names) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}},
	}}
}
