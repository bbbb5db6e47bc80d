package runbook

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// checker makes errors that point into the document.
type checker struct {
	name   string
	source []byte
	file   *ast.File
	row    string // of a list, which errors point to as well
}

// maxAliases bounds what "*name" may multiply.
const maxAliases = 1000

// parse parses the document once, for positions, and refuses one whose
// aliases could grow without bound.
func (c *checker) parse() error {
	n := 0
	for _, t := range lexer.Tokenize(string(c.source)) {
		if t.Type == token.AliasType {
			if n++; n > maxAliases {
				return fmt.Errorf("%s:%d:%d: %w: more than %d aliases", c.name, t.Position.Line, t.Position.Column, ErrInvalid, maxAliases)
			}
		}
	}
	file, err := parser.ParseBytes(c.source, 0)
	if err != nil {
		// Without the source lines: somebody may have put a password there.
		return fmt.Errorf("%s: %w: %s", c.name, ErrInvalid, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	c.file = file
	return nil
}

// at is an error at the node of a YAML path, or of the nearest one above it.
func (c checker) at(path, format string, args ...any) error {
	message := c.row + fmt.Sprintf(format, args...)
	if t := c.token(path); t != nil {
		return fmt.Errorf("%s:%d:%d: %w: %s", c.name, t.Position.Line, t.Position.Column, ErrInvalid, message)
	}
	return fmt.Errorf("%s: %w: %s", c.name, ErrInvalid, message)
}

func (c checker) line(path string) int {
	if t := c.token(path); t != nil {
		return t.Position.Line
	}
	return 0
}

func (c checker) token(path string) *token.Token {
	if c.file == nil {
		return nil
	}
	p, err := yaml.PathString(path)
	if err != nil {
		return nil
	}
	node, err := p.FilterFile(c.file)
	if err != nil || node == nil {
		return nil
	}
	t := node.GetToken()
	// A mapping's token is its first colon; what a reader looks for is the key.
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken()
	} else if v, ok := node.(*ast.MappingValueNode); ok {
		t = v.Key.GetToken()
	}
	return t
}
