package server

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

const (
	typeJSON = "application/json"
	typeXML  = "application/xml"
)

// negotiate chooses the format of the answer: $format before Accept (4.1.6.5).
// Of several types of the same quality the first wins; */* and no Accept at all give
// JSON, or what the request's body is in.
func (q *request) negotiate() error {
	q.xml = isXML(q.Header.Get("Content-Type"))
	if v := q.URL.Query(); v.Has("$format") {
		switch strings.ToLower(v.Get("$format")) {
		case "json":
			q.xml = false
		case "xml":
			q.xml = true
		default:
			return cimi.Errorf(http.StatusNotAcceptable, "$format: expected json or xml, got %.40q", v.Get("$format"))
		}
		return nil
	}
	accept := strings.Join(q.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return nil
	}
	best, found := 0.0, false
	for part := range strings.SplitSeq(accept, ",") {
		t, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if s, ok := params["q"]; ok {
			if quality, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		if quality <= best {
			continue
		}
		switch t {
		case typeJSON, "text/json":
			q.xml = false
		case typeXML, "text/xml":
			q.xml = true
		case "*/*", "application/*":
			q.xml = isXML(q.Header.Get("Content-Type"))
		default:
			continue
		}
		best, found = quality, true
	}
	if found {
		return nil
	}
	q.unacceptable = cimi.Errorf(http.StatusNotAcceptable, "only %s and %s are offered, Accept says %.80q", typeJSON, typeXML, accept)
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		return nil // bytes, such as an export's package, have a type of their own
	}
	return q.unacceptable
}

func isXML(contentType string) bool {
	t, _, _ := mime.ParseMediaType(contentType)
	return t == typeXML || t == "text/xml"
}

// decode reads a body as a resource; typeName is what it is when it does not
// say. The format is that of Content-Type, or what the first character shows.
func (q *request) decode(b []byte, typeName string) (cimi.Resource, error) {
	t, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if t == "" || t == "application/octet-stream" || t == "application/x-www-form-urlencoded" {
		t = typeJSON
		if strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(string(b[:min(len(b), 64)]), "\ufeff")), "<") {
			t = typeXML
		}
	}
	var r cimi.Resource
	var err error
	switch t {
	case typeJSON, "text/json":
		r, err = cimi.DecodeJSONAs(b, typeName)
	case typeXML, "text/xml":
		r, err = cimi.DecodeXMLAs(b, typeName)
	default:
		return nil, cimi.Errorf(http.StatusUnsupportedMediaType, "expected %s or %s, got %.80q", typeJSON, typeXML, t)
	}
	if err == nil {
		repeated := cimi.RepeatedJSON
		if t == typeXML || t == "text/xml" {
			repeated = cimi.RepeatedXML
		}
		if name, twice := repeated(b); twice {
			return nil, cimi.Errorf(http.StatusBadRequest, "%.80q stands twice in one object (5.5.7)", name)
		}
	}
	if errors.Is(err, cimi.ErrTooLarge) {
		return nil, cimi.Errorf(http.StatusRequestEntityTooLarge, "%w", err)
	}
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%w", err)
	}
	if unknown := cimi.UnknownAttributesIn(r, q.version, q.allowed); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes of %s: %s", r.TypeName(), strings.Join(unknown, ", "))
	}
	cimi.MapURIs(r, q.relative)
	if q.version == cimi.V1 {
		cimi.Upgrade(r)
	}
	return r, nil
}

func (s *server) allowed(name string) bool {
	for _, n := range cimi.ExtensionAttributes() {
		if n == name {
			return true
		}
	}
	for _, n := range s.o.Extensions {
		if n == name {
			return true
		}
	}
	return false
}
