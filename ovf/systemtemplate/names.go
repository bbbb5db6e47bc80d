package systemtemplate

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// names gives out names that are unique over the whole tree, the numbers that
// a quantity appends included (DSP0263 5.13.4).
type names struct {
	taken    map[string]bool
	suffix   map[string]int   // next -n to try, by name asked for
	groups   map[string]int64 // quantity by name
	lowest   map[string]int64 // of the taken names prefix+number, the lowest number, by prefix
	nested   map[string]int64 // of the groups prefix+digits, the lowest number they reach, by prefix
	findings *findings
}

func newNames(f *findings) *names {
	return &names{taken: map[string]bool{}, suffix: map[string]int{}, groups: map[string]int64{},
		lowest: map[string]int64{}, nested: map[string]int64{}, findings: f}
}

// take gives the name asked for, or that with -2, -3, … where it is taken.
func (n *names) take(kind, asked string, quantity int) string {
	if asked == "" {
		asked = kind
	}
	name := asked
	for i := max(n.suffix[asked], 2); !n.free(name, int64(quantity)); i++ {
		name = fmt.Sprintf("%s-%d", asked, i)
		n.suffix[asked] = i + 1
	}
	n.reserve(name, int64(quantity))
	if name != asked {
		n.findings.add(Renamed, kind+" "+asked, "%q is %q", asked, name)
	}
	return name
}

func (n *names) free(name string, quantity int64) bool {
	if n.taken[name] {
		return false
	}
	for prefix, digits := range numbered(name) {
		v, _ := strconv.ParseInt(digits, 10, 64)
		if v <= n.groups[prefix] {
			return false
		}
		if first, err := strconv.ParseInt(digits+"1", 10, 64); quantity > 1 && err == nil && first <= n.groups[prefix] {
			return false
		}
	}
	if quantity > 1 {
		if v, ok := n.lowest[name]; ok && v <= quantity {
			return false
		}
		if v, ok := n.nested[name]; ok && v <= quantity {
			return false
		}
	}
	return true
}

func (n *names) reserve(name string, quantity int64) {
	n.taken[name] = true
	if quantity > 1 {
		n.groups[name] = quantity
	}
	lower := func(m map[string]int64, prefix, digits string) {
		v, err := strconv.ParseInt(digits, 10, 64)
		if old, ok := m[prefix]; err == nil && (!ok || v < old) {
			m[prefix] = v
		}
	}
	for prefix, digits := range numbered(name) {
		lower(n.lowest, prefix, digits)
		if quantity > 1 {
			lower(n.nested, prefix, digits+"1")
		}
	}
}

// numbered splits a name into a prefix and a number without leading zero, in
// all ways there are: a12 is a1 and 2, and a and 12.
func numbered(name string) map[string]string {
	out := map[string]string{}
	for i := len(name) - 1; i > 0 && len(name)-i <= 18; i-- {
		if name[i] < '0' || name[i] > '9' {
			break
		}
		if name[i] != '0' {
			out[name[:i]] = name[i:]
		}
	}
	return out
}

// Reference is the symbolic reference to a component (DSP0263 5.13.4).
func Reference(name string) string { return "#" + url.PathEscape(name) }

// referenced is the name in a symbolic reference; not ok for any other href.
func referenced(href string) (string, bool) {
	s, ok := strings.CutPrefix(href, "#")
	if !ok {
		return "", false
	}
	if name, err := url.PathUnescape(s); err == nil {
		return name, true
	}
	return s, true
}

// InstanceNames are the names of the components that a descriptor with a
// quantity makes (DSP0263 5.13.4): the name itself, or name1, name2, …
func InstanceNames(name string, quantity int) []string {
	if quantity <= 1 {
		return []string{name}
	}
	out := make([]string, quantity)
	for i := range out {
		out[i] = name + strconv.Itoa(i+1)
	}
	return out
}
