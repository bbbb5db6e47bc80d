package cimi

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Filter is a parsed $filter expression (4.1.6.1).
type Filter struct {
	expr filterExpr
}

type filterExpr interface {
	match(r Resource) bool
}

// maxFilter bounds the length of a $filter expression in bytes, and so its nesting.
const maxFilter = 8 << 10

// ParseFilter parses a $filter expression:
//
//	Filter   ::= AndExpr ( 'or' Filter )*
//	AndExpr  ::= Comp ( 'and' AndExpr )*
//	Comp     ::= Attribute Op Value | Value Op Attribute | PropExpr | '(' Filter ')'
//	PropExpr ::= 'property[' StringValue ']' Op StringValue
//
// Op is one of < <= = >= > !=. Which operators a comparison takes depends on
// the types, when it is evaluated: ordering needs integers or dates.
func ParseFilter(s string) (*Filter, error) {
	if len(s) > maxFilter {
		return nil, Errorf(400, "$filter: longer than %d bytes", maxFilter)
	}
	p := &filterParser{s: s}
	p.next()
	e, err := p.filter(0)
	if err == nil && p.tok.kind != tokEnd {
		err = p.errorf("expected 'and', 'or' or the end, got %q", p.tok.text)
	}
	if err != nil {
		return nil, err
	}
	return &Filter{expr: e}, nil
}

// Match tells whether a resource satisfies the filter. An attribute that is
// absent, or not comparable with the value, does not match, except by !=.
func (f *Filter) Match(r Resource) bool { return f.expr.match(r) }

type tokKind int

const (
	tokEnd tokKind = iota
	tokWord
	tokString
	tokOp
	tokOpen
	tokClose
	tokBracket
	tokBracketEnd
	tokBad
)

type token struct {
	kind tokKind
	text string
	pos  int
}

type filterParser struct {
	s   string
	pos int
	tok token
}

func (p *filterParser) errorf(format string, args ...any) error {
	return Errorf(400, "$filter: at %d: %s", p.tok.pos+1, fmt.Sprintf(format, args...))
}

func (p *filterParser) next() {
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
	start := p.pos
	if start == len(p.s) {
		p.tok = token{tokEnd, "the end", start}
		return
	}
	set := func(k tokKind, end int) {
		p.tok = token{k, p.s[start:end], start}
		p.pos = end
	}
	switch c := p.s[start]; c {
	case '(':
		set(tokOpen, start+1)
	case ')':
		set(tokClose, start+1)
	case '[':
		set(tokBracket, start+1)
	case ']':
		set(tokBracketEnd, start+1)
	case '=':
		set(tokOp, start+1)
	case '<', '>', '!':
		switch {
		case strings.HasPrefix(p.s[start+1:], "="):
			set(tokOp, start+2)
		case c == '!':
			set(tokBad, start+1)
		default:
			set(tokOp, start+1)
		}
	case '"', '\'':
		end := strings.IndexByte(p.s[start+1:], c)
		if end < 0 {
			set(tokBad, len(p.s))
			return
		}
		p.tok = token{tokString, p.s[start+1 : start+1+end], start}
		p.pos = start + end + 2
	default:
		end := start
		for end < len(p.s) && strings.IndexByte(" \t\r\n()[]=<>!\"'", p.s[end]) < 0 {
			end++
		}
		set(tokWord, end)
	}
}

func (p *filterParser) filter(depth int) (filterExpr, error) {
	if depth > maxDepth {
		return nil, p.errorf("too many brackets")
	}
	return p.series("or", depth, func() (filterExpr, error) {
		return p.series("and", depth, func() (filterExpr, error) { return p.comp(depth) })
	})
}

// series parses parts joined by one word.
func (p *filterParser) series(word string, depth int, part func() (filterExpr, error)) (filterExpr, error) {
	first, err := part()
	if err != nil || p.tok.kind != tokWord || p.tok.text != word {
		return first, err
	}
	j := joined{or: word == "or", parts: []filterExpr{first}}
	for p.tok.kind == tokWord && p.tok.text == word {
		p.next()
		e, err := part()
		if err != nil {
			return nil, err
		}
		j.parts = append(j.parts, e)
	}
	return j, nil
}

