package validate

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cimimove/cimimove/ovf"
)

// bits of the integer types of Table 6; negative for signed ones.
var integerTypes = map[string]int{"uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "sint8": -8, "sint16": -16, "sint32": -32, "sint64": -64}

// vendorTypes are what VMware and its followers write beside the standard's.
var vendorTypes = map[string]bool{"int": true, "password": true, "ip": true, "expression": true, "vlan": true}

func properties(c *checker) {
	known := c.knownConfigurations()
	for x := range c.env.Contents() {
		sections := map[string]bool{}
		for _, p := range x.ProductSections() {
			object := "ProductSection of " + x.ID
			if key := p.Class + ":" + p.Instance; sections[key] {
				c.add("OVF-PROP-007", object, "class %q with instance %q stands more than once", p.Class, p.Instance)
			} else {
				sections[key] = true
			}
			keys := map[string]bool{}
			for _, q := range p.Properties {
				c.property(object, q, keys, known)
			}
		}
	}
}

func (c *checker) property(object string, q ovf.Property, keys, known map[string]bool) {
	o := "property " + q.EnvKey()
	switch {
	case q.Key == "":
		c.add("OVF-PROP-001", object, "line %d: a Property has no key", q.Line())
	case keys[q.Key]:
		c.add("OVF-PROP-002", o, "the key stands more than once in its section")
	case strings.ContainsAny(q.Key, ".:"):
		c.add("OVF-PROP-008", o, "the key has a period or a colon")
	}
	keys[q.Key] = true
	if q.Type == "" {
		c.add("OVF-PROP-003", o, "the Property has no type")
	} else if !knownType(q.Type) {
		c.add("OVF-PROP-004", o, "type %q is not one of the standard's", q.Type)
	}
	qualifiers, ok := parseQualifiers(q.Qualifiers)
	if !ok {
		c.add("OVF-PROP-006", o, "qualifiers %q", q.Qualifiers)
	}
	check := func(v string) {
		if why := mismatch(q.Type, qualifiers, v); why != "" && !strings.Contains(v, "${") && !placeholder(v) {
			if q.Password {
				v = "(not shown)"
			}
			c.add("OVF-PROP-005", o, "the value %q %s", v, why)
		}
	}
	// An empty default means that the user is to be asked (9.5).
	if q.Value != "" {
		check(q.Value)
	}
	seen := map[string]bool{}
	for _, v := range q.Values {
		for _, id := range strings.Fields(v.Configuration) {
			if !known[id] {
				c.add("OVF-CFG-001", o, "configuration %q is not in DeploymentOptionSection", id)
			}
			if seen[id] {
				c.add("OVF-CFG-004", o, "configuration %q has more than one value", id)
			}
			seen[id] = true
		}
		if v.Value != "" {
			check(v.Value)
		}
	}
}

func knownType(t string) bool {
	switch base, _, _ := strings.Cut(t, ":"); base {
	case "string", "boolean", "real32", "real64":
		return true
	default:
		// VMware writes ip:network and string(1..10).
		base, _, _ = strings.Cut(base, "(")
		_, ok := integerTypes[base]
		return ok || vendorTypes[base] || base == "string"
	}
}

var qualifier = regexp.MustCompile(`^\s*([A-Za-z]+)\s*(?:\(([^()]*)\)|\{([^{}]*)\})`)

// parseQualifiers reads MinLen(1) MaxLen(8) ValueMap{"a","b"}.
func parseQualifiers(s string) (map[string]string, bool) {
	out := map[string]string{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ,\t\n") {
		m := qualifier.FindStringSubmatch(s)
		if m == nil {
			return out, false
		}
		switch m[1] {
		case "MinLen", "MaxLen", "MinValue", "MaxValue", "ValueMap":
			out[m[1]] = m[2] + m[3]
		default:
			return out, false
		}
		s = s[len(m[0]):]
	}
	return out, true
}

// mismatch says why a value is not of the type or outside of its qualifiers;
// empty when it fits.
func mismatch(typ string, qualifiers map[string]string, v string) string {
	base, _, _ := strings.Cut(typ, "(")
	switch {
	case integerTypes[base] != 0:
		n, ok := new(big.Int).SetString(strings.TrimSpace(v), 10)
		if !ok || len(v) > 40 {
			return "is no whole number"
		}
		bits := integerTypes[base]
		low, high := new(big.Int), new(big.Int)
		if bits < 0 {
			high.Lsh(big.NewInt(1), uint(-bits-1))
			low.Neg(high)
		} else {
			high.Lsh(big.NewInt(1), uint(bits))
		}
		if n.Cmp(low) < 0 || n.Cmp(high) >= 0 {
			return "is outside of " + base
		}
		if m, ok := new(big.Int).SetString(strings.TrimSpace(qualifiers["MinValue"]), 10); ok && n.Cmp(m) < 0 {
			return "is below MinValue(" + m.String() + ")"
		}
		if m, ok := new(big.Int).SetString(strings.TrimSpace(qualifiers["MaxValue"]), 10); ok && n.Cmp(m) > 0 {
			return "is above MaxValue(" + m.String() + ")"
		}
	case base == "boolean":
		switch strings.ToLower(v) {
		case "true", "false", "1", "0":
		default:
			return "is neither true nor false"
		}
	case base == "real32" || base == "real64":
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return "is no number"
		}
	case base == "string":
		n := utf8.RuneCountInString(v)
		if m, err := strconv.Atoi(strings.TrimSpace(qualifiers["MinLen"])); err == nil && n < m {
			return "is shorter than MinLen(" + strconv.Itoa(m) + ")"
		}
		if m, err := strconv.Atoi(strings.TrimSpace(qualifiers["MaxLen"])); err == nil && n > m {
			return "is longer than MaxLen(" + strconv.Itoa(m) + ")"
		}
	}
	if vm, ok := qualifiers["ValueMap"]; ok {
		for _, x := range strings.Split(vm, ",") {
			if strings.Trim(strings.TrimSpace(x), `"'`) == v {
				return ""
			}
		}
		return "is not in its ValueMap"
	}
	return ""
}
