package cimi

import (
	"fmt"
	"slices"
	"strings"
)

// The parts of a parsed $filter, and how they compare.

type joined struct {
	or    bool
	parts []filterExpr
}

func (j joined) match(r Resource) bool {
	if j.or {
		return slices.ContainsFunc(j.parts, func(e filterExpr) bool { return e.match(r) })
	}
	return !slices.ContainsFunc(j.parts, func(e filterExpr) bool { return !e.match(r) })
}

type propertyMatch struct {
	key   string
	not   bool
	value string
}

func (m propertyMatch) match(r Resource) bool {
	v, ok := r.Base().Properties[m.key]
	return ok && (v == m.value) != m.not
}

type comparison struct {
	attr string
	op   string
	val  token
}

func (c comparison) match(r Resource) bool {
	order, ok := compareWith(Value(r, c.attr), c.val)
	switch c.op {
	case "=":
		return ok && order == 0
	case "!=":
		return !ok || order != 0
	}
	if !ok || order == unordered {
		return false
	}
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// unordered: different, and neither is less (strings, booleans).
const unordered = 2

// compareWith compares an attribute's value with a value of the expression;
// ok is false where the types cannot be compared. A value in quotes compares
// with dates and references too, and an extension's number given as text as a number.
func compareWith(have any, want token) (order int, ok bool) {
	equal := func(b bool) (int, bool) {
		if b {
			return 0, true
		}
		return unordered, true
	}
	switch have := have.(type) {
	case int64:
		if want.kind != tokWord {
			return 0, false
		}
		n, err := parseInt(want.text)
		if err != nil {
			return beyond(want.text)
		}
		return compareInts(have, n), true
	case bool:
		if want.text != "true" && want.text != "false" {
			return 0, false
		}
		return equal(have == (want.text == "true"))
	case *Time:
		t := ParseTime(want.text)
		if have.Text != "" || t.Text != "" {
			return equal(have.String() == want.text)
		}
		return have.Time.Compare(t.Time), true
	case string:
		if want.kind == tokWord {
			// An attribute of type string against a bare word: dates, numbers and
			// booleans of extension attributes.
			if t, w := ParseTime(have), ParseTime(want.text); t.Text == "" && w.Text == "" {
				return t.Time.Compare(w.Time), true
			}
			a, errA := parseInt(have)
			b, errB := parseInt(want.text)
			if errA == nil && errB == nil {
				return compareInts(a, b), true
			}
		}
		return equal(have == want.text)
	case fmt.Stringer: // json.Number
		a, errA := parseInt(have.String())
		b, errB := parseInt(want.text)
		if errA != nil || errB != nil {
			return equal(have.String() == want.text)
		}
		return compareInts(a, b), true
	case interface{ hrefp() *string }:
		return equal(*have.hrefp() == want.text)
	}
	return 0, false
}

// beyond compares any integer that an attribute can have with one that is too
// large for that, however many digits it has.
func beyond(text string) (order int, ok bool) {
	digits, negative := strings.CutPrefix(text, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	if negative {
		return 1, true
	}
	return -1, true
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