func (p *filterParser) comp(depth int) (filterExpr, error) {
	if p.tok.kind == tokOpen {
		p.next()
		e, err := p.filter(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.tok.kind != tokClose {
			return nil, p.errorf("expected ), got %q", p.tok.text)
		}
		p.next()
		return e, nil
	}
	left := p.tok
	if left.kind != tokWord && left.kind != tokString {
		return nil, p.errorf("expected an attribute, a value or (, got %q", left.text)
	}
	p.next()
	if left.kind == tokWord && left.text == "property" && p.tok.kind == tokBracket {
		return p.property()
	}
	if p.tok.kind != tokOp {
		return nil, p.errorf("expected one of < <= = >= > !=, got %q", p.tok.text)
	}
	op := p.tok.text
	p.next()
	right := p.tok
	if right.kind != tokWord && right.kind != tokString {
		return nil, p.errorf("expected an attribute or a value, got %q", right.text)
	}
	p.next()
	switch {
	case isAttributeToken(left):
		if isAttributeToken(right) {
			p.tok = right
			return nil, p.errorf("expected a value, got %q (strings stand in quotes)", right.text)
		}
		return p.comparison(left, op, right)
	case isAttributeToken(right):
		return p.comparison(right, mirrored(op), left)
	}
	p.tok = left
	return nil, p.errorf("neither side of the comparison is an attribute")
}

// comparison refuses an order of what has none: strings and booleans are equal
// or not. A date in quotes is one.
func (p *filterParser) comparison(attribute token, op string, value token) (filterExpr, error) {
	if op != "=" && op != "!=" {
		_, notInt := parseInt(value.text)
		if value.text == "true" || value.text == "false" || value.kind == tokString && notInt != nil && ParseTime(value.text).Text != "" {
			p.tok = value
			return nil, p.errorf("%s compares integers and dates, got %q", op, value.text)
		}
	}
	return comparison{attribute.text, op, value}, nil
}

// isAttributeToken: a word that is no integer, date or boolean (5.2 says how names look).
func isAttributeToken(t token) bool {
	if t.kind != tokWord || t.text == "true" || t.text == "false" {
		return false
	}
	for i, c := range t.text {
		if c != '_' && (c > unicode.MaxASCII || !unicode.IsLetter(c)) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return true
}

func mirrored(op string) string {
	switch op[0] {
	case '<':
		return ">" + op[1:]
	case '>':
		return "<" + op[1:]
	}
	return op
}

func (p *filterParser) property() (filterExpr, error) {
	p.next()
	key := p.tok
	if key.kind != tokString {
		return nil, p.errorf("expected a quoted key after property[, got %q", key.text)
	}
	p.next()
	if p.tok.kind != tokBracketEnd {
		return nil, p.errorf("expected ], got %q", p.tok.text)
	}
	p.next()
	op := p.tok
	if op.kind != tokOp || op.text != "=" && op.text != "!=" {
		return nil, p.errorf("expected = or != after property[…], got %q", op.text)
	}
	p.next()
	val := p.tok
	if val.kind != tokString {
		return nil, p.errorf("expected a quoted string, got %q", val.text)
	}
	p.next()
	return propertyMatch{key.text, op.text == "!=", val.text}, nil
}

// Attributes lists the attributes that the expression compares, "properties"
// for property[…].
func (f *Filter) Attributes() []string {
	var out []string
	add := func(n string) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	var walk func(filterExpr)
	walk = func(e filterExpr) {
		switch e := e.(type) {
		case joined:
			for _, p := range e.parts {
				walk(p)
			}
		case comparison:
			add(e.attr)
		case propertyMatch:
			add("properties")
		}
	}
	walk(f.expr)
	return out
}
