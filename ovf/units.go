package ovf

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Unit is a programmatic unit (DSP0004 Annex C, "Programmatic units"): base
// units with a factor. One of the unit is Factor of its base.
type Unit struct {
	// Base is the base units without factor: "byte", "hertz", "bit / second",
	// "count"; empty for a bare number.
	Base string
	num  *big.Int
	den  *big.Int
	// Deprecated is set for words that DSP0243 1.x readers meet but DSP0004 does
	// not define, such as MegaBytes.
	Deprecated bool
}

// maxUnitBits keeps the arithmetic small whatever a descriptor says: 128 bits
// for the result, and as much for what is divided away.
const maxUnitBits = 256

// words are units that producers write instead of programmatic ones. As in
// CIM's deprecated Units qualifier, Mega with bytes is 2^20.
var words = map[string]struct {
	base string
	root int64
	exp  int64
}{
	"byte": {"byte", 2, 0}, "bytes": {"byte", 2, 0}, "b": {"byte", 2, 0},
	"kilobyte": {"byte", 2, 10}, "kilobytes": {"byte", 2, 10}, "kb": {"byte", 2, 10}, "kib": {"byte", 2, 10}, "kibibytes": {"byte", 2, 10},
	"megabyte": {"byte", 2, 20}, "megabytes": {"byte", 2, 20}, "mb": {"byte", 2, 20}, "mib": {"byte", 2, 20}, "mebibytes": {"byte", 2, 20},
	"gigabyte": {"byte", 2, 30}, "gigabytes": {"byte", 2, 30}, "gb": {"byte", 2, 30}, "gib": {"byte", 2, 30}, "gibibytes": {"byte", 2, 30},
	"terabyte": {"byte", 2, 40}, "terabytes": {"byte", 2, 40}, "tb": {"byte", 2, 40}, "tib": {"byte", 2, 40}, "tebibytes": {"byte", 2, 40},
	"hertz": {"hertz", 10, 0}, "hz": {"hertz", 10, 0}, "kilohertz": {"hertz", 10, 3}, "khz": {"hertz", 10, 3},
	"megahertz": {"hertz", 10, 6}, "mhz": {"hertz", 10, 6}, "gigahertz": {"hertz", 10, 9}, "ghz": {"hertz", 10, 9},
	"bit": {"bit", 2, 0}, "bits": {"bit", 2, 0}, "second": {"second", 10, 0}, "seconds": {"second", 10, 0},
	"minute": {"minute", 10, 0}, "hour": {"hour", 10, 0}, "day": {"day", 10, 0},
	"count": {"count", 10, 0}, "percent": {"percent", 10, 0}, "watt": {"watt", 10, 0}, "volt": {"volt", 10, 0},
	"ampere": {"ampere", 10, 0}, "meter": {"meter", 10, 0}, "gram": {"gram", 10, 0}, "block": {"block", 10, 0},
	"packet": {"packet", 10, 0}, "frame": {"frame", 10, 0}, "process": {"process", 10, 0}, "processor": {"processor", 10, 0},
}

// standardWords are those of the table that DSP0004 defines.
var standardWords = map[string]bool{"byte": true, "bit": true, "hertz": true, "second": true, "minute": true, "hour": true, "day": true,
	"count": true, "percent": true, "watt": true, "volt": true, "ampere": true, "meter": true, "gram": true, "block": true,
	"packet": true, "frame": true, "process": true, "processor": true}

