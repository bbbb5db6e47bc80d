package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
)

// Rules of what is printed:
//   - standard output carries the result document and nothing else;
//   - with --output json it is one JSON document in every outcome;
//   - errors are one line on standard error: "cimimove: " and what to do next;
//   - nothing else is ever written by a library.

// failure is the "error" of a result document (cli.md, "Output").
type failure struct {
	Code    int    `json:"code"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Side    string `json:"side"`
	Object  string `json:"object"`
}

// printer prints one result in the form that --output asks for.
type printer struct {
	w    io.Writer
	form string // text, json or yaml
}

// result prints doc, or text in text form. fail is added to the document when
// the command ends with an error.
func (p printer) result(doc any, text func(io.Writer) error, fail *failure) error {
	if p.form == "text" {
		if text == nil || doc == nil {
			return nil
		}
		return text(p.w)
	}
	values := map[string]json.RawMessage{}
	order := []string{}
	if doc != nil {
		b, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		if len(b) == 0 || b[0] != '{' {
			if fail == nil {
				return p.print(b)
			}
		} else if order, err = members(b, values); err != nil {
			return err
		}
	}
	if fail != nil {
		b, err := json.Marshal(fail)
		if err != nil {
			return err
		}
		if _, has := values["error"]; !has {
			order = append(order, "error")
		}
		values["error"] = b
	}
	return p.print(joined(order, values))
}

// joined is a JSON object of those members, in that order.
func joined(order []string, values map[string]json.RawMessage) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range order {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(k)
		b.Write(key)
		b.WriteByte(':')
		b.Write(values[k])
	}
	b.WriteByte('}')
	return b.Bytes()
}

func (p printer) print(doc []byte) error {
	if p.form == "yaml" {
		y, err := yaml.JSONToYAML(doc)
		if err != nil {
			return err
		}
		_, err = p.w.Write(y)
		return err
	}
	var v json.RawMessage = doc
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.w, "%s\n", b)
	return err
}

// members splits a JSON object, keeping the order of its keys: the order of a
// document is part of what people read.
func members(b []byte, into map[string]json.RawMessage) ([]string, error) {
	d := json.NewDecoder(strings.NewReader(string(b)))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var order []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := t.(string)
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		order = append(order, key)
		into[key] = v
	}
	return order, nil
}
