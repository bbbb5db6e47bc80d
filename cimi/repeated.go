package cimi

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
)

// RepeatedJSON finds a name that stands twice in one object of a document: which
// of the values would count nobody says, and a map holds no key twice (5.5.7).
// It is for what is asked of a Provider; answers of others are taken as they are.
func RepeatedJSON(b []byte) (name string, repeated bool) {
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a name was read, its value comes
	}
	var open []level
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err != nil {
			return "", false
		}
		top := len(open) - 1
		if top >= 0 && open[top].names != nil {
			if s, ok := tok.(string); ok && !open[top].value {
				if open[top].names[s] {
					return s, true
				}
				open[top].names[s], open[top].value = true, true
				continue
			}
			open[top].value = false
		}
		switch tok {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
	}
}

// RepeatedXML finds a key that two elements beside each other have: entries of
// a map are told by it (5.5.7).
func RepeatedXML(b []byte) (key string, repeated bool) {
	type entry struct{ element, key string }
	open := []map[entry]bool{nil}
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := d.RawToken()
		if err != nil {
			return "", false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			for _, a := range tok.Attr {
				if a.Name.Local != "key" || a.Name.Space != "" {
					continue
				}
				e, top := entry{tok.Name.Local, a.Value}, len(open)-1
				if open[top][e] {
					return a.Value, true
				}
				if open[top] == nil {
					open[top] = map[entry]bool{}
				}
				open[top][e] = true
			}
			open = append(open, nil)
		case xml.EndElement:
			if len(open) > 1 {
				open = open[:len(open)-1]
			}
		}
	}
}