// ParseUnits reads a unit as descriptors have it: the grammar of DSP0004
// (byte * 2^30, byte*2^30, byte * 1024 * 2^10, bit / second * 10^9, hertz *
// 10^6, 2^10 * byte) and words like MegaBytes, in any case. The empty string
// is an error: what an absent unit means depends on the place.
func ParseUnits(s string) (Unit, error) {
	fail := func(why string) (Unit, error) {
		return Unit{}, fmt.Errorf("unit %q: %s", shorten(s), why)
	}
	rest := strings.TrimSpace(s)
	if rest == "" {
		return fail("is empty")
	}
	if len(rest) > 256 {
		return fail("is longer than 256 characters")
	}
	u := Unit{num: big.NewInt(1), den: big.NewInt(1)}
	var above, below []string
	divide := false
	for {
		var tok string
		end := strings.IndexAny(rest, "*/")
		op := byte(0)
		if end < 0 {
			tok, rest = rest, ""
		} else {
			op = rest[end]
			tok, rest = rest[:end], rest[end+1:]
		}
		tok = strings.TrimSpace(tok)
		if tok == "" {
			return fail("a factor is missing")
		}
		base, n, d, deprecated, err := unitFactor(tok)
		if err != nil {
			return fail(err.Error())
		}
		u.Deprecated = u.Deprecated || deprecated
		if divide {
			n, d = d, n
		}
		u.num.Mul(u.num, n)
		u.den.Mul(u.den, d)
		if u.num.BitLen() > maxUnitBits || u.den.BitLen() > maxUnitBits {
			return fail("the factor overflows")
		}
		if base != "" {
			if divide {
				below = append(below, base)
			} else {
				above = append(above, base)
			}
		}
		if op == 0 {
			break
		}
		divide = op == '/'
	}
	u.Base = strings.Join(above, " * ")
	for _, b := range below {
		u.Base = strings.TrimSpace(u.Base + " / " + b)
	}
	return u, nil
}

// unitFactor reads one operand: a word, a number, or number ^ exponent.
func unitFactor(tok string) (base string, num, den *big.Int, deprecated bool, err error) {
	one := big.NewInt(1)
	if w, ok := words[strings.ToLower(tok)]; ok {
		return w.base, new(big.Int).Exp(big.NewInt(w.root), big.NewInt(w.exp), nil), one, !standardWords[tok], nil
	}
	root, exp, power := strings.Cut(tok, "^")
	root, exp = strings.TrimSpace(root), strings.TrimSpace(exp)
	r, ok := parseDigits(root)
	if !ok || r.Sign() == 0 || r.BitLen() > 128 {
		return "", nil, nil, false, fmt.Errorf("%q is neither a unit nor a number", shorten(tok))
	}
	if !power {
		return "", r, one, false, nil
	}
	neg := strings.HasPrefix(exp, "-")
	n, convErr := strconv.ParseUint(strings.TrimLeft(exp, "+-"), 10, 8)
	if convErr != nil || r.BitLen()*int(n) > 2*maxUnitBits {
		return "", nil, nil, false, fmt.Errorf("the exponent of %q is not one we can use", shorten(tok))
	}
	p := new(big.Int).Exp(r, new(big.Int).SetUint64(n), nil)
	if neg {
		return "", one, p, false, nil
	}
	return "", p, one, false, nil
}

func parseDigits(s string) (*big.Int, bool) {
	if s == "" || len(s) > 40 || strings.Trim(s, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

// Times is quantity in base units. A quantity that is no decimal number, a
// result that is no whole number of base units, and one above 2^63-1 are
// errors: nothing is rounded or cut.
func (u Unit) Times(quantity string) (int64, error) {
	q, ok := parseDigits(strings.TrimPrefix(strings.TrimSpace(quantity), "+"))
	if !ok {
		return 0, fmt.Errorf("%q is not a whole, non-negative number", shorten(quantity))
	}
	if u.num == nil {
		return 0, fmt.Errorf("%s of no unit", q)
	}
	n, rest := q.Mul(q, u.num).QuoRem(q, u.den, new(big.Int))
	if rest.Sign() != 0 {
		return 0, fmt.Errorf("%s is not a whole number of %s", strings.TrimSpace(quantity), u.Base)
	}
	if !n.IsInt64() {
		return 0, fmt.Errorf("%s %s: overflow, more than 2^63-1", n, u.Base)
	}
	return n.Int64(), nil
}

// Quantity is a quantity with its unit in base units. An empty unit means
// base; a unit of something else than base is an error. A unit that is a bare
// factor, such as 2^20, is taken as base times the factor; bits make bytes
// where they are whole.
func Quantity(quantity, unit, base string) (int64, error) {
	if strings.TrimSpace(unit) == "" {
		unit = base
	}
	u, err := ParseUnits(unit)
	if err != nil {
		return 0, err
	}
	switch {
	case u.Base == base || u.Base == "":
		u.Base = base
	case u.Base == "bit" && base == "byte":
		u.Base = base
		u.den = new(big.Int).Mul(u.den, big.NewInt(8))
	default:
		return 0, fmt.Errorf("unit %q: is of %s, expected %s", shorten(unit), u.Base, base)
	}
	return u.Times(quantity)
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
