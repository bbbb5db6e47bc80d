package cimi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Limits bound what is decoded: anything beyond is refused before it is built.
// A zero field takes the value that suits a document from the network. Files
// that a user names may ask for more: see FileLimits.
type Limits struct {
	Bytes int // of one document; 0 takes MaxBody
	Depth int // nesting of objects, arrays and elements; 0 takes 64
	Nodes int // values in one document; 0 takes 2 Mi
}

// MaxBody bounds a document from the network, in bytes.
const MaxBody = 16 << 20

const (
	maxDepth = 64
	maxNodes = 2 << 20
)

// FileLimits suit a file on disk, such as a SystemTemplate of many thousands
// of machines in nested collections.
func FileLimits() Limits { return Limits{Bytes: 512 << 20, Depth: 1024, Nodes: 64 << 20} }

func (l Limits) orDefault() Limits {
	return Limits{Bytes: cmp.Or(l.Bytes, MaxBody), Depth: cmp.Or(l.Depth, maxDepth), Nodes: cmp.Or(l.Nodes, maxNodes)}
}

// ErrTooLarge: a document exceeds the Limits.
var ErrTooLarge = errors.New("document is too large")

// DecodeError says where a document is not what the standard asks for.
type DecodeError struct {
	// Path names the attribute, such as machineTemplate.machineConfig.cpu; empty for the whole.
	Path    string
	Message string
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

func decodeErrorf(path, format string, args ...any) error {
	return &DecodeError{Path: path, Message: fmt.Sprintf(format, args...)}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// setScalar sets an attribute of a simple type from its text. White space
// around numbers, booleans, dates and URIs does not count.
func setScalar(a *Attribute, f reflect.Value, s, path string) error {
	trimmed := strings.TrimSpace(s)
	switch a.kind {
	case kindString:
		if a.std {
			if uri := V2.uri(trimmed); uri != trimmed {
				s = uri // the model speaks in the URIs of 2.0
			}
		}
		f.SetString(s)
	case kindURI:
		f.SetString(trimmed)
	case kindTime:
		if trimmed != "" {
			f.Set(reflect.ValueOf(ParseTime(trimmed)))
		}
	case kindInt:
		n, err := parseInt(trimmed)
		if err != nil {
			return decodeErrorf(path, "expected an integer, got %.40q", s)
		}
		f.Set(reflect.ValueOf(&n))
	case kindBool:
		switch strings.ToLower(trimmed) {
		case "true", "1":
			f.Set(reflect.ValueOf(Bool(true)))
		case "false", "0":
			f.Set(reflect.ValueOf(Bool(false)))
		default:
			return decodeErrorf(path, "expected true or false, got %.40q", s)
		}
	default:
		return decodeErrorf(path, "expected %s, got the text %.40q", a.Type, s)
	}
	return nil
}

// parseInt reads an integer; 2.0 and 1e3 are integers too, as some clouds write them.
func parseInt(s string) (int64, error) {
	if n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
		return 0, strconv.ErrSyntax
	}
	return int64(f), nil
}

// scalarText is the text of a JSON scalar.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "", true
	}
	return "", false
}
