package cimi

import (
	"bytes"
	"encoding/xml"
	"strings"
)

// Version is a major version of the standard on the wire. The model is 2.0's,
// with the attributes that only 1.x has beside; the decoder takes either
// version, an encoder writes one.
type Version int

const (
	V1 Version = 1 // DSP0263 1.0 and 1.1
	V2 Version = 2 // DSP0263 2.0
)

// Namespace is the XML namespace of a version and the prefix of its URIs.
func (v Version) Namespace() string {
	if v == V1 {
		return Namespace1
	}
	return Namespace
}

// TypeURI is the type URI of a type name in a version.
func (v Version) TypeURI(name string) string { return v.Namespace() + "/" + name }

// uri brings a URI of the standard's own into the version's namespace; others stay.
func (v Version) uri(s string) string {
	for _, ns := range []string{Namespace, Namespace1} {
		if rest, ok := strings.CutPrefix(s, ns+"/"); ok {
			return v.Namespace() + "/" + rest
		}
	}
	return s
}

// VersionOf tells the version of a document in JSON, by its resourceURI, or
// in XML, by the namespace of its root; 0 when it does not say.
func VersionOf(document []byte) Version {
	text := bytes.TrimSpace(document)
	if len(text) == 0 {
		return 0
	}
	of := ""
	if text[0] == '<' {
		d := xml.NewDecoder(bytes.NewReader(text))
		for of == "" {
			tok, err := d.Token()
			if err != nil {
				return 0
			}
			if start, ok := tok.(xml.StartElement); ok {
				of = start.Name.Space + "/"
			}
		}
	} else if v, err := parseJSON(text, Limits{}); err == nil {
		obj, _ := v.(map[string]any)
		of, _ = obj["resourceURI"].(string)
	}
	switch {
	case strings.HasPrefix(of, Namespace1+"/"), strings.HasPrefix(of, namespaceDrafts+"/"):
		return V1
	case strings.HasPrefix(of, Namespace+"/"):
		return V2
	}
	return 0
}

// order1 are the attributes of the types whose XML in 1.x has another order,
// or fewer of them, than the table gives.
var order1 = map[string][]string{
	"ResourceMetadata":   {"id", "typeURI", "name", "attributes", "capabilities", "actions", "operations"},
	"Disk":               {"capacity", "initialLocation"},
	"Action":             {"action", "force", "image", "source", "format", "destination", "properties"},
	"Credential":         {"id", "name", "description", "created", "updated", "properties", "operations", "userName", "password", "key"},
	"CredentialTemplate": {"id", "name", "description", "created", "updated", "properties", "operations", "userName", "password", "key"},
	"Sample":             {"id", "name", "description", "created", "updated", "properties", "sample"},
	"Event":              {"id", "name", "description", "created", "updated", "properties", "timestamp", "type", "content", "outcome", "severity", "contact"},
}
